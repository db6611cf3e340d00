#include "server/engine/loop_thread.h"

#include <pthread.h>

#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "base/check.h"

namespace holdfast {
namespace {

thread_local const LoopThread* current_loop = nullptr;

}  // namespace

LoopThread::LoopThread(const std::string& name) : thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

LoopThread::~LoopThread() { Stop(); }

void LoopThread::Stop() {
  if (!thread_.joinable()) return;
  CHECK(!IsCurrent());
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.Signal();
  }
  thread_.join();
}

void LoopThread::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  tasks_.push_back(std::move(task));
  if (waiting_) wake_.Signal();
}

void LoopThread::RunAt(int64_t at_micros, Task task) {
  CHECK(IsCurrent());
  timers_.Add(at_micros, std::move(task));
}

bool LoopThread::IsCurrent() const { return current_loop == this; }

int64_t LoopThread::MonotonicMicros() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t LoopThread::WallMicros() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool LoopThread::TakeTasks(std::vector<Task>* tasks) {
  absl::MutexLock lock(&mutex_);
  waiting_ = true;
  while (tasks_.empty() && !stopping_) {
    if (timers_.empty()) {
      wake_.Wait(&mutex_);
      continue;
    }
    const int64_t ahead = timers_.next_micros() - MonotonicMicros();
    if (ahead <= 0 || wake_.WaitWithTimeout(&mutex_, absl::Microseconds(ahead))) break;
  }
  waiting_ = false;
  tasks->swap(tasks_);
  return !tasks->empty() || !stopping_;
}

void LoopThread::Run() {
  current_loop = this;
  std::vector<Task> tasks;
  while (TakeTasks(&tasks)) {
    for (Task& task : tasks) std::move(task)();
    tasks.clear();
    timers_.RunDue(MonotonicMicros());
  }
}

}  // namespace holdfast
