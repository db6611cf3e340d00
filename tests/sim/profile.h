// Which faults a run may have: a profile and a seed give a Schedule.
//
// Each seed picks some of its profile's kinds of fault, and how often each comes, so that over
// many seeds every kind is met alone, with every other, and in calm.

#ifndef HOLDFAST_TESTS_SIM_PROFILE_H_
#define HOLDFAST_TESTS_SIM_PROFILE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "tests/sim/schedule.h"

namespace holdfast::sim {

enum class Layer : uint8_t {
  kCore,    // the bare Raft core with a small state machine
  kEngine,  // Group, shard engine and queue machine
};

struct Profile {
  std::string_view name;
  std::string_view what;  // one line, for --help
  Layer layer = Layer::kCore;
  std::vector<ActionKind> sometimes;  // each in about half of the seeds
  std::vector<ActionKind> always;
};

const std::vector<Profile>& Profiles();
// nullptr: there is none of that name.
const Profile* FindProfile(std::string_view name);

Schedule DrawSchedule(const Profile& profile, uint64_t seed);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_PROFILE_H_
