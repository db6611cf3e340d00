// Groups of several nodes in one thread: simulated executors, a message delay, disks that can be
// slow, full or broken, and a state machine that remembers what it was told.
//
//   GroupCluster cluster({.nodes = 3});
//   cluster.Start();
//   TestReplica& leader = cluster.AwaitLeader();
//   leader.Propose("a");
//   cluster.RunFor(1'000'000);
//
// A node that crashes keeps its log and its last flushed state.
//
// Thread-safety: thread-compatible. No call is made from within a task.

#ifndef HOLDFAST_REPLICATION_NODE_TESTING_GROUP_CLUSTER_H_
#define HOLDFAST_REPLICATION_NODE_TESTING_GROUP_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/testing/simulated_executor.h"
#include "replication/node/group.h"
#include "replication/node/group_shell.h"
#include "replication/node/state_machine.h"
#include "storage/memory_log/memory_log_store.h"

namespace holdfast {

// Data of the commands applied, in order, and how far they reach.
struct TestState {
  AppliedState applied;
  std::vector<std::string> commands;
};

// A state machine whose state is the list of its commands. Applies `apply_micros` after it was
// told.
class TestMachine final : public StateMachine {
 public:
  TestMachine(SimulatedExecutor* executor, TestState* durable);

  void Attach(ReplicatedLog* log) { log_ = log; }
  // Makes what is applied durable and says so.
  void Flush();

  const TestState& state() const { return state_; }
  // "append 3", "commit 3", "lead 2", "stop UNAVAILABLE": what it was told, in order.
  const std::vector<std::string>& told() const { return told_; }
  size_t CountTold(const std::string& what) const;
  bool leading() const { return leading_; }
  absl::Status stopped() const { return stopped_; }
  void set_apply_micros(int64_t micros) { apply_micros_ = micros; }

  void OnAppended(absl::Span<const raft::Entry> entries) override;
  void OnCommitted(absl::Span<const raft::Entry> entries) override;
  void OnLeaderStart(Term term) override;
  void OnLeaderStop(const absl::Status& why) override;
  void Pin(absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const PinnedState>>) &&> done)
      override;
  absl::StatusOr<std::shared_ptr<StagedState>> Stage(
      const raft::SnapshotDescriptor& snapshot) override;
  void Install(const raft::SnapshotDescriptor& snapshot, std::shared_ptr<StagedState> staged,
               absl::AnyInvocable<void(const absl::Status&) &&> done) override;

 private:
  void Apply(const raft::Entry& entry);

  SimulatedExecutor* const executor_;
  TestState* const durable_;
  ReplicatedLog* log_ = nullptr;
  TestState state_;
  std::vector<std::string> told_;
  LogIndex delivered_;
  bool leading_ = false;
  absl::Status stopped_;
  int64_t apply_micros_ = 0;
  uint64_t installs_ = 0;  // entries delivered before the last one are not applied
};

class GroupCluster;

// One node: what outlives a crash, and the run between two.
class TestReplica final : public GroupShell {
 public:
  struct Disk {
    int64_t write_micros = 100;
    absl::Status failure;  // of every write
    bool stuck = false;    // nothing is written until it is not
  };

  TestReplica(GroupCluster* cluster, NodeId node, DiskId disk);
  ~TestReplica() override;

  void Start(std::vector<ReplicaId> initial_voters);
  // As its group's only voter (Group::Options::forced_alone).
  void StartForcedAlone();
  void Crash();
  bool running() const { return run_ != nullptr; }
  // The first error of Group::Start or OnFatal.
  const absl::Status& fatal() const { return fatal_; }
  // As the group told it last.
  const GroupView& view() const { return view_; }

  ReplicaId id() const { return id_; }
  Group& group() { return run_->group; }
  TestMachine& machine() { return run_->machine; }
  SimulatedExecutor& executor() { return run_->executor; }
  MemoryLogStore& store() { return store_; }
  TestState& durable() { return durable_; }
  Disk& disk() { return disk_; }
  uint64_t reads() const { return reads_; }
  uint64_t sends() const { return sends_; }

  // As a task of the node's loop.
  void OnLoop(const std::function<void()>& task);
  absl::Status Propose(const std::string& data);
  void Receive(PeerMessage message, std::shared_ptr<const PinnedState> state);

  // --- GroupShell.
  void Write(LogWrite write, Done done) override;
  void Resume(Done done) override;
  void Read(LogIndex begin, LogIndex end, uint64_t bytes_max, ReadDone done) override;
  void Send(PeerMessage message) override;
  void SendSnapshot(PeerMessage message, std::shared_ptr<const PinnedState> state) override;
  void OnView(const GroupView& view) override { view_ = view; }
  void OnFatal(const absl::Status& status) override { fatal_.Update(status); }

 private:
  struct Run {
    Run(TestReplica* replica, const Group::Options& options);
    SimulatedExecutor executor;
    TestMachine machine;
    Group group;
  };
  void StartRun(Group::Options options);
  void WriteNext();

  GroupCluster* const cluster_;
  const NodeId node_;
  const ReplicaId id_;
  MemoryLogStore store_;
  TestState durable_;
  Disk disk_;
  absl::Status fatal_;
  GroupView view_;
  absl::Status failed_;  // until Resume
  uint64_t starts_ = 0;
  uint64_t reads_ = 0;
  uint64_t sends_ = 0;
  std::unique_ptr<Run> run_;
  std::vector<std::pair<LogWrite, Done>> writes_;
};

class GroupCluster {
 public:
  struct Options {
    int nodes = 1;
    Group::Options group = {.shard = ShardId(), .self = ReplicaId(), .initial_voters = {}};
    int64_t message_micros = 500;
    // The wall clock of node i is off by so much.
    std::vector<int64_t> wall_offsets = {};
  };
  explicit GroupCluster(const Options& options);
  ~GroupCluster();

  // Starts all nodes as the initial voters.
  void Start();
  void RunFor(int64_t micros) { events_.RunFor(micros); }
  // The node that leads, after at most 20 s. CHECKs that there is one.
  TestReplica& AwaitLeader();
  // The first node that is not this one.
  TestReplica& FollowerOf(const TestReplica& leader) { return node(&leader == &node(0) ? 1 : 0); }
  // Runs until it holds, at most 20 s; says whether it does.
  bool Await(const std::function<bool()>& condition);
  // What is sent to or by the node is lost.
  void Isolate(const TestReplica& replica) { isolated_.insert(replica.id()); }
  void Heal() { isolated_.clear(); }
  // One more node, which is no member yet.
  TestReplica& AddNode();

  const Options& options() const { return options_; }
  EventQueue& events() { return events_; }
  TestReplica& node(size_t i) { return *nodes_[i]; }
  size_t size() const { return nodes_.size(); }
  std::vector<ReplicaId> ids() const;

 private:
  friend class TestReplica;
  void Deliver(ReplicaId from, PeerMessage message, std::shared_ptr<const PinnedState> state);

  const Options options_;
  EventQueue events_;
  std::set<ReplicaId> isolated_;
  std::vector<std::unique_ptr<TestReplica>> nodes_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_TESTING_GROUP_CLUSTER_H_
