#include "tests/search/search.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast::search {
namespace {

struct Case {
  const char* name;
  Bounds bounds;
  uint64_t worlds_min;  // fewer: the search does not go where it should
};

class EveryWorld : public testing::TestWithParam<Case> {};

TEST_P(EveryWorld, IsSafe) {
  const Found found = Search(GetParam().bounds, 4'000'000);
  std::string path;
  for (const std::string& step : found.steps_to_violation) path += step + "\n";
  EXPECT_EQ(found.violation, "") << path;
  EXPECT_TRUE(found.complete) << found.worlds << " worlds";
  EXPECT_GE(found.worlds, GetParam().worlds_min);
}

Bounds Make(uint32_t voters, uint32_t terms, uint32_t proposals) {
  Bounds bounds;
  bounds.voters = voters;
  bounds.term_max = terms;
  bounds.proposals = proposals;
  return bounds;
}

Bounds WithCrashes(Bounds bounds, uint32_t crashes) {
  bounds.crashes = crashes;
  return bounds;
}

Bounds WithRepeats(Bounds bounds, uint32_t repeats) {
  bounds.repeats = repeats;
  return bounds;
}

Bounds WithSlowWrites(Bounds bounds) {
  bounds.slow_writes = true;
  return bounds;
}

INSTANTIATE_TEST_SUITE_P(
    Small, EveryWorld,
    testing::Values(
        Case{"ThreeVotersTwoTermsOneEntry", Make(3, 2, 1), 100'000},
        Case{"ThreeVotersThreeTerms", Make(3, 3, 0), 30'000},
        Case{"ThreeVotersCrashAndRepeat", WithRepeats(WithCrashes(Make(3, 2, 0), 1), 1), 200'000},
        Case{"TwoVotersSlowWrites", WithSlowWrites(Make(2, 2, 1)), 5'000},
        Case{"TwoVotersSlowWritesAndCrash", WithSlowWrites(WithCrashes(Make(2, 2, 0), 1)), 1'000},
        Case{"TwoVotersTwoEntriesCrash", WithCrashes(Make(2, 2, 2), 1), 10'000},
        Case{"TwoVotersThreeTerms", Make(2, 3, 1), 1'000}),
    [](const testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace holdfast::search
