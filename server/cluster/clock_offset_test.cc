#include "server/cluster/clock_offset.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr int64_t kMilli = 1000;
constexpr int64_t kNow = 1'800'000'000'000'000;

ClockOffset At(int64_t millis, int64_t uncertainty_millis = 0) {
  return {.micros = millis * kMilli, .uncertainty_micros = uncertainty_millis * kMilli};
}

TEST(ClockOffset, IsFromTheMiddleOfTheRoundTripWithHalfOfItAsItsUncertainty) {
  EXPECT_EQ(EstimateOffset(kNow, 10, kNow + 5), (ClockOffset{0, 5}));
  EXPECT_EQ(EstimateOffset(kNow, 11, kNow + 5), (ClockOffset{0, 6}));
  EXPECT_EQ(EstimateOffset(kNow, 10, kNow - 95), (ClockOffset{-100, 5}));
  EXPECT_EQ(EstimateOffset(kNow, 0, kNow + 7), (ClockOffset{7, 0}));
}

// However the time is divided between the way there and the way back.
TEST(ClockOffset, TheTruthIsWithinTheUncertainty) {
  constexpr int64_t kRoundTrip = 101;
  for (const int64_t truth : {-kMilli, int64_t{0}, int64_t{3}, 900 * kMilli}) {
    for (int64_t there = 0; there <= kRoundTrip; ++there) {
      const ClockOffset clock = EstimateOffset(kNow, kRoundTrip, kNow + there + truth);
      EXPECT_LE(std::abs(clock.micros - truth), clock.uncertainty_micros) << truth << " " << there;
    }
  }
}

TEST(ClocksApart, AreTheTwoThatDifferMost) {
  EXPECT_EQ(FindClocksApart({}), std::nullopt);
  EXPECT_EQ(FindClocksApart({{NodeId(1), At(0)}}), std::nullopt);
  // Neither is far from the third.
  const auto apart =
      FindClocksApart({{NodeId(1), At(0)}, {NodeId(2), At(300)}, {NodeId(3), At(-300)}});
  EXPECT_EQ(apart, (ClocksApart{NodeId(3), NodeId(2), 600 * kMilli}));
}

TEST(ClocksApart, AreToldOnlyWhenThatIsCertain) {
  EXPECT_EQ(FindClocksApart({{NodeId(1), At(0)}, {NodeId(2), At(500)}}), std::nullopt);
  EXPECT_NE(FindClocksApart({{NodeId(1), At(0)}, {NodeId(2), At(501)}}), std::nullopt);
  EXPECT_EQ(FindClocksApart({{NodeId(1), At(0)}, {NodeId(2), At(700, 200)}}), std::nullopt);
  // The one that is furthest is not known well, the other is.
  EXPECT_EQ(FindClocksApart({{NodeId(1), At(0)}, {NodeId(2), At(900, 500)}, {NodeId(3), At(600)}}),
            (ClocksApart{NodeId(1), NodeId(3), 600 * kMilli}));
}

TEST(ClockWatch, TellsChangesOnly) {
  using Change = ClockWatch::Change;
  ClockWatch watch;
  EXPECT_EQ(watch.Observe(NodeId(2), At(100)), Change::kNone);
  EXPECT_EQ(watch.Observe(NodeId(2), At(-501)), Change::kApart);
  EXPECT_EQ(watch.Observe(NodeId(2), At(-900)), Change::kNone);
  EXPECT_EQ(watch.Observe(NodeId(3), At(900)), Change::kApart) << "each node for itself";
  EXPECT_EQ(watch.Observe(NodeId(2), At(499)), Change::kNone) << "just below the bound";
  EXPECT_EQ(watch.Observe(NodeId(2), At(0, 400)), Change::kNone) << "it is not known well";
  EXPECT_EQ(watch.Observe(NodeId(2), At(399)), Change::kRight);
  EXPECT_EQ(watch.Observe(NodeId(2), At(0)), Change::kNone);
  EXPECT_EQ(watch.Observe(NodeId(2), At(600)), Change::kApart);
}

}  // namespace
}  // namespace holdfast
