// A cluster of real `holdfast serve` processes to which anything may happen.
//
// Each node has a place in the network (network.h) and a disk whose power can be cut
// (tracked_disk.h), or that is small. What the cluster does to itself is in the timeline. Its
// members are changed as a user would, by `holdfast cluster`.

#ifndef HOLDFAST_TESTS_INTEGRATION_CHAOS_CLUSTER_H_
#define HOLDFAST_TESTS_INTEGRATION_CHAOS_CLUSTER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/prng.h"
#include "proto/holdfast/v1/admin.pb.h"
#include "tests/integration/chaos/network.h"
#include "tests/integration/chaos/timeline.h"
#include "tests/integration/tracked_disk.h"
#include "tests/support/checkers.h"
#include "tests/support/process.h"

namespace holdfast::testing {

struct ClusterOptions {
  std::string binary;                  // `holdfast`
  std::string preload;                 // libpowercut.so; empty: nobody's power can be cut
  std::string directory;               // empty, of the cluster's own
  std::vector<std::string> arguments;  // more of them, for each node
  NetworkKind network = NetworkKind::kNamespaces;
  int nodes = 3;
  int shards = 8;
  Syncs syncs = Syncs::kKept;
  absl::Duration fault_length_max = absl::Seconds(4);  // about
  // The last node's disk is a file system of this size in memory, and its power is never cut: it is
  // killed instead. 0: there is none. REQUIRES the sandbox.
  uint64_t small_disk_bytes = 0;
  // libfaketime.so.1: each node's wall clock can be set. Empty: none can. REQUIRES the sandbox.
  std::string clock_library = {};
};

// Nodes count from 0; the node id is one more.
// Thread-safety: thread-compatible; addresses and size from any thread.
class Cluster {
 public:
  // With all nodes started. Errors: INTERNAL.
  static absl::StatusOr<std::unique_ptr<Cluster>> Start(const ClusterOptions& options);
  ~Cluster();

  int size() const { return options_.nodes; }
  const ClusterOptions& options() const { return options_; }
  const std::string& AddressOf(int node) const { return network_->AddressOf(node); }
  const std::string& BeanstalkAddressOf(int node) const {
    return network_->BeanstalkAddressOf(node);
  }
  // The small disk's node.
  std::optional<int> small_node() const;
  Timeline* timeline() { return &timeline_; }

  // Some distinct nodes, in a random order. A retired node is none of them.
  std::vector<int> Some(int count, Prng* random) const;
  std::vector<int> All() const;
  // How many may be gone while the others still are a majority.
  int minority() const { return (size() - 1) / 2; }

  // --- To nodes that run. SIGKILL to all of them at once:
  void Kill(const std::vector<int>& nodes);
  // The same, and what was not synced is gone.
  absl::Status CutPower(const std::vector<int>& nodes, Prng* random);
  void Pause(const std::vector<int>& nodes);
  void Resume();
  // SIGTERM. INTERNAL when it does not end with exit code 0.
  absl::Status Stop(int node);
  // Stops and starts one after the other, each when the one before is ready, as health tells it.
  absl::Status RestartInTurn(const std::vector<int>& nodes, absl::Duration timeout);
  absl::Status AwaitReady(int node, absl::Duration timeout);
  absl::Status CutLinks(const std::vector<Cut>& cuts);
  // None of them hears the other side, nor is heard there.
  absl::Status Part(const std::vector<int>& one, const std::vector<int>& other);
  absl::Status HealLinks();
  // Fills the small disk, and makes room again. Meanwhile its node may end by itself.
  absl::Status FillDisk();
  absl::Status EmptyDisk();
  // Sets its wall clock forward or back against the true time; within a second.
  absl::Status SetClock(int node, int seconds);
  // The node is no part of this any more: it may end by itself, and is not started again.
  void Retire(int node) { retired_.insert(node); }
  bool Retired(int node) const { return retired_.count(node) > 0; }

