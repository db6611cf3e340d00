#include "client/bench/histogram.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

TEST(Histogram, PercentilesAreWithinABucketOfTheTruth) {
  Histogram histogram;
  for (int i = 1; i <= 100'000; ++i) histogram.Record(i);
  EXPECT_EQ(histogram.count(), 100'000u);
  EXPECT_EQ(histogram.max_micros(), 100'000u);
  for (const double part : {0.1, 0.5, 0.9, 0.99}) {
    EXPECT_NEAR(static_cast<double>(histogram.Percentile(part)), part * 1e5, part * 1e5 * 0.017);
  }
  EXPECT_EQ(histogram.Percentile(1), 100'000u);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  histogram.Record(-3);
  histogram.Record(7);
  EXPECT_EQ(histogram.Percentile(0), 0u);
  EXPECT_EQ(histogram.Percentile(0.6), 7u);
}

TEST(Histogram, LargestValueHasABucket) {
  Histogram histogram;
  histogram.Record(INT64_MAX);
  EXPECT_EQ(histogram.Percentile(0.5), static_cast<uint64_t>(INT64_MAX));
}

TEST(Histogram, MergedCountsAdd) {
  Histogram a;
  Histogram b;
  a.Record(10);
  b.Record(1000);
  a.Merge(b);
  EXPECT_EQ(a.count(), 2u);
  EXPECT_EQ(a.max_micros(), 1000u);
}

}  // namespace
}  // namespace holdfast
