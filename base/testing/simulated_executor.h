// Executors of many machines on one thread, under simulated time.
//
//   SimulatedExecutor a ─┐  Post: now          ┌─▶ one task at a time
//   SimulatedExecutor b ─┼──▶ EventQueue ──────┤
//   SimulatedExecutor c ─┘  RunAt: when due    └─▶ nothing due: time jumps to the next timer
//
// The same seed and the same tasks give the same run, on every machine.

#ifndef HOLDFAST_BASE_TESTING_SIMULATED_EXECUTOR_H_
#define HOLDFAST_BASE_TESTING_SIMULATED_EXECUTOR_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/prng.h"

namespace holdfast {

class SimulatedExecutor;

// The time that all executors of a simulation share, and the order in which their tasks run.
//
// What is due runs in the order (moment, number), numbers being given by Post and RunAt. With a
// shuffle seed, the executor that runs next is drawn among those with something due, and of one
// executor's due timers any may be first; tasks posted to one executor keep their order.
//
// Bounds: a step takes time in proportion to the number of executors.
// Thread-safety: thread-compatible, together with its executors. Outlives them.
class EventQueue {
 public:
  struct Options {
    std::optional<uint64_t> shuffle_seed = std::nullopt;
  };

  EventQueue() = default;
  explicit EventQueue(const Options& options);
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // Microseconds since the simulation began.
  int64_t now_micros() const { return now_micros_; }

  // Runs one task, letting time pass until one is due; false if there is none at all.
  // For all of these: REQUIRES: no task is running.
  bool RunOne();
  // The same without time passing: false if nothing is due now.
  bool RunOneDue() { return NextDue().first <= now_micros_ && RunOne(); }
  // Runs all that is due without time passing, also what that adds. Gives how many tasks ran.
  // A run of more than `tasks_max` is taken for endless: it CHECKs.
  int64_t RunUntilIdle(int64_t tasks_max = 1'000'000);
  // Runs all that is due by `at_micros` and leaves time there. REQUIRES: at_micros >= now.
  int64_t RunUntil(int64_t at_micros, int64_t tasks_max = 100'000'000);
  int64_t RunFor(int64_t micros) { return RunUntil(now_micros_ + micros); }

  // The executor whose task is running; nullptr outside of tasks.
  const SimulatedExecutor* current() const { return current_; }

 private:
  friend class SimulatedExecutor;

  // When a task is due, in simulated time, and its number.
  using Moment = std::pair<int64_t, uint64_t>;
  static constexpr Moment kNever = {INT64_MAX, UINT64_MAX};

  void Add(SimulatedExecutor* executor);
  void Remove(SimulatedExecutor* executor);
  uint64_t NextNumber() { return ++numbers_; }
  void RunAs(SimulatedExecutor* executor, Task task);
  Moment NextDue() const;
  // The executor that runs next. REQUIRES: something is due now.
  SimulatedExecutor* Choose();

  std::optional<Prng> prng_;
  int64_t now_micros_ = 0;
  uint64_t numbers_ = 0;
  const SimulatedExecutor* current_ = nullptr;
  std::vector<SimulatedExecutor*> executors_;  // in the order in which they were made
};

// One thread of one simulated machine.
//
// Its clocks follow the machine's crystal: `drift_ppm` microseconds a second too fast (negative:
// too slow). The wall clock may be set at any moment, the monotonic one never jumps.
//
// Thread-safety: thread-compatible with its EventQueue. Tasks that were never run are destroyed
// with it.
class SimulatedExecutor final : public Executor {
 public:
  struct Clock {
    int64_t drift_ppm = 0;  // [-500'000, 500'000]
    // The wall clock when the simulation begins.
    int64_t wall_start_micros = 1'700'000'000'000'000;
  };

  explicit SimulatedExecutor(EventQueue* events) : SimulatedExecutor(events, Clock()) {}
  SimulatedExecutor(EventQueue* events, const Clock& clock);
  ~SimulatedExecutor() override;

  void Post(Task task) override;
  void RunAt(int64_t at_micros, Task task) override;
  bool IsCurrent() const override { return events_->current() == this; }
  int64_t MonotonicMicros() const override { return LocalMicros(events_->now_micros()); }
  int64_t WallMicros() const override { return MonotonicMicros() + wall_offset_micros_; }

  // Runs `task` at once, as the executor's. REQUIRES: no task is running.
  void Run(Task task);

  // The wall clock is set forward (or back) by so much.
  void AdvanceWall(int64_t micros) { wall_offset_micros_ += micros; }

  // A machine that is paused (as by SIGSTOP) runs nothing while its clocks go on.
  void Pause() { paused_ = true; }
  void Resume() { paused_ = false; }
  // A machine that crashes: destroys what has not run, and whatever is given to it from now on.
  void Crash();

  // Tasks and timers that have not run.
  size_t pending() const { return posted_.size() + timers_.size(); }

 private:
  friend class EventQueue;

  using Moment = EventQueue::Moment;
  struct Posted {
    Moment when;
    Task task;
  };

  int64_t LocalMicros(int64_t simulated_micros) const;
  // The earliest simulated moment at which this machine's monotonic clock shows `local_micros`.
  int64_t SimulatedMicros(int64_t local_micros) const;
  // EventQueue::kNever if nothing is.
  Moment NextDue() const;
  // REQUIRES: something is due by `now_micros`. With a `prng` any due timer may be first.
  Task TakeDue(int64_t now_micros, Prng* prng);

  EventQueue* const events_;
  const Clock clock_;
  int64_t wall_offset_micros_;
  bool paused_ = false;
  bool crashed_ = false;
  std::deque<Posted> posted_;
  std::map<Moment, Task> timers_;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_TESTING_SIMULATED_EXECUTOR_H_
