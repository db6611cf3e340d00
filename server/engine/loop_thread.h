// A thread that runs tasks and timers in order: the daemon's Executor.
//
// Thread-safety: Post, the clocks and Stop from any thread (Stop not from its own).
// Bounds: none of its own; what is posted is bounded by Admission and by fixed numbers of timers.

#ifndef HOLDFAST_SERVER_ENGINE_LOOP_THREAD_H_
#define HOLDFAST_SERVER_ENGINE_LOOP_THREAD_H_

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"
#include "base/timer_heap.h"

namespace holdfast {

class LoopThread final : public Executor {
 public:
  // `name`: at most 15 characters, shown by ps and perf.
  explicit LoopThread(const std::string& name);
  // Stops if that was not done.
  ~LoopThread() override;

  // Runs what was posted before, drops timers, joins the thread. Later posts are dropped.
  void Stop();

  void Post(Task task) override;
  void RunAt(int64_t at_micros, Task task) override;
  bool IsCurrent() const override;
  int64_t MonotonicMicros() const override;
  int64_t WallMicros() const override;

 private:
  void Run();
  // Waits for tasks, the next timer or the stop; false when it is time to end.
  bool TakeTasks(std::vector<Task>* tasks);

  absl::Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  absl::CondVar wake_ ABSL_GUARDED_BY(mutex_);

  // The loop's own.
  TimerHeap timers_;

  std::thread thread_;  // last: starts when the rest is made
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_LOOP_THREAD_H_
