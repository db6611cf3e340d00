// What a user may set on a queue. All of it is in the log, so every replica decides alike.

#ifndef HOLDFAST_QUEUE_QUEUE_OPTIONS_H_
#define HOLDFAST_QUEUE_QUEUE_OPTIONS_H_

#include <cstdint>

#include "base/types.h"

namespace holdfast {

// When a job fails (a release that says so, or an expired lease) the n-th time it waits
// min(backoff_max, backoff_min * multiplier^(n-1)) and is ready again; once `max_attempts`
// failures are reached it is buried (attempts_exhausted).
struct RetryPolicy {
  uint32_t max_attempts = 0;          // 0: no limit
  LogDuration backoff_min;            // 0: ready again at once
  LogDuration backoff_max;            // 0: no upper bound but one day
  uint32_t multiplier_percent = 200;  // [100, 1000]

  auto operator<=>(const RetryPolicy&) const = default;
};

enum class ExpiryAction : uint8_t { kBury = 0, kDelete = 1 };

inline constexpr LogDuration kDedupWindowMax = LogDuration::Seconds(30 * 24 * 60 * 60);

struct QueueOptions {
  LogDuration default_lease = LogDuration::Seconds(60);  // for jobs enqueued without one
  RetryPolicy retry;
  LogDuration ttl;  // for jobs enqueued without one; 0: none
  ExpiryAction on_expiry = ExpiryAction::kBury;
  uint64_t max_jobs = 0;      // 0: no limit
  uint64_t max_bytes = 0;     // sum of payload sizes; 0: no limit
  uint64_t max_reserved = 0;  // jobs leased at once, cluster wide; 0: no limit
  // How long a dedup key keeps answering with its first job; (0, kDedupWindowMax].
  LogDuration dedup_window = LogDuration::Seconds(300);

  auto operator<=>(const QueueOptions&) const = default;
};

// Which fields an update sets; bit numbers are logged, so they are for good.
enum QueueOptionField : uint32_t {
  kFieldDefaultLease = 1u << 0,
  kFieldRetry = 1u << 1,
  kFieldTtl = 1u << 2,
  kFieldOnExpiry = 1u << 3,
  kFieldMaxJobs = 1u << 4,
  kFieldMaxBytes = 1u << 5,
  kFieldMaxReserved = 1u << 6,
  kFieldDedupWindow = 1u << 7,
  kAllQueueOptionFields = 0xff,
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_QUEUE_OPTIONS_H_
