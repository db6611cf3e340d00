#include "base/testing/simulated_executor.h"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

TEST(Events, RunInTheOrderOfTheirMomentsAndThenOfTheirNumbers) {
  EventQueue events;
  SimulatedExecutor a(&events);
  SimulatedExecutor b(&events);
  std::string order;
  const auto say = [&order](char c) { return [&order, c] { order += c; }; };
  a.Run([&] {
    a.RunAt(20, say('3'));
    a.RunAt(10, say('1'));
    b.Post(say('0'));
  });
  b.Run([&] { b.RunAt(10, say('2')); });
  EXPECT_EQ(events.RunUntilIdle(), 1);
  EXPECT_EQ(order, "0");
  EXPECT_EQ(events.now_micros(), 0) << "idle: no time passes";
  EXPECT_EQ(events.RunUntil(10), 2);
  EXPECT_EQ(order, "012");
  EXPECT_TRUE(events.RunOne());
  EXPECT_EQ(events.now_micros(), 20) << "RunOne lets time pass";
  EXPECT_FALSE(events.RunOne());
  EXPECT_EQ(order, "0123");
}

TEST(Events, TimePassesToTheEndOfRunUntilAlsoWithNothingToDo) {
  EventQueue events;
  SimulatedExecutor a(&events);
  EXPECT_EQ(events.RunUntil(500), 0);
  EXPECT_EQ(a.MonotonicMicros(), 500);
}

TEST(Events, OverdueTimerRunsAtOnce) {
  EventQueue events;
  SimulatedExecutor a(&events);
  events.RunUntil(100);
  bool ran = false;
  a.Run([&] { a.RunAt(5, [&ran] { ran = true; }); });
  EXPECT_EQ(events.RunUntilIdle(), 1);
  EXPECT_TRUE(ran);
  EXPECT_EQ(events.now_micros(), 100) << "time never goes back";
}

TEST(Events, TimerThatIsNeverDueDoesNotMakeTimePass) {
  EventQueue events;
  SimulatedExecutor a(&events);
  a.Run([&] { a.RunAt(INT64_MAX, [] {}); });
  EXPECT_FALSE(events.RunOne());
  EXPECT_EQ(a.pending(), 1u);
}

TEST(EventsDeathTest, RunThatNeverEndsIsNoticed) {
  EventQueue events;
  SimulatedExecutor a(&events);
  struct Loop {
    SimulatedExecutor* a;
    void operator()() const { a->Post(*this); }
  };
  a.Post(Loop{&a});
  EXPECT_DEATH(events.RunUntilIdle(1000), "tasks_max");
}

// What runs when, over ten tasks of each of three executors and five timers of one moment each.
std::string ShuffledOrder(uint64_t seed) {
  EventQueue events(EventQueue::Options{.shuffle_seed = seed});
  SimulatedExecutor a(&events);
  SimulatedExecutor b(&events);
  std::string order;
  for (char c = '0'; c <= '9'; ++c) {
    a.Post([&order, c] { order += c; });
    b.Post([&order, c] { order += static_cast<char>(c - '0' + 'a'); });
  }
  events.RunUntilIdle();
  a.Run([&] {
    for (char c = 'A'; c <= 'E'; ++c) a.RunAt(7, [&order, c] { order += c; });
  });
  events.RunUntil(7);
  return order;
}

TEST(Shuffling, EqualSeedsGiveEqualRunsAndOthersOthers) {
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    orders.insert(ShuffledOrder(seed));
    EXPECT_EQ(ShuffledOrder(seed), ShuffledOrder(seed));
  }
  EXPECT_GE(orders.size(), 19u);
}

TEST(Shuffling, TasksPostedToOneExecutorKeepTheirOrder) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::string digits;
    std::string letters;
    for (const char c : ShuffledOrder(seed)) {
      if (c >= '0' && c <= '9') digits += c;
      if (c >= 'a' && c <= 'j') letters += c;
    }
    EXPECT_EQ(digits, "0123456789");
    EXPECT_EQ(letters, "abcdefghij");
  }
}

