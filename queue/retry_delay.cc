#include "queue/retry_delay.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast {

LogDuration RetryDelay(const RetryPolicy& policy, uint32_t failures) {
  CHECK_GE(failures, 1u);
  const LogDuration day = LogDuration::Seconds(24 * 60 * 60);
  const LogDuration longest = policy.backoff_max == LogDuration() ? day : policy.backoff_max;
  unsigned __int128 delay = static_cast<unsigned __int128>(policy.backoff_min.micros());
  const auto cap = static_cast<unsigned __int128>(longest.micros());
  for (uint32_t n = 1; n < failures && delay < cap; ++n) {
    const auto next = delay * policy.multiplier_percent / 100;
    if (next == delay) break;  // a step too small to count: it never grows
    delay = next;
  }
  return LogDuration::Micros(static_cast<int64_t>(std::min(delay, cap)));
}

}  // namespace holdfast
