// Runs the seeds of a profile in several processes.

#ifndef HOLDFAST_TESTS_SIM_SEED_POOL_H_
#define HOLDFAST_TESTS_SIM_SEED_POOL_H_

#include <cstdint>
#include <functional>

#include "tests/sim/profile.h"
#include "tests/sim/run_result.h"

namespace holdfast::sim {

struct SeedRange {
  uint64_t first = 1;
  uint64_t last = 1;  // included
};

// "7" or "A..B". False: it is neither, or empty.
bool ParseSeeds(const char* text, SeedRange* seeds);

// `on_run` is called for each seed, in no particular order; once it has returned false no further
// run begins. `jobs` processes work at a time. REQUIRES: the process has one thread.
void RunSeeds(const Profile& profile, SeedRange seeds, unsigned jobs,
              const std::function<bool(uint64_t seed, const RunResult& result)>& on_run);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_SEED_POOL_H_
