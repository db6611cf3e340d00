// One run of a bare-core profile: nodes of raft::Core over a simulated network and disks.
//
// Two phases: the actions of the schedule, then everything heals (but for a minority that the
// schedule may name), and the rest must make progress within a bound: every write acknowledged, a
// read answered by each member, every member with the same state.

#ifndef HOLDFAST_TESTS_SIM_CORE_RUN_H_
#define HOLDFAST_TESTS_SIM_CORE_RUN_H_

#include <cstdio>

#include "tests/sim/run_result.h"
#include "tests/sim/schedule.h"

namespace holdfast::sim {

// The same schedule gives the same result. `trace`: where to tell what happens; nullptr: nowhere.
RunResult RunCore(const Schedule& schedule, std::FILE* trace);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_CORE_RUN_H_