TEST(Executors, TaskIsCurrentOnItsOwnExecutorOnly) {
  EventQueue events;
  SimulatedExecutor a(&events);
  SimulatedExecutor b(&events);
  EXPECT_FALSE(a.IsCurrent());
  a.Run([&] {
    EXPECT_TRUE(a.IsCurrent());
    EXPECT_FALSE(b.IsCurrent());
    b.Post([&] { EXPECT_TRUE(b.IsCurrent()); });
  });
  EXPECT_EQ(events.RunUntilIdle(), 1);
}

TEST(Executors, CrashDropsWhatWaitsAndWhatComesLater) {
  EventQueue events;
  SimulatedExecutor a(&events);
  SimulatedExecutor b(&events);
  bool ran = false;
  // A task that posts as it is destroyed, as callbacks do that say that they were dropped.
  auto last_words = std::shared_ptr<void>(nullptr, [&](void*) { a.Post([&ran] { ran = true; }); });
  a.Post([&ran, last_words] { ran = true; });
  last_words.reset();
  a.Run([&] { a.RunAt(3, [&ran] { ran = true; }); });
  int others = 0;
  b.Post([&others] { ++others; });
  a.Crash();
  a.Post([&ran] { ran = true; });
  events.RunUntil(10);
  EXPECT_FALSE(ran);
  EXPECT_EQ(a.pending(), 0u);
  EXPECT_EQ(others, 1) << "other machines go on";
}

TEST(Executors, PausedMachineRunsNothingWhileItsClocksGoOn) {
  EventQueue events;
  SimulatedExecutor a(&events);
  std::string order;
  a.Run([&] { a.RunAt(5, [&order] { order += 't'; }); });
  a.Pause();
  events.RunUntil(6);
  a.Post([&order] { order += 'p'; });
  events.RunUntil(10);
  EXPECT_EQ(order, "");
  EXPECT_EQ(a.MonotonicMicros(), 10);
  a.Resume();
  events.RunUntilIdle();
  EXPECT_EQ(order, "tp");
}

TEST(Clocks, DriftMovesBothClocksAndTimersWithThem) {
  EventQueue events;
  const SimulatedExecutor::Clock fast{.drift_ppm = 100, .wall_start_micros = 5'000};
  const SimulatedExecutor::Clock slow{.drift_ppm = -100, .wall_start_micros = 5'000};
  SimulatedExecutor a(&events, fast);
  SimulatedExecutor b(&events, slow);
  events.RunUntil(10'000'000);
  EXPECT_EQ(a.MonotonicMicros(), 10'001'000);
  EXPECT_EQ(b.MonotonicMicros(), 9'999'000);
  EXPECT_EQ(a.WallMicros(), 10'006'000);
  int64_t ran_at = 0;
  a.Run([&] { a.RunAt(20'002'000, [&] { ran_at = events.now_micros(); }); });
  b.Run([&] { b.RunAt(20'002'000, [&] { EXPECT_GE(b.MonotonicMicros(), 20'002'000); }); });
  events.RunUntil(21'000'000);
  EXPECT_EQ(ran_at, 20'000'000);
}

// A timer that were early by a microsecond of its own clock would be set again and again.
TEST(Clocks, TimerNeverRunsBeforeItsOwnClockShowsItsMoment) {
  for (const int64_t ppm : {-500'000, -333'333, -7, 0, 1, 12'345, 500'000}) {
    EventQueue events;
    SimulatedExecutor a(&events, {.drift_ppm = ppm, .wall_start_micros = 0});
    for (int64_t at = 1; at < 3'000'000; at = at * 3 + 1) {
      a.Run([&, at] {
        a.RunAt(at, [&, at] {
          EXPECT_GE(a.MonotonicMicros(), at) << ppm;
          EXPECT_LE(a.MonotonicMicros(), at + 1) << ppm;
        });
      });
    }
    while (events.RunOne()) {
    }
  }
}

TEST(Clocks, WallClockMayJumpAndTheMonotonicOneDoesNot) {
  EventQueue events;
  SimulatedExecutor a(&events, {.drift_ppm = 0, .wall_start_micros = 1'000});
  events.RunUntil(10);
  a.AdvanceWall(-500);
  EXPECT_EQ(a.WallMicros(), 510);
  EXPECT_EQ(a.MonotonicMicros(), 10);
}

}  // namespace
}  // namespace holdfast
