// Clients use clusters of real processes while faults come, one after the other; then everything is
// drained and the histories are judged.

#ifndef HOLDFAST_TESTS_INTEGRATION_CHAOS_CHAOS_RUN_H_
#define HOLDFAST_TESTS_INTEGRATION_CHAOS_CHAOS_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/integration/chaos/network.h"
#include "tests/integration/chaos/verdict.h"

namespace holdfast::testing {

struct ChaosOptions {
  std::string binary;     // `holdfast`
  std::string preload;    // libpowercut.so
  std::string directory;  // empty, of the run's own
  NetworkKind network = NetworkKind::kNamespaces;
  uint64_t seed = 1;
  int nodes = 3;
  int producers = 3;
  int workers = 4;
  int stream_workers = 3;
  int beanstalk_producers = 2;
  int beanstalk_workers = 4;
  std::vector<std::string> kinds;  // of faults (faults.h); empty: all
  // The end of the run: this long, and the fault under way; zero: when each fault has come once.
  absl::Duration length;
  // About. At most 5 s: who hears nothing of a node for 10 s may give others what its connections
  // hold, which the checkers would take for overlapping leases.
  absl::Duration fault_length_max = absl::Seconds(4);
  // The longest life of one cluster: then it is judged, and another begins.
  absl::Duration cluster_length = absl::Minutes(4);
  // Every second cluster has a node with a small disk (of this size), which can be full.
  // 0: none has. Needs kNamespaces.
  uint64_t small_disk_bytes = 0;
  std::string clock_library;  // libfaketime.so.1; empty: no clock is stepped. Needs kNamespaces.
  // Syncs are ignored and the power of all nodes is cut: must be found to lose jobs.
  bool control = false;
};

// Faults come in a random order, each once before any comes again. Prints what happens.
// Errors: what kept the run from its end: a cluster that did not heal, did not drain, or a node
// that ended by itself. Violations are not errors.
absl::StatusOr<Verdict> RunChaos(const ChaosOptions& options);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CHAOS_CHAOS_RUN_H_
