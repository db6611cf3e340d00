// How long a job waits after a failure.

#ifndef HOLDFAST_QUEUE_RETRY_DELAY_H_
#define HOLDFAST_QUEUE_RETRY_DELAY_H_

#include <cstdint>

#include "queue/queue_options.h"

namespace holdfast {

// min(backoff_max, backoff_min * multiplier^(failures - 1)), computed in whole microseconds a
// step; backoff_max 0 stands for one day. REQUIRES: failures >= 1.
LogDuration RetryDelay(const RetryPolicy& policy, uint32_t failures);

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_RETRY_DELAY_H_
