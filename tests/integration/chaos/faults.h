// What is done to a cluster: each fault is done, held for a while and, as far as it wants, undone;
// Cluster::Heal() undoes the rest.
//
// Functions without state.

#ifndef HOLDFAST_TESTS_INTEGRATION_CHAOS_FAULTS_H_
#define HOLDFAST_TESTS_INTEGRATION_CHAOS_FAULTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/prng.h"
#include "tests/integration/chaos/cluster.h"

namespace holdfast::testing {

struct Fault {
  enum class Needs { kNothing, kPreload, kNamespaces, kSmallDisk, kClocks };

  std::string kind;  // kill, power, pause, partition, restart, disk, clock, members
  std::string name;
  Needs needs = Needs::kNothing;
  // Errors: a node ended by itself, or could not be harmed.
  absl::Status (*run)(Cluster* cluster, Prng* random) = nullptr;
};

// All of them, in a fixed order.
const std::vector<Fault>& AllFaults();

// Those of these kinds (all, if none is named) that can be done to a cluster with these options.
std::vector<Fault> FaultsFor(const std::vector<std::string>& kinds, const ClusterOptions& options);

// Those that cannot be done only because the network cannot be cut.
std::vector<std::string> FaultsLost(const ClusterOptions& options);

// The last fault of a cluster: a minority's files are damaged where they were synced, and those
// nodes are retired: they find it and end, or serve what is right. Tells what became of each.
absl::StatusOr<std::vector<std::string>> FlipBits(Cluster* cluster, Prng* random);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CHAOS_FAULTS_H_
