// What a run found, and what happened in it.
//
// Plain values.

#ifndef HOLDFAST_TESTS_SIM_RUN_RESULT_H_
#define HOLDFAST_TESTS_SIM_RUN_RESULT_H_

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::sim {

// How often each thing happened: that a run without violations is worth something.
struct RunStats {
  uint64_t runs = 0;
  uint64_t steps = 0;
  uint64_t simulated_micros = 0;
  uint64_t messages = 0;
  uint64_t lost = 0;
  uint64_t duplicated = 0;
  uint64_t commits = 0;  // entries, each counted once
  uint64_t acknowledged = 0;
  uint64_t reads = 0;
  uint64_t leader_changes = 0;
  uint64_t crashes = 0;
  uint64_t pauses = 0;
  uint64_t partitions = 0;
  uint64_t lost_writes = 0;  // writes under way that a crash dropped
  uint64_t torn_writes = 0;
  uint64_t failed_writes = 0;
  uint64_t wiped_disks = 0;
  uint64_t truncations = 0;
  uint64_t snapshots = 0;
  uint64_t log_cuts = 0;
  uint64_t member_changes = 0;
  uint64_t transfers = 0;
  uint64_t clock_steps = 0;
  uint64_t heal_micros = 0;      // the sum, and the longest, of the time from healing to progress
  uint64_t heal_micros_max = 0;  // of one run

  void Add(const RunStats& other);
};

// The summary line's text: "412 runs, 1,204,511 steps, ...".
std::string Describe(const RunStats& stats);

struct Violation {
  std::string rule;  // short and fixed: runs with the same rule failed the same way
  std::string what;
};

struct RunResult {
  std::optional<Violation> violation;
  RunStats stats;
  uint64_t hash = 0;  // of everything that happened, in order
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_RUN_RESULT_H_
