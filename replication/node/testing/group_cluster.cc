#include "replication/node/testing/group_cluster.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "replication/raft/configuration.h"

namespace holdfast {
namespace {

class TestPinnedState final : public PinnedState {
 public:
  explicit TestPinnedState(TestState state) : state_(std::move(state)) {}
  const AppliedState& applied() const override { return state_.applied; }
  absl::StatusOr<StateChunk> Read(std::string_view, uint64_t) const override {
    return StateChunk{.data = "all of it", .next = "", .last = true};
  }
  const TestState& state() const { return state_; }

 private:
  const TestState state_;
};

// The commands travel as an object: how chunks are made is the state machine's own affair.
class TestStagedState final : public StagedState {
 public:
  absl::Status Add(const StateChunk&) override { return absl::OkStatus(); }
  std::string next() const override { return ""; }
  bool complete() const override { return true; }
  void set_commands(std::vector<std::string> commands) { commands_ = std::move(commands); }
  const std::vector<std::string>& commands() const { return commands_; }

 private:
  std::vector<std::string> commands_;
};

}  // namespace

// --- TestMachine.

TestMachine::TestMachine(SimulatedExecutor* executor, TestState* durable)
    : executor_(executor),
      durable_(durable),
      state_(*durable),
      delivered_(durable->applied.position.index) {}

void TestMachine::Flush() {
  *durable_ = state_;
  log_->Flushed(state_.applied.position.index);
}

size_t TestMachine::CountTold(const std::string& what) const {
  return static_cast<size_t>(std::count(told_.begin(), told_.end(), what));
}

void TestMachine::OnAppended(absl::Span<const raft::Entry> entries) {
  for (const raft::Entry& entry : entries) {
    told_.push_back(absl::StrCat("append ", entry.index.value()));
  }
}

void TestMachine::OnCommitted(absl::Span<const raft::Entry> entries) {
  for (const raft::Entry& entry : entries) {
    CHECK_EQ(entry.index.value(), delivered_.value() + 1);
    delivered_ = entry.index;
    told_.push_back(absl::StrCat("commit ", entry.index.value()));
    executor_->RunAt(executor_->MonotonicMicros() + apply_micros_,
                     [this, entry, installs = installs_] {
                       if (installs == installs_) Apply(entry);
                     });
  }
}

void TestMachine::Apply(const raft::Entry& entry) {
  CHECK_EQ(entry.index.value(), state_.applied.position.index.value() + 1);
  state_.applied.position = {entry.term, entry.index};
  state_.applied.installing = false;
  if (entry.type == raft::EntryType::kCommands) state_.commands.push_back(*entry.data);
  if (entry.type == raft::EntryType::kConfiguration) state_.applied.configuration = *entry.data;
  log_->Applied(entry.index);
}

void TestMachine::OnLeaderStart(Term term) {
  CHECK(!leading_);
  leading_ = true;
  told_.push_back(absl::StrCat("lead ", term.value()));
}

void TestMachine::OnLeaderStop(const absl::Status& why) {
  CHECK(leading_);
  leading_ = false;
  stopped_ = why;
  told_.push_back(absl::StrCat("stop ", absl::StatusCodeToString(why.code())));
}

void TestMachine::Pin(
    absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const PinnedState>>) &&> done) {
  executor_->Post([this, done = std::move(done)]() mutable {
    if (durable_->applied.position.index == LogIndex()) {
      return std::move(done)(absl::UnavailableError("nothing is flushed"));
    }
    std::move(done)(std::make_shared<const TestPinnedState>(*durable_));
  });
}

absl::StatusOr<std::shared_ptr<StagedState>> TestMachine::Stage(const raft::SnapshotDescriptor&) {
  return std::make_shared<TestStagedState>();
}

