#include "client/cli/progress.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

TEST(ProgressText, SaysHowFarHowFastAndHowLong) {
  const auto text = [](uint64_t done, uint64_t total, int seconds, int bar) {
    return ProgressText(done, total, absl::Seconds(seconds), "jobs imported", bar);
  };
  EXPECT_EQ(text(6, 12, 2, 10), "[=====>    ]  50% of 12 jobs imported, 3/s, 2s left");
  EXPECT_EQ(text(0, 12, 2, 4), "[>   ]   0% of 12 jobs imported, 0/s");
  EXPECT_EQ(text(12, 12, 2, 4), "[====] 100% of 12 jobs imported, 6/s");
  EXPECT_EQ(text(6, 12, 0, 0), " 50% of 12 jobs imported, 0/s");
  EXPECT_EQ(text(6, 0, 2, 4), "6 jobs imported, 3/s");
  EXPECT_EQ(text(1, 10'000, 1, 0), "  0% of 10000 jobs imported, 1/s, 2h46m39s left");
}

}  // namespace
}  // namespace holdfast
