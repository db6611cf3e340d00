// Every profile, over seeds: no promise is broken, and the faults that it is for have happened.
//
// HOLDFAST_SEEDS=A..B chooses the seeds. What is found is printed with the command that shows it.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "tests/sim/profile.h"
#include "tests/sim/run_result.h"
#include "tests/sim/seed_pool.h"

namespace holdfast::sim {
namespace {

constexpr unsigned kJobs = 2;
constexpr uint64_t kSeedsByDefault = 150;

SeedRange SeedsToRun() {
  SeedRange seeds{1, kSeedsByDefault};
  const char* const text = std::getenv("HOLDFAST_SEEDS");
  if (text != nullptr && *text != '\0') {
    EXPECT_TRUE(ParseSeeds(text, &seeds)) << text;
  }
  return seeds;
}

class Sim : public ::testing::TestWithParam<Profile> {};

TEST_P(Sim, NoPromiseIsBroken) {
  const Profile& profile = GetParam();
  const SeedRange seeds = SeedsToRun();
  RunStats stats;
  RunSeeds(profile, seeds, kJobs, [&](uint64_t seed, const RunResult& result) {
    stats.Add(result.stats);
    if (!result.violation.has_value()) return true;
    ADD_FAILURE() << "tools/sim --profile " << profile.name << " --seeds " << seed
                  << " --shrink: " << result.violation->rule << ": " << result.violation->what;
    return false;
  });
  RecordProperty("happened", Describe(stats));
  std::printf("%s\n", Describe(stats).c_str());
  EXPECT_EQ(stats.runs, seeds.last - seeds.first + 1);
  EXPECT_GT(stats.acknowledged, stats.runs);
  EXPECT_GT(stats.leader_changes, stats.runs);
  EXPECT_GT(stats.lost, stats.runs);
}

// Each of these has once shown a defect that none of the first seeds shows.
struct Found {
  std::string_view profile;
  uint64_t seed;
};
constexpr Found kFound[] = {
    // A candidate that counted by a configuration two changes old.
    {"everything", 89652},
};

TEST(SimFound, StaysMended) {
  for (const Found& found : kFound) {
    const Profile* const profile = FindProfile(found.profile);
    ASSERT_NE(profile, nullptr) << found.profile;
    RunSeeds(*profile, {found.seed, found.seed}, 1, [&](uint64_t seed, const RunResult& result) {
      EXPECT_FALSE(result.violation.has_value()) << found.profile << " " << seed;
      return true;
    });
  }
}

std::string NameOf(const ::testing::TestParamInfo<Profile>& info) {
  std::string name(info.param.name);
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Profiles, Sim, ::testing::ValuesIn(Profiles()), NameOf);

}  // namespace
}  // namespace holdfast::sim
