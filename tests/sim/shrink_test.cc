#include "tests/sim/shrink.h"

#include <algorithm>
#include <cstdint>

#include "gtest/gtest.h"
#include "tests/sim/profile.h"
#include "tests/sim/schedule.h"

namespace holdfast::sim {
namespace {

bool HasBoth(const Schedule& schedule) {
  const auto has = [&schedule](ActionKind kind) {
    return std::any_of(schedule.actions.begin(), schedule.actions.end(),
                       [kind](const Action& action) { return action.kind == kind; });
  };
  return has(ActionKind::kCrash) && has(ActionKind::kTransfer);
}

Schedule FailingSchedule() {
  Profile profile = *FindProfile("core");
  profile.always = {ActionKind::kCrash, ActionKind::kTransfer};
  return DrawSchedule(profile, 7);
}

TEST(Shrink, OnlyWhatIsNeededToFailIsLeft) {
  const Schedule schedule = FailingSchedule();
  ASSERT_GT(schedule.actions.size(), 50u);
  const Schedule small = Shrink(
      schedule, [] { return false; }, HasBoth);
  EXPECT_EQ(small.actions.size(), 2u);
  EXPECT_TRUE(HasBoth(small));
  EXPECT_EQ(small.setup.loss_per_1000, 0u);
}

TEST(Shrink, GivesUpWithWhatItHas) {
  const Schedule schedule = FailingSchedule();
  uint64_t asked = 0;
  const Schedule small = Shrink(
      schedule, [&asked] { return asked == 12; },
      [&asked](const Schedule& smaller) {
        ++asked;
        return HasBoth(smaller);
      });
  EXPECT_EQ(asked, 12u);
  EXPECT_TRUE(HasBoth(small));
}

TEST(Schedule, OneSeedGivesOneSchedule) {
  for (const Profile& profile : Profiles()) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      EXPECT_EQ(Describe(DrawSchedule(profile, seed)), Describe(DrawSchedule(profile, seed)));
    }
    EXPECT_NE(Describe(DrawSchedule(profile, 1)), Describe(DrawSchedule(profile, 2)));
  }
}

}  // namespace
}  // namespace holdfast::sim
