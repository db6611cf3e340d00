#include "replication/node/peer_clocks.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kHour = 3600 * kSecond;
constexpr int64_t kFresh = 10 * kSecond;
constexpr ReplicaId kSelf(1);
const std::vector<ReplicaId> kThree = {kSelf, ReplicaId(2), ReplicaId(3)};

TEST(PeerClocks, AnOnlyVotersClockIsItsOwn) {
  PeerClocks clocks(kSelf, kFresh);
  EXPECT_EQ(clocks.WallMicros({kSelf}, {.monotonic = 5, .wall = kHour}), kHour);
}

TEST(PeerClocks, TheMedianCountsNotTheOwn) {
  for (const int64_t off : {-kHour, kHour}) {
    PeerClocks clocks(kSelf, kFresh);
    clocks.Observe(ReplicaId(2), 100 * kHour, 0);
    clocks.Observe(ReplicaId(3), 100 * kHour + 1000, 0);
    const int64_t wall =
        clocks.WallMicros(kThree, {.monotonic = kSecond, .wall = 100 * kHour + kSecond + off});
    EXPECT_EQ(wall, 100 * kHour + kSecond + (off > 0 ? 1000 : 0));
  }
}

TEST(PeerClocks, OfTwoTheEarlierCountsAtFirst) {
  PeerClocks clocks(kSelf, kFresh);
  clocks.Observe(ReplicaId(2), 100 * kHour, 0);
  EXPECT_EQ(clocks.WallMicros(kThree, {.monotonic = 0, .wall = 101 * kHour}), 100 * kHour);
}

// While one of three voters is away, the clock of another is set wrong: which of the two is wrong
// nobody can tell, but where they agreed before.
TEST(PeerClocks, OfTwoNeitherMovesWhatWasAgreed) {
  for (const int64_t off : {-kHour, kHour}) {
    for (const bool own : {false, true}) {
      PeerClocks clocks(kSelf, kFresh);
      clocks.Observe(ReplicaId(2), 100 * kHour, 0);
      clocks.Observe(ReplicaId(3), 100 * kHour, 0);
      ASSERT_EQ(clocks.WallMicros(kThree, {.monotonic = 0, .wall = 100 * kHour}), 100 * kHour);
      const int64_t later = 2 * kFresh;
      const int64_t right = 100 * kHour + later;
      clocks.Observe(ReplicaId(2), own ? right : right + off, later);
      EXPECT_EQ(clocks.WallMicros(kThree, {.monotonic = later, .wall = own ? right + off : right}),
                right);
    }
  }
}

TEST(PeerClocks, TwoThatAreSetAgreeAgain) {
  for (const int64_t off : {-kHour, kHour}) {
    PeerClocks clocks(kSelf, kFresh);
    clocks.Observe(ReplicaId(2), 100 * kHour, 0);
    ASSERT_EQ(clocks.WallMicros(kThree, {.monotonic = 0, .wall = 100 * kHour}), 100 * kHour);
    clocks.Observe(ReplicaId(2), 100 * kHour + off, 0);
    EXPECT_EQ(clocks.WallMicros(kThree, {.monotonic = 0, .wall = 100 * kHour + off}),
              100 * kHour + off);
  }
}

TEST(PeerClocks, GoOnMonotonicallyWhenNobodyIsHeard) {
  PeerClocks clocks(kSelf, kFresh);
  clocks.Observe(ReplicaId(2), 100 * kHour, 0);
  clocks.Observe(ReplicaId(3), 100 * kHour, 0);
  ASSERT_EQ(clocks.WallMicros(kThree, {.monotonic = 0, .wall = 7 * kHour}), 100 * kHour);
  // Stale readings do not count, and one clock is not a majority's.
  EXPECT_EQ(clocks.WallMicros(kThree, {.monotonic = 60 * kSecond, .wall = 5 * kHour}),
            100 * kHour + 60 * kSecond);
}

TEST(PeerClocks, WhoIsNoVoterIsNotAsked) {
  PeerClocks clocks(kSelf, kFresh);
  clocks.Observe(ReplicaId(8), 100 * kHour, 0);
  clocks.Observe(ReplicaId(9), 100 * kHour, 0);
  EXPECT_EQ(clocks.WallMicros(kThree, {.monotonic = 0, .wall = 7 * kHour}), 7 * kHour);
}

}  // namespace
}  // namespace holdfast
