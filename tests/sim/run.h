// A run of any profile.

#ifndef HOLDFAST_TESTS_SIM_RUN_H_
#define HOLDFAST_TESTS_SIM_RUN_H_

#include <cstdio>

#include "tests/sim/run_result.h"
#include "tests/sim/schedule.h"

namespace holdfast::sim {

// In this process: what ends it (a failed CHECK) ends the caller.
RunResult Run(const Schedule& schedule, std::FILE* trace);

// In a child process: one that ends, or does not end, is a violation like others, of the rules
// "crash" and "endless", with the last that it wrote to stderr. Nothing else is of the run's
// making. REQUIRES: the caller has one thread.
RunResult RunApart(const Schedule& schedule, std::FILE* trace);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_RUN_H_
