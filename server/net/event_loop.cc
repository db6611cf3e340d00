#include "server/net/event_loop.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/check.h"

namespace holdfast {
namespace {

constexpr size_t kScratchBytes = 64 << 10;

thread_local const EventLoop* current_loop = nullptr;

template <class Clock>
int64_t Micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch())
      .count();
}

}  // namespace

EventLoop::EventLoop(const std::string& name)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      scratch_(kScratchBytes),
      thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

EventLoop::~EventLoop() {
  Stop();
  close(wake_);
  close(epoll_);
}

void EventLoop::Stop() {
  if (!thread_.joinable()) return;
  CHECK(!IsCurrent());
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  CHECK_EQ(eventfd_write(wake_, 1), 0);
  thread_.join();
}

void EventLoop::Post(Task task) {
  bool wake = false;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
    wake = std::exchange(waiting_, false);
  }
  if (wake) CHECK_EQ(eventfd_write(wake_, 1), 0);
}

void EventLoop::RunAt(int64_t at_micros, Task task) {
  CHECK(IsCurrent());
  timers_.Add(at_micros, std::move(task));
}

bool EventLoop::IsCurrent() const { return current_loop == this; }
int64_t EventLoop::MonotonicMicros() const { return Micros<std::chrono::steady_clock>(); }
int64_t EventLoop::WallMicros() const { return Micros<std::chrono::system_clock>(); }

void EventLoop::Watch(int fd, Watcher* watcher) {
  CHECK(IsCurrent());
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = watcher;
  CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event), 0);
}

void EventLoop::Unwatch(int fd, Watcher* watcher) {
  CHECK(IsCurrent());
  CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr), 0);
  for (int i = event_; i < events_end_; ++i) {
    if (events_[static_cast<size_t>(i)].data.ptr == watcher) {
      events_[static_cast<size_t>(i)].data.ptr = nullptr;
    }
  }
  if (!watcher->wants_turn_end_) return;
  std::replace(turn_ends_.begin(), turn_ends_.end(), watcher, static_cast<Watcher*>(nullptr));
  std::replace(ending_.begin(), ending_.end(), watcher, static_cast<Watcher*>(nullptr));
}

void EventLoop::AtTurnEnd(Watcher* watcher) {
  CHECK(IsCurrent());
  if (std::exchange(watcher->wants_turn_end_, true)) return;
  turn_ends_.push_back(watcher);
}

int EventLoop::TimeoutMillis() const {
  if (!turn_ends_.empty()) return 0;
  if (timers_.empty()) return -1;
  const int64_t ahead = timers_.next_micros() - MonotonicMicros();
  // Rounded up: never early.
  return static_cast<int>(std::clamp<int64_t>((ahead + 999) / 1000, 0, 60'000));
}

void EventLoop::Wait() {
  int timeout = TimeoutMillis();
  {
    absl::MutexLock lock(&mutex_);
    if (!tasks_.empty() || stopping_) timeout = 0;
    waiting_ = timeout != 0;
  }
  const int count = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout);
  CHECK(count >= 0 || errno == EINTR);
  if (timeout != 0) {
    absl::MutexLock lock(&mutex_);
    waiting_ = false;
  }
  events_end_ = std::max(count, 0);
}

bool EventLoop::RunTasks() {
  {
    absl::MutexLock lock(&mutex_);
    running_.swap(tasks_);
  }
  if (running_.empty()) return false;
  for (Task& task : running_) std::move(task)();
  running_.clear();
  return true;
}

void EventLoop::RunTurnEnds() {
  ending_.swap(turn_ends_);
  for (size_t i = 0; i < ending_.size(); ++i) {
    if (ending_[i] == nullptr) continue;
    ending_[i]->wants_turn_end_ = false;
    std::exchange(ending_[i], nullptr)->OnTurnEnd();
  }
  ending_.clear();
}

bool EventLoop::IsEnding() {
  absl::MutexLock lock(&mutex_);
  return stopping_ && tasks_.empty();
}

void EventLoop::Run() {
  current_loop = this;
  epoll_event wake = {};
  wake.events = EPOLLIN | EPOLLET;
  CHECK_EQ(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &wake), 0);
  while (!IsEnding()) {
    Wait();
    for (event_ = 0; event_ < events_end_; ++event_) {
      const epoll_event event = events_[static_cast<size_t>(event_)];
      if (event.data.ptr != nullptr) static_cast<Watcher*>(event.data.ptr)->OnEvents(event.events);
    }
    for (int round = 0; round < kTaskRounds && RunTasks(); ++round) {
    }
    timers_.RunDue(MonotonicMicros());
    RunTurnEnds();
  }
}

}  // namespace holdfast
