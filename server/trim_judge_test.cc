#include "server/trim_judge.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr uint64_t kMib = 1 << 20;

TEST(TrimJudge, ItIsTimeOnceMuchHasGoneAndLittleChanges) {
  TrimJudge judge;
  EXPECT_FALSE(judge.Note(0));
  EXPECT_FALSE(judge.Note(300 * kMib));
  EXPECT_FALSE(judge.Note(300 * kMib)) << "nothing has gone";
  EXPECT_FALSE(judge.Note(100 * kMib)) << "it is still going";
  EXPECT_FALSE(judge.Note(2 * kMib));
  EXPECT_TRUE(judge.Note(2 * kMib - 1));
  EXPECT_FALSE(judge.Note(2 * kMib - 1)) << "once";
}

TEST(TrimJudge, LittleIsNotWorthIt) {
  TrimJudge judge;
  EXPECT_FALSE(judge.Note(TrimJudge::kWorthBytes - 1));
  EXPECT_FALSE(judge.Note(0));
  EXPECT_FALSE(judge.Note(0));
}

}  // namespace
}  // namespace holdfast
