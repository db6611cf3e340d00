#include "replication/raft/inflights.h"

#include <cstdint>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace holdfast::raft {
namespace {

constexpr Inflights::Limits kLimits{.messages_max = 4, .bytes_max = 100};

TEST(Inflights, FullByCount) {
  Inflights inflights;
  for (uint64_t i = 1; i <= 4; ++i) {
    EXPECT_FALSE(inflights.Full(kLimits));
    inflights.Add(LogIndex(i * 10), 1, kLimits);
  }
  EXPECT_TRUE(inflights.Full(kLimits));
  EXPECT_EQ(inflights.count(), 4u);
}

TEST(Inflights, FullByBytesOnceTheLimitIsReachedOrPassed) {
  Inflights inflights;
  inflights.Add(LogIndex(1), 99, kLimits);
  EXPECT_FALSE(inflights.Full(kLimits));
  inflights.Add(LogIndex(2), 50, kLimits);
  EXPECT_TRUE(inflights.Full(kLimits));
  EXPECT_EQ(inflights.bytes(), 149u);
}

TEST(Inflights, AnAnswerFreesAllUpToIt) {
  struct Case {
    uint64_t answered;
    size_t left;
    uint64_t first_left;
  };
  for (const Case& c : {Case{5, 3, 10}, Case{10, 2, 20}, Case{15, 2, 20}, Case{20, 1, 30},
                        Case{30, 0, 0}, Case{99, 0, 0}}) {
    Inflights inflights;
    for (const uint64_t last : {10, 20, 30}) inflights.Add(LogIndex(last), 7, kLimits);
    inflights.FreeUpTo(LogIndex(c.answered));
    EXPECT_EQ(inflights.count(), c.left) << c.answered;
    EXPECT_EQ(inflights.bytes(), 7 * c.left) << c.answered;
    EXPECT_EQ(inflights.first_last(), LogIndex(c.first_left)) << c.answered;
  }
}

TEST(Inflights, ClearedIsEmpty) {
  Inflights inflights;
  inflights.Add(LogIndex(1), 200, kLimits);
  inflights.Clear();
  EXPECT_FALSE(inflights.Full(kLimits));
  EXPECT_EQ(inflights.bytes(), 0u);
  inflights.Add(LogIndex(1), 1, kLimits);  // what was cleared is no bound for what comes
}

TEST(Inflights, WindowMovesRoundItsMemoryForEver) {
  Inflights inflights;
  const Inflights::Limits limits{.messages_max = 37};
  Prng random(1);
  uint64_t next = 1;
  uint64_t freed = 0;
  for (int step = 0; step < 10'000; ++step) {
    if (!inflights.Full(limits) && random.Chance(1, 2)) {
      inflights.Add(LogIndex(next), next, limits);
      ++next;
    } else {
      freed = random.Between(freed, next - 1);
      inflights.FreeUpTo(LogIndex(freed));
    }
    uint64_t bytes = 0;
    for (uint64_t i = freed + 1; i < next; ++i) bytes += i;
    ASSERT_EQ(inflights.count(), next - 1 - freed);
    ASSERT_EQ(inflights.bytes(), bytes);
  }
}

TEST(Ring, TakesNoMemoryBeforeUseAndGivesItBackWhenEmptyAndTold) {
  Ring<int> ring;
  EXPECT_EQ(ring.capacity(), 0u);
  for (int i = 0; i < 5; ++i) ring.PushBack(i);
  EXPECT_EQ(ring.capacity(), 8u);
  ring.ReleaseIfEmpty();
  EXPECT_EQ(ring.size(), 5u);
  ring.PopFront(5);
  EXPECT_EQ(ring.capacity(), 8u);
  ring.ReleaseIfEmpty();
  EXPECT_EQ(ring.capacity(), 0u);
  ring.PushBack(7);
  EXPECT_EQ(ring.front(), 7);
}

TEST(Ring, GrowsWhileItsFrontIsInTheMiddle) {
  Ring<int> ring;
  for (int i = 0; i < 4; ++i) ring.PushBack(i);
  ring.PopFront(3);
  for (int i = 4; i < 20; ++i) ring.PushBack(i);
  ASSERT_EQ(ring.size(), 17u);
  for (int i = 0; i < 17; ++i) EXPECT_EQ(ring[static_cast<size_t>(i)], i + 3);
  ring.Truncate(2);
  EXPECT_EQ(ring.back(), 4);
}

}  // namespace
}  // namespace holdfast::raft