void TestMachine::Install(const raft::SnapshotDescriptor& snapshot,
                          std::shared_ptr<StagedState> staged,
                          absl::AnyInvocable<void(const absl::Status&) &&> done) {
  ++installs_;
  told_.push_back(absl::StrCat("install ", snapshot.index.value()));
  state_.applied = {.position = {snapshot.term, snapshot.index},
                    .configuration = raft::EncodeConfiguration(snapshot.configuration),
                    .installing = true};
  state_.commands = static_cast<const TestStagedState&>(*staged).commands();
  delivered_ = snapshot.index;
  executor_->RunAt(executor_->MonotonicMicros() + 1000, [this, done = std::move(done)]() mutable {
    *durable_ = state_;
    std::move(done)(absl::OkStatus());
  });
}

// --- TestReplica.

TestReplica::Run::Run(TestReplica* replica, const Group::Options& options)
    : executor(&replica->cluster_->events_),
      machine(&executor, &replica->durable_),
      group(options, &executor, &replica->store_, replica, &machine) {
  machine.Attach(&group);
  const auto& offsets = replica->cluster_->options_.wall_offsets;
  const size_t number = replica->node_.value() - 1;
  if (number < offsets.size()) executor.AdvanceWall(offsets[number]);
}

TestReplica::TestReplica(GroupCluster* cluster, NodeId node, DiskId disk)
    : cluster_(cluster), node_(node), id_(ReplicaOf(node, disk)) {}

TestReplica::~TestReplica() { Crash(); }

void TestReplica::Start(std::vector<ReplicaId> initial_voters) {
  Group::Options options = cluster_->options_.group;
  options.initial_voters = std::move(initial_voters);
  StartRun(std::move(options));
}

void TestReplica::StartForcedAlone() {
  Group::Options options = cluster_->options_.group;
  options.forced_alone = true;
  StartRun(std::move(options));
}

void TestReplica::StartRun(Group::Options options) {
  CHECK(!running());
  options.self = id_;
  options.seed += id_.value();
  options.incarnation = ++starts_;
  run_ = std::make_unique<Run>(this, options);
  OnLoop([this] { fatal_.Update(run_->group.Start(durable_.applied)); });
}

void TestReplica::Crash() {
  if (!running()) return;
  run_->executor.Crash();
  writes_.clear();
  failed_ = absl::OkStatus();
  run_.reset();
}

void TestReplica::OnLoop(const std::function<void()>& task) {
  run_->executor.Run([&task] { task(); });
}

absl::Status TestReplica::Propose(const std::string& data) {
  absl::Status status;
  OnLoop([&] { status = run_->group.Propose(std::make_shared<const std::string>(data)).status(); });
  return status;
}

void TestReplica::Write(LogWrite write, Done done) {
  writes_.emplace_back(std::move(write), std::move(done));
  run_->executor.RunAt(run_->executor.MonotonicMicros() + disk_.write_micros,
                       [this] { WriteNext(); });
}

void TestReplica::WriteNext() {
  if (disk_.stuck) {
    run_->executor.RunAt(run_->executor.MonotonicMicros() + disk_.write_micros,
                         [this] { WriteNext(); });
    return;
  }
  auto [write, done] = std::move(writes_.front());
  writes_.erase(writes_.begin());
  if (failed_.ok()) failed_ = disk_.failure;
  absl::Status status = failed_;
  if (status.ok()) {
    LogBatch batch;
    write.AddTo(cluster_->options_.group.shard, &batch);
    status = store_.Write(batch, SyncMode::kNow);
    CHECK_EQ(status, absl::OkStatus());
  }
  std::move(done)(status);
}

void TestReplica::Resume(Done done) {
  run_->executor.Post([this, done = std::move(done)]() mutable {
    failed_ = absl::OkStatus();
    std::move(done)(absl::OkStatus());
  });
}