  // `holdfast cluster COMMAND NODE ARGUMENTS`, at any other node, until it is done.
  // DEADLINE_EXCEEDED with what it said last when that takes longer than `timeout`.
  absl::Status ChangeMember(const std::string& command, int node,
                            const std::vector<std::string>& arguments, absl::Duration timeout);
  // Until the others know it as a member no more. REQUIRES: it is retired.
  absl::Status AwaitForgotten(int node, absl::Duration timeout);
  // Makes it lead every shard once, which only who votes there can.
  absl::Status AwaitVotes(int node, absl::Duration timeout);
  // Until a client of beanstalkd's protocol gets a job done there.
  absl::Status AwaitServes(int node, absl::Duration timeout);

  // --- To nodes that are stopped.
  absl::Status Start(int node);
  // What it starts with next is empty, and it then joins the others. It is not retired any more.
  void LoseDisk(int node);
  // All of them; also ends pauses and cuts, and sets clocks right.
  absl::Status Heal();

  bool Running(int node) const { return nodes_[static_cast<size_t>(node)].process != nullptr; }
  Process* process(int node) { return nodes_[static_cast<size_t>(node)].process.get(); }
  std::string DataDirectory(int node) const;

  // Lets the nodes run. INTERNAL, with what it said last, when one ended by itself.
  absl::Status Rest(absl::Duration duration);
  // Until all nodes that are not retired serve and each shard is led by one of them.
  // DEADLINE_EXCEEDED with what is missing.
  absl::Status AwaitHealthy(absl::Duration timeout);
  // Until all replicas have applied the same. DEADLINE_EXCEEDED when they do not get there;
  // what they are is judged by violations().
  absl::Status AwaitEqualReplicas(absl::Duration timeout);
  // The node that leads most shards, as the nodes tell.
  absl::StatusOr<int> Leader();

  // Of each pair of replicas that were seen to have applied the same entry and are not equal.
  const std::vector<Violation>& violations() const { return violations_; }
  // Unsynced writes that power cuts have taken away.
  uint64_t writes_cut() const { return writes_cut_; }
  // How many states were compared with another replica's.
  uint64_t states_compared() const { return states_compared_; }

 private:
  struct Node {
    std::string directory;
    std::unique_ptr<TrackedDisk> disk;  // nullptr: none whose power can be cut
    int disks_lost = 0;
    std::unique_ptr<Process> process;  // nullptr: it does not run
    bool paused = false;
    int clock_seconds = 0;
  };
  using Replicas = std::map<int, v1::ListReplicasResponse>;  // by node

  Cluster(const ClusterOptions& options, std::unique_ptr<Network> network);
  absl::Status MountSmallDisk();
  // Where its tracked disk is.
  std::string DiskOf(const Node& node) const;
  // An empty disk, in place of the one before if there was one.
  void NewDisk(int node);
  // The addresses of all others that are not retired, with commas.
  std::string OthersOf(int node) const;
  std::vector<std::string> ArgumentsOf(int node) const;
  absl::StatusOr<v1::ClusterView> AskMembers(int node);
  // What the node's process is started with.
  std::map<std::string, std::string> EnvironmentOf(const Node& node) const;
  bool HasMajority() const;
  void NoteMajority();
  // Asks all nodes that are not retired; UNAVAILABLE when one does not answer.
  absl::StatusOr<Replicas> AskReplicas();
  // Tries until it is OK. DEADLINE_EXCEEDED: `what`, and what it said last.
  absl::Status Retry(const std::string& what, absl::Duration timeout,
                     const std::function<absl::Status()>& attempt);
  // Asks until `check` is content. DEADLINE_EXCEEDED: `what`, and what it said last.
  absl::Status Await(const std::string& what, absl::Duration timeout,
                     const std::function<absl::Status(const Replicas&)>& check);
  void Compare(int node, const v1::ListReplicasResponse& replicas);

  const ClusterOptions options_;
  const std::unique_ptr<Network> network_;
  std::vector<Node> nodes_;
  std::set<int> retired_;
  std::set<std::pair<int, int>> cuts_;  // from, to
  bool disk_is_full_ = false;
  Timeline timeline_;

  struct Seen {
    int node;
    uint64_t state_hash;
  };
  std::map<std::pair<uint32_t, uint64_t>, Seen> states_;  // by shard and index
  uint64_t writes_cut_ = 0;
  uint64_t states_compared_ = 0;
  std::vector<Violation> violations_;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CHAOS_CLUSTER_H_
