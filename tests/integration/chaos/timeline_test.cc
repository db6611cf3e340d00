#include "tests/integration/chaos/timeline.h"

#include "gtest/gtest.h"

namespace holdfast::testing {
namespace {

constexpr int64_t kSecond = 1'000'000;

TEST(Timeline, TheLongestTimeIsThatBetweenAcknowledgements) {
  Timeline timeline;
  timeline.BeginFault("kill one", 3 * kSecond);
  const auto gaps =
      timeline.LongestGaps({2 * kSecond, 5 * kSecond, 4 * kSecond, 9 * kSecond}, 0, 10 * kSecond);
  EXPECT_EQ(gaps.with_majority.length, absl::Seconds(4));
  EXPECT_EQ(gaps.with_majority.fault, "kill one");
  EXPECT_EQ(gaps.without_majority.length, absl::ZeroDuration());
}

TEST(Timeline, BeginAndEndBoundTheTimesWithout) {
  const Timeline timeline;
  const auto all = timeline.LongestGaps({}, kSecond, 8 * kSecond);
  EXPECT_EQ(all.with_majority.length, absl::Seconds(7));
  EXPECT_EQ(all.with_majority.fault, "no fault");
  const auto last = timeline.LongestGaps({0, 3 * kSecond, 9 * kSecond}, kSecond, 8 * kSecond);
  EXPECT_EQ(last.with_majority.length, absl::Seconds(5));
}

TEST(Timeline, AMomentWithoutAMajorityExcusesTheTimeAroundItOnly) {
  Timeline timeline;
  timeline.SetMajority(true, 0);
  timeline.BeginFault("kill all", 4 * kSecond);
  timeline.SetMajority(false, 4 * kSecond);
  timeline.SetMajority(true, 6 * kSecond);
  timeline.BeginFault("ring", 13 * kSecond);
  const auto gaps = timeline.LongestGaps({3 * kSecond, 12 * kSecond, 14 * kSecond, 16 * kSecond},
                                         2 * kSecond, 17 * kSecond);
  EXPECT_EQ(gaps.without_majority.length, absl::Seconds(9));
  EXPECT_EQ(gaps.without_majority.fault, "kill all");
  EXPECT_EQ(gaps.with_majority.length, absl::Seconds(2));
  EXPECT_EQ(gaps.with_majority.fault, "ring");
}

TEST(Timeline, ATimeThatBeginsWithoutAMajorityIsExcused) {
  Timeline timeline;
  timeline.SetMajority(false, kSecond);
  const auto gaps = timeline.LongestGaps({2 * kSecond, 5 * kSecond}, kSecond, 6 * kSecond);
  EXPECT_EQ(gaps.without_majority.length, absl::Seconds(3));
  EXPECT_EQ(gaps.with_majority.length, absl::ZeroDuration());
}

TEST(Timeline, OnlyWhatWasDoneCountsAsAcknowledged) {
  std::vector<Operation> operations(5);
  for (size_t i = 0; i < operations.size(); ++i) {
    operations[i].end_micros = static_cast<int64_t>(i);
  }
  operations[0].enqueued = {{.key = 1, .ended = Ended::kOk}};
  operations[1].enqueued = {{.key = 2, .ended = Ended::kUnknown}};
  operations[2].grants = {{.id = 1}};
  operations[3].settled = {{.id = 1, .ended = Ended::kRefused}, {.id = 2, .ended = Ended::kOk}};
  operations[4].settled = {{.id = 1, .ended = Ended::kRefused}};
  EXPECT_EQ(AcknowledgedMicros(operations), (std::vector<int64_t>{0, 2, 3}));
}

}  // namespace
}  // namespace holdfast::testing