void TestReplica::Read(LogIndex begin, LogIndex end, uint64_t bytes_max, ReadDone done) {
  ++reads_;
  run_->executor.RunAt(run_->executor.MonotonicMicros() + 200, [this, begin, end, bytes_max,
                                                                done = std::move(done)]() mutable {
    std::vector<StoredEntry> stored;
    const absl::Status status =
        store_.ReadEntries(cluster_->options_.group.shard, begin, end, bytes_max, &stored);
    if (!status.ok()) return std::move(done)(status);
    std::vector<raft::Entry> entries;
    for (const StoredEntry& entry : stored) {
      entries.push_back({.term = entry.term,
                         .index = entry.index,
                         .type = static_cast<raft::EntryType>(entry.type),
                         .data = std::make_shared<const std::string>(entry.payload)});
    }
    std::move(done)(std::move(entries));
  });
}

void TestReplica::Send(PeerMessage message) {
  ++sends_;
  cluster_->Deliver(id_, std::move(message), nullptr);
}

void TestReplica::SendSnapshot(PeerMessage message, std::shared_ptr<const PinnedState> state) {
  const ReplicaId to = message.message.to;
  cluster_->Deliver(id_, std::move(message), std::move(state));
  run_->executor.RunAt(run_->executor.MonotonicMicros() + 10'000, [this, to] {
    run_->group.ReportSnapshot(to, raft::Core::SnapshotResult::kInstalled);
  });
}

void TestReplica::Receive(PeerMessage message, std::shared_ptr<const PinnedState> state) {
  if (state == nullptr) return run_->group.Step(std::move(message));
  auto staged = run_->machine.Stage(*message.message.snapshot);
  CHECK(staged.ok());
  static_cast<TestStagedState&>(**staged).set_commands(
      static_cast<const TestPinnedState&>(*state).state().commands);
  run_->group.StepSnapshot(std::move(message), *std::move(staged));
}

// --- GroupCluster.

GroupCluster::GroupCluster(const Options& options) : options_(options) {
  for (int i = 0; i < options.nodes; ++i) AddNode();
}

GroupCluster::~GroupCluster() = default;

TestReplica& GroupCluster::AddNode() {
  const uint64_t number = nodes_.size() + 1;
  nodes_.push_back(
      std::make_unique<TestReplica>(this, NodeId(number), DiskId(1000 * number + number)));
  return *nodes_.back();
}

std::vector<ReplicaId> GroupCluster::ids() const {
  std::vector<ReplicaId> ids;
  for (const auto& node : nodes_) ids.push_back(node->id());
  std::sort(ids.begin(), ids.end());
  return ids;
}

void GroupCluster::Start() {
  for (const auto& node : nodes_) node->Start(ids());
}

bool GroupCluster::Await(const std::function<bool()>& condition) {
  for (int i = 0; i < 20'000 && !condition(); ++i) events_.RunFor(1000);
  return condition();
}

TestReplica& GroupCluster::AwaitLeader() {
  TestReplica* leader = nullptr;
  CHECK(Await([&] {
    for (const auto& node : nodes_) {
      const bool reachable = isolated_.count(node->id()) == 0;
      if (reachable && node->running() && node->machine().leading()) leader = node.get();
    }
    return leader != nullptr;
  }));
  return *leader;
}

void GroupCluster::Deliver(ReplicaId from, PeerMessage message,
                           std::shared_ptr<const PinnedState> state) {
  for (const auto& node : nodes_) {
    if (node->id() != message.message.to || !node->running()) continue;
    if (isolated_.count(from) + isolated_.count(node->id()) > 0) return;
    // At the receiver's: what it has not taken is lost when it crashes.
    node->executor().Post([this, receiver = node.get(), message = std::move(message),
                           state = std::move(state)]() mutable {
      SimulatedExecutor& executor = receiver->executor();
      executor.RunAt(executor.MonotonicMicros() + options_.message_micros,
                     [receiver, message = std::move(message), state = std::move(state)]() mutable {
                       receiver->Receive(std::move(message), std::move(state));
                     });
    });
    return;
  }
}

}  // namespace holdfast
