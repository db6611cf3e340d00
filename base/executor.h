// Where loop-bound objects run: an ordered queue of tasks and timers on one thread, and the
// clocks that go with it. The daemon's is a thread (server/net/event_loop.h); the
// simulator's is a heap of events under simulated time.

#ifndef HOLDFAST_BASE_EXECUTOR_H_
#define HOLDFAST_BASE_EXECUTOR_H_

#include <cstdint>

#include "absl/functional/any_invocable.h"

namespace holdfast {

using Task = absl::AnyInvocable<void() &&>;

// Thread-safety: Post() and the clocks from any thread; the rest from the executor's own.
class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `task` on the executor, after every task posted before it by the same thread.
  virtual void Post(Task task) = 0;
  // Runs `task` on the executor not before MonotonicMicros() >= `at_micros`.
  virtual void RunAt(int64_t at_micros, Task task) = 0;
  // True on the executor's own thread.
  virtual bool IsCurrent() const = 0;

  // Microseconds since some moment in the past; never goes back.
  virtual int64_t MonotonicMicros() const = 0;
  // Microseconds since the Unix epoch, by this machine's clock; may jump.
  virtual int64_t WallMicros() const = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_EXECUTOR_H_
