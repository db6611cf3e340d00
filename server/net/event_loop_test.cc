#include "server/net/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

// Runs `task` on the loop and waits for it.
template <class F>
void On(EventLoop* loop, F task) {
  absl::Notification done;
  loop->Post([&] {
    task();
    done.Notify();
  });
  CHECK(done.WaitForNotificationWithTimeout(kPatience));
}

class EventFd final : public EventLoop::Watcher {
 public:
  EventFd() : fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~EventFd() { close(fd); }
  void OnEvents(uint32_t events) override {
    if ((events & EPOLLIN) == 0) return;
    ++seen;
    if (on_event) on_event();
  }
  void OnTurnEnd() override { ++turn_ends; }

  const int fd;
  std::function<void()> on_event;
  int seen = 0;
  int turn_ends = 0;
};

TEST(EventLoop, TasksRunInOrderOnTheLoop) {
  EventLoop loop("test");
  EXPECT_FALSE(loop.IsCurrent());
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) loop.Post([&order, i] { order.push_back(i); });
  bool current = false;
  On(&loop, [&] { current = loop.IsCurrent(); });
  EXPECT_TRUE(current);
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(EventLoop, TimersRunInOrderAndNeverEarly) {
  EventLoop loop("test");
  std::vector<int> order;
  int64_t early = 0;
  absl::Notification done;
  loop.Post([&] {
    const int64_t now = loop.MonotonicMicros();
    const auto at = [&](int64_t micros, int number) {
      loop.RunAt(micros, [&, micros, number] {
        if (loop.MonotonicMicros() < micros) ++early;
        order.push_back(number);
        if (number == 3) done.Notify();
      });
    };
    at(now + 20'500, 3);
    at(now + 10'000, 1);
    at(now + 10'000, 2);
  });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(early, 0);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(EventLoop, StopRunsWhatWasPostedAndDropsTheRest) {
  EventLoop loop("test");
  int ran = 0;
  loop.Post([&] {
    ++ran;
    loop.Post([&] { ++ran; });
    loop.RunAt(loop.MonotonicMicros() + 3'600'000'000, [&] { ++ran; });
  });
  loop.Post([&] { ++ran; });
  loop.Stop();
  const int at_stop = ran;
  EXPECT_GE(at_stop, 2);
  loop.Post([&] { ++ran; });
  EXPECT_EQ(ran, at_stop);
}

TEST(EventLoop, AChangeOfReadinessIsToldOnce) {
  EventLoop loop("test");
  EventFd file;
  absl::Notification told;
  file.on_event = [&] { told.Notify(); };
  On(&loop, [&] { loop.Watch(file.fd, &file); });
  CHECK_EQ(eventfd_write(file.fd, 1), 0);
  ASSERT_TRUE(told.WaitForNotificationWithTimeout(kPatience));
  int seen = 0;
  // Nothing was read, and still it is not told again.
  for (int turn = 0; turn < 3; ++turn) On(&loop, [&] { seen = file.seen; });
  EXPECT_EQ(seen, 1);
  On(&loop, [&] { loop.Unwatch(file.fd, &file); });
}

TEST(EventLoop, WhoIsUnwatchedInTheSameTurnIsNotCalled) {
  EventLoop loop("test");
  EventFd one;
  EventFd other;
  absl::Notification told;
  // Whichever comes first removes both.
  const auto remove = [&] {
    loop.AtTurnEnd(&one);
    loop.AtTurnEnd(&other);
    loop.Unwatch(one.fd, &one);
    loop.Unwatch(other.fd, &other);
    told.Notify();
  };
  one.on_event = remove;
  other.on_event = remove;
  On(&loop, [&] {
    loop.Watch(one.fd, &one);
    loop.Watch(other.fd, &other);
    CHECK_EQ(eventfd_write(one.fd, 1), 0);
    CHECK_EQ(eventfd_write(other.fd, 1), 0);
  });
  ASSERT_TRUE(told.WaitForNotificationWithTimeout(kPatience));
  On(&loop, [] {});
  EXPECT_EQ(one.seen + other.seen, 1);
  EXPECT_EQ(one.turn_ends + other.turn_ends, 0);
}

TEST(EventLoop, ATurnEndComesOnceAfterTheTurnsTasks) {
  EventLoop loop("test");
  EventFd file;
  int before = -1;
  On(&loop, [&] {
    loop.Watch(file.fd, &file);
    loop.AtTurnEnd(&file);
    loop.AtTurnEnd(&file);
    loop.Post([&] { before = file.turn_ends; });
  });
  absl::Notification later;
  loop.Post([&] { loop.RunAt(loop.MonotonicMicros() + 1000, [&] { later.Notify(); }); });
  ASSERT_TRUE(later.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(before, 0);
  EXPECT_EQ(file.turn_ends, 1);
  On(&loop, [&] { loop.Unwatch(file.fd, &file); });
}

}  // namespace
}  // namespace holdfast
