// The leader's clock: turns a monotonic and a wall clock into log time (design: "Log time"). The
// wall clock is the one that the shard's replicas agree on (ReplicatedLog::WallMicros).
//
// At the start of a term it continues from the last entry and may step forward once. Then it
// runs on the monotonic clock, at half to double speed until it agrees with the wall clock: it
// never goes back, never stands still, and a wall clock that jumps expires no lease.
//
// Pure. Thread-safety: thread-compatible; owned by one Shard.

#ifndef HOLDFAST_SERVER_ENGINE_LOG_CLOCK_H_
#define HOLDFAST_SERVER_ENGINE_LOG_CLOCK_H_

#include <algorithm>
#include <cstdint>

#include "base/mutant.h"
#include "base/types.h"

namespace holdfast {

class LogClock {
 public:
  // A moment on the two clocks, in microseconds.
  struct Reading {
    int64_t monotonic = 0;
    int64_t wall = 0;
  };

  // `last`: log time of the last entry of the leader's log.
  void Start(LogTime last, Reading now) {
    time_ =
        std::max(last, LogTime::FromMicros(static_cast<uint64_t>(std::max<int64_t>(now.wall, 0))));
    monotonic_ = now.monotonic;
  }

  // The log time now; stamps made from it never decrease.
  LogTime Now(Reading now) {
    const int64_t passed = std::max<int64_t>(now.monotonic - monotonic_, 0);
    monotonic_ = std::max(monotonic_, now.monotonic);
    const int64_t behind = now.wall - static_cast<int64_t>(time_.micros()) - passed;
    const int64_t slowest = MutantIs(Mutant::kLogTimeFrozen) ? -passed : -passed / 2;
    const int64_t slew = std::clamp(behind, slowest, passed);
    time_ = time_ + LogDuration::Micros(passed + slew);
    fast_ = behind > 0;
    return time_;
  }

  // The monotonic moment at which log time will have reached `when`, at the earliest: it runs at
  // double speed while it is behind the wall clock.
  int64_t EarliestMonotonic(LogTime when) const {
    const uint64_t ahead = when.micros() > time_.micros() ? when.micros() - time_.micros() : 0;
    // Rounded up: a timer for the moment before would find nothing due, again and again.
    const uint64_t wait = fast_ ? ahead / 2 + ahead % 2 : ahead;
    return monotonic_ + static_cast<int64_t>(std::min<uint64_t>(wait, INT64_MAX / 4));
  }

 private:
  LogTime time_;
  int64_t monotonic_ = 0;
  bool fast_ = false;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_LOG_CLOCK_H_
