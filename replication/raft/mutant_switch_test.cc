// In what is shipped, the switches of base/mutant.h are not there.

#include <cstdint>

#include "base/mutant.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

#ifdef HOLDFAST_MUTANTS

TEST(MutantSwitch, IsOnForOneMutantAtATime) {
  SetMutant(Mutant::kCommitGoesBack);
  EXPECT_TRUE(MutantIs(Mutant::kCommitGoesBack));
  EXPECT_FALSE(MutantIs(Mutant::kAckUncheckedTail));
  SetMutant(Mutant::kNone);
  EXPECT_FALSE(MutantIs(Mutant::kCommitGoesBack));
}

#else

constexpr bool AnyMutantIsOn() {
  for (uint8_t i = 0; i < static_cast<uint8_t>(Mutant::kCount); ++i) {
    if (MutantIs(static_cast<Mutant>(i))) return true;
  }
  return false;
}

// Known when it is compiled: nothing is asked when it runs, and the wrong branch is dropped.
static_assert(!AnyMutantIsOn());

TEST(MutantSwitch, CostsNothingWhereMutantsAreNotBuilt) {
  constexpr int branches = AnyMutantIsOn() ? 1 : 0;
  EXPECT_EQ(branches, 0);
}

#endif

}  // namespace
}  // namespace holdfast
