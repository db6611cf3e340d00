// An Executor on a thread of its own that a test can hold up.
//
// Thread-safety: thread-safe.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_TESTING_THREAD_EXECUTOR_H_
#define HOLDFAST_REPLICATION_TRANSPORT_TESTING_THREAD_EXECUTOR_H_

#include <cstdint>
#include <deque>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/executor.h"

namespace holdfast {

class ThreadExecutor final : public Executor {
 public:
  ThreadExecutor() : thread_([this] { Run(); }) {}
  // Drops what has not run.
  ~ThreadExecutor() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    thread_.join();
  }

  void Post(Task task) override {
    absl::MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  void RunAt(int64_t at_micros, Task task) override {
    absl::MutexLock lock(&mutex_);
    if (frozen_at_ != 0) {
      delays_.push_back(at_micros - frozen_at_);
      tasks_.push_back(std::move(task));
      return;
    }
    timers_.emplace(at_micros, std::move(task));
  }
  bool IsCurrent() const override { return std::this_thread::get_id() == thread_.get_id(); }
  int64_t MonotonicMicros() const override {
    absl::MutexLock lock(&mutex_);
    return NowLocked();
  }
  int64_t WallMicros() const override { return absl::GetCurrentTimeNanos() / 1000; }

  // Runs nothing from the end of the present task until Resume.
  void Pause() {
    absl::MutexLock lock(&mutex_);
    paused_ = true;
  }
  void Resume() {
    absl::MutexLock lock(&mutex_);
    paused_ = false;
  }
  // Stops the clock: from now on a timer runs at once, and what it asked for is kept.
  void Freeze() {
    absl::MutexLock lock(&mutex_);
    frozen_at_ = NowLocked();
  }
  // What timers have asked for since Freeze, in microseconds.
  std::vector<int64_t> delays() const {
    absl::MutexLock lock(&mutex_);
    return delays_;
  }

 private:
  int64_t NowLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return frozen_at_ != 0 ? frozen_at_ : absl::GetCurrentTimeNanos() / 1000;
  }
  // Moves timers that are due among the tasks; true if there is something to do.
  bool Ready() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (!timers_.empty() && timers_.begin()->first <= NowLocked()) {
      tasks_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    return stopping_ || (!paused_ && !tasks_.empty());
  }
  void Run() {
    for (;;) {
      Task task;
      {
        absl::MutexLock lock(&mutex_);
        const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return Ready(); };
        while (!Ready()) {
          absl::Duration wait = absl::Seconds(1);
          if (!timers_.empty()) {
            wait = absl::Microseconds(timers_.begin()->first - NowLocked());
          }
          mutex_.AwaitWithTimeout(absl::Condition(&ready), wait);
        }
        if (stopping_) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      std::move(task)();
    }
  }

  mutable absl::Mutex mutex_;
  int64_t frozen_at_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: it runs
  std::vector<int64_t> delays_ ABSL_GUARDED_BY(mutex_);
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  std::multimap<int64_t, Task> timers_ ABSL_GUARDED_BY(mutex_);
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: starts when the rest is made
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_TESTING_THREAD_EXECUTOR_H_
