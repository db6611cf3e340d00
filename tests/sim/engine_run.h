// One run of an engine profile: the daemon's groups, shards and queue machines over a simulated
// network, disks and clocks, used by clients.
//
// Two phases: the actions of the schedule, then everything heals (but for a minority that the
// schedule may name), and the rest must make progress within a bound: every enqueue answered, every
// member with the same state, every queue drained. Then what the clients saw is judged.

#ifndef HOLDFAST_TESTS_SIM_ENGINE_RUN_H_
#define HOLDFAST_TESTS_SIM_ENGINE_RUN_H_

#include <cstdio>

#include "tests/sim/run_result.h"
#include "tests/sim/schedule.h"

namespace holdfast::sim {

// The same schedule gives the same result. `trace`: where to tell what happens; nullptr: nowhere.
RunResult RunEngine(const Schedule& schedule, std::FILE* trace);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_ENGINE_RUN_H_
