// A thread that runs tasks and timers in order and watches descriptors: the Executor on which
// connections live.
//
//   turn:  wait ─▶ events ─▶ tasks ─▶ timers ─▶ turn ends ─┐
//            ▲                                             │
//            └─────────────────────────────────────────────┘
//
// What is asked for at the end of a turn runs once all that came in the turn has been handled:
// there a connection writes what it has gathered, with one system call.
//
// Bounds: none of its own; what is posted is bounded by who posts. Tasks that post tasks hold
// events up for kTaskRounds rounds at most.
// Thread-safety: Post, the clocks and Stop from any thread (Stop not from its own); the rest is
// loop-bound.

#ifndef HOLDFAST_SERVER_NET_EVENT_LOOP_H_
#define HOLDFAST_SERVER_NET_EVENT_LOOP_H_

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"
#include "base/timer_heap.h"

namespace holdfast {

class EventLoop final : public Executor {
 public:
  static constexpr int kTaskRounds = 8;

  class Watcher {
   public:
    // `events`: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLERR, EPOLLHUP; edge-triggered.
    virtual void OnEvents(uint32_t events) = 0;
    virtual void OnTurnEnd() = 0;

   protected:
    ~Watcher() = default;

   private:
    friend class EventLoop;
    bool wants_turn_end_ = false;
  };

  // `name`: at most 15 characters, shown by ps and perf.
  explicit EventLoop(const std::string& name);
  // Stops if that was not done.
  ~EventLoop() override;

  // Runs what was posted before, drops timers, joins the thread. Later posts are dropped.
  void Stop();

  void Post(Task task) override;
  void RunAt(int64_t at_micros, Task task) override;
  bool IsCurrent() const override;
  int64_t MonotonicMicros() const override;
  int64_t WallMicros() const override;

  // --- Loop-bound.
  // Tells the watcher of every change of readiness. REQUIRES: `fd` is non-blocking and not
  // watched; the watcher lives until Unwatch.
  void Watch(int fd, Watcher* watcher);
  // It is not called any more.
  void Unwatch(int fd, Watcher* watcher);
  // OnTurnEnd is called once, at the end of this turn, or of the next if turn ends are running.
  void AtTurnEnd(Watcher* watcher);
  // Room for one read; what is in it is of no value once control returns to the loop.
  char* scratch() { return scratch_.data(); }
  size_t scratch_size() const { return scratch_.size(); }

 private:
  void Run();
  void Wait();
  // False if there were none.
  bool RunTasks();
  void RunTurnEnds();
  int TimeoutMillis() const;
  bool IsEnding();

  const int epoll_;
  const int wake_;  // an eventfd, written to end a wait; never read, since it is edge-triggered

  absl::Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;

  // The loop's own.
  TimerHeap timers_;
  std::vector<Task> running_;
  std::array<epoll_event, 256> events_;
  int event_ = 0;  // the one that is being handled
  int events_end_ = 0;
  std::vector<Watcher*> turn_ends_;
  std::vector<Watcher*> ending_;  // of turn_ends_, those that are being called
  std::vector<char> scratch_;

  std::thread thread_;  // last: starts when the rest is made
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_NET_EVENT_LOOP_H_
