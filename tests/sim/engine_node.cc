#include "tests/sim/engine_node.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "replication/raft/configuration.h"
#include "replication/raft/testing/describe.h"
#include "server/engine/forward/forward_server.h"
#include "server/engine/holder_registry.h"
#include "server/engine/overlay/flush_batch.h"
#include "server/engine/router.h"
#include "server/engine/snapshot/snapshot_pins.h"
#include "tests/sim/ledger.h"
#include "tests/sim/members.h"

namespace holdfast::sim {
namespace {

using raft::MessageType;

constexpr ShardId kShard(0);
// SimulatedExecutor's clocks begin here.
constexpr int64_t kEpochMicros = 1'700'000'000'000'000;
constexpr SimTime kHealedWriteMax{500};
constexpr SimTime kReadMax{2'000};
constexpr SimTime kChunkMax{4'000};
// How long an answer to a command that was passed on is waited for.
constexpr SimTime kStreamPatience(2'000'000);
constexpr SimTime kFlushEveryMin{20'000};
constexpr SimTime kFlushEveryMax{400'000};
constexpr uint64_t kChunkBytes = 4096;

Group::Options GroupOptions(const Setup& setup, ReplicaId self, uint64_t seed) {
  return {.shard = kShard,
          .self = self,
          .initial_voters = {},
          .seed = seed,
          .tick_micros = setup.tick.count(),
          .heartbeat_ticks = setup.heartbeat_ticks,
          .election_ticks = setup.election_ticks,
          .message_bytes_max = std::max<uint64_t>(setup.message_bytes_max, 200),
          .inflight_messages_max = setup.inflight_messages_max,
          .inflight_bytes_max = std::max<uint64_t>(setup.inflight_bytes_max, 1 << 20),
          .tail_bytes_max = uint64_t{setup.cached_entries} * 200,
          .keep_bytes = setup.keep_bytes,
          .pin_micros = 500'000,
          .retry_micros = 20'000};
}

Shard::Options ShardOptions(NodeId node, uint64_t incarnation, uint64_t hot_jobs_max) {
  Shard::Options options{
      .shard = kShard, .node = node, .incarnation = incarnation, .machine = {}, .proposer = {}};
  options.machine.shard = kShard;
  options.machine.shards = 1;
  options.machine.hot_jobs_max = hot_jobs_max;
  options.overlay_bytes_max = 1 << 20;
  return options;
}

}  // namespace

// --- What passes between the parts.

class EngineNode::WatchedMachine final : public StateMachine {
 public:
  WatchedMachine(EngineNode* node, Shard* shard) : node_(node), shard_(shard) {}

  void OnAppended(absl::Span<const raft::Entry> entries) override { shard_->OnAppended(entries); }
  void OnCommitted(absl::Span<const raft::Entry> entries) override {
    node_->OnDelivered(entries);
    shard_->OnCommitted(entries);
  }
  void OnLeaderStart(Term term) override {
    node_->OnLeaderStart(term);
    shard_->OnLeaderStart(term);
  }
  void OnLeaderStop(const absl::Status& why) override { shard_->OnLeaderStop(why); }
  void Pin(absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const PinnedState>>) &&> done)
      override {
    shard_->Pin(std::move(done));
  }
  absl::StatusOr<std::shared_ptr<StagedState>> Stage(
      const raft::SnapshotDescriptor& snapshot) override {
    return shard_->Stage(snapshot);
  }
  void Install(const raft::SnapshotDescriptor& snapshot, std::shared_ptr<StagedState> staged,
               absl::AnyInvocable<void(const absl::Status&) &&> done) override {
    ++node_->around_.stats->snapshots;
    node_->delivered_ = snapshot.index;
    shard_->Install(snapshot, std::move(staged), std::move(done));
  }

 private:
  EngineNode* const node_;
  Shard* const shard_;
};

class EngineNode::WatchedLog final : public ReplicatedLog {
 public:
  WatchedLog(EngineNode* node, Group* group) : node_(node), group_(group) {}

  absl::Status Start(const AppliedState& applied) override { return group_->Start(applied); }
  absl::StatusOr<LogPosition> Propose(std::shared_ptr<const std::string> data) override {
    return group_->Propose(std::move(data));
  }
  void ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) override {
    group_->ReadBarrier([this, asked = node_->around_.checker->committed(),
                         done = std::move(done)](absl::StatusOr<LogIndex> index) mutable {
      if (index.ok()) {
        ++node_->around_.stats->reads;
        // What is committed and not delivered yet may be read up to.
        if (*index < asked) node_->around_.checker->OnRead(node_->replica_, asked, *index);
      }
      std::move(done)(index);
    });
  }
  void Applied(LogIndex index) override {
    node_->OnApplied(index);
    group_->Applied(index);
  }
  void Flushed(LogIndex index) override {
    node_->OnFlushed(index);
    group_->Flushed(index);
  }
  int64_t WallMicros() const override { return group_->WallMicros(); }

 private:
  EngineNode* const node_;
  Group* const group_;
};

// The process.
struct EngineNode::Run {
  Run(EngineNode* node, const SimulatedExecutor::Clock& clock, const Group::Options& group_options)
      : loop(node->around_.events, clock),
        reader(node->around_.events, clock),
        store(node->state_disk_->Open()),
        holders(NodeId(node->slot_ + 1), node->incarnation_),
        shard(ShardOptions(NodeId(node->slot_ + 1), node->incarnation_,
                           node->around_.setup->hot_jobs_max),
              {.executor = &loop,
               .reader = &reader,
               .store = store.get(),
               .holders = &holders,
               .overlay_bytes = &overlay_bytes,
               .pins = &pins,
               .between_flushes =
                   [node](Task task) {
                     node->between_flushes_.push_back(std::move(task));
                     node->Later(SimTime(100), [node] { node->RunBetweenFlushes(); });
                   },
               .on_fatal = [node](const absl::Status& status) { node->OnFatal(status); },
               .on_dirty = [] {},
               .flush_soon = [node] { node->Later(SimTime(100), [node] { node->Flush(); }); },
               .on_cluster_record = nullptr}),
        machine(node, &shard),
        group(group_options, &loop, node->store_.get(), node, &machine),
        log(node, &group),
        // A client that asks a node without a way to the leader is to ask another soon.
        relay({.shard = ShardId(), .self = node->replica_, .wait_micros = 400'000},
              {.executor = &loop, .shard = &shard, .forwarder = node}),
        forward_server(ForwardServer::Options(), &loop, &shard),
        router({{&loop, &relay}}, &holders, Admission::Limits(), Info(node)) {
    shard.AttachLog(&log);
    shard.AttachClient(&relay);
    router.SetServing(true);
  }

  static EngineInfo Info(const EngineNode* node) {
    EngineInfo info;
    info.node = NodeId(node->slot_ + 1);
    info.shards = 1;
    return info;
  }

  SimulatedExecutor loop;
  SimulatedExecutor reader;
  std::unique_ptr<StateStore> store;
  HolderRegistry holders;
  SnapshotPins pins{SnapshotPins::Options()};
  std::atomic<uint64_t> overlay_bytes{0};
  Shard shard;
  WatchedMachine machine;
  Group group;
  WatchedLog log;
  Relay relay;
  ForwardServer forward_server;
  Router router;
};

// A command that was passed on. As over a stream: it arrives once or not at all, and so does its
// reply; when one of them is lost the stream breaks.
struct EngineNode::Forwarding {
  ReplicaId to;
  uint64_t to_incarnation = 0;
  uint64_t from_incarnation = 0;
  std::shared_ptr<const std::string> request;
  Forwarder::Done done;
  bool arrived = false;
};

// A state on its way to another replica.
struct EngineNode::Sending {
  PeerMessage message;
  std::shared_ptr<const PinnedState> state;
  uint64_t sender_incarnation = 0;
  // The receiver's.
  uint64_t receiver_incarnation = 0;
  std::shared_ptr<StagedState> staged;
  std::string expects;  // the cursor of the next piece
};

struct EngineNode::Piece {
  std::string cursor;
  StateChunk chunk;
};

EngineNode::EngineNode(Slot slot, DiskId disk, const EngineSurroundings& around)
    : slot_(slot), around_(around), random_(around.seed * 131 + slot) {
  ReplaceDisk(disk);
}

EngineNode::~EngineNode() { Crash(); }

std::string EngineNode::Name() const { return absl::StrCat("node ", slot_); }

void EngineNode::Later(SimTime span, std::function<void()> what) {
  around_.timeline->After(span, [this, incarnation = incarnation_, what = std::move(what)] {
    if (up() && incarnation == incarnation_) what();
  });
}

void EngineNode::OnLoop(std::function<void()> what) {
  run_->loop.Post([what = std::move(what)] { what(); });
}

// --- What is done to it.

void EngineNode::ReplaceDisk(DiskId disk) {
  CHECK(!up());
  disk_id_ = disk;
  replica_ = ReplicaOf(NodeId(slot_ + 1), disk);
  store_ = std::make_unique<MemoryLogStore>();
  state_disk_ = std::make_unique<FaultyStateDisk>();
  log_ = LogImage();
  hard_state_ = raft::HardState();
}

void EngineNode::Start(const std::vector<ReplicaId>& initial_voters) {
  CHECK(!up());
  ++incarnation_;
  fatal_ = failed_ = absl::OkStatus();
  delivered_ = LogIndex();
  disk_free_ = around_.timeline->now();
  flushing_ = false;
  Group::Options options = GroupOptions(*around_.setup, replica_, random_.Next());
  options.incarnation = incarnation_;
  options.initial_voters = initial_voters;
  const SimulatedExecutor::Clock clock{.drift_ppm =
                                           int64_t{around_.setup->drift_per_1000[slot_]} * 1000};
  run_ = std::make_unique<Run>(this, clock, options);
  run_->loop.AdvanceWall(wall_offset_);
  run_->reader.AdvanceWall(wall_offset_);
  if (around_.trace->on()) {
    around_.trace->Line(absl::StrCat(Name(), " starts: term ", hard_state_.term.value(), ", log (",
                                     log_.base().index.value(), ", ", log_.last().value(), "]"));
  }
  OnLoop([this] {
    const absl::StatusOr<AppliedState> applied = run_->shard.Restore();
    if (!applied.ok()) return OnFatal(applied.status());
    delivered_ = applied->position.index;
    const absl::Status status = run_->log.Start(*applied);
    if (!status.ok()) OnFatal(status);
  });
  FlushAgain();
}

void EngineNode::Crash() {
  if (!up()) return;
  ++around_.stats->crashes;
  if (around_.trace->on()) around_.trace->Line(Name() + " crashes");
  ++incarnation_;
  run_->loop.Crash();
  run_->reader.Crash();
  state_disk_->Crash();
  sending_.clear();
  changes_posted_ = 0;
  between_flushes_.clear();
  // Any prefix of the writes under way is there; of the next one, any prefix of its entries.
  for (uint64_t survive = random_.Below(writes_.size() + 1); survive > 0; --survive) {
    if (failed_.ok()) Put(writes_.front().write);
    writes_.pop_front();
  }
  if (!writes_.empty() && failed_.ok() && random_.Chance(1, 2)) {
    LogWrite torn = std::move(writes_.front().write);
    torn.hard_state.reset();
    torn.compact.reset();
    torn.entries.resize(random_.Below(torn.entries.size() + 1));
    Put(torn);
    ++around_.stats->torn_writes;
  }
  around_.stats->lost_writes += writes_.size();
  writes_.clear();
  run_.reset();
}

void EngineNode::Pause(SimTime until) {
  if (!up()) return;
  ++around_.stats->pauses;
  run_->loop.Pause();
  run_->reader.Pause();
  Later(until - around_.timeline->now(), [this] {
    run_->loop.Resume();
    run_->reader.Resume();
  });
}

void EngineNode::SlowDisk(SimTime until, uint64_t micros) {
  slow_disk_until_ = until;
  slow_disk_ = micros;
}

void EngineNode::StepClock(int64_t micros) {
  ++around_.stats->clock_steps;
  wall_offset_ += micros;
  if (!up()) return;
  run_->loop.AdvanceWall(micros);
  run_->reader.AdvanceWall(micros);
}

void EngineNode::Transfer(ReplicaId to) {
  if (!up()) return;
  ++around_.stats->transfers;
  OnLoop([this, to] { run_->group.TransferLeadership(to); });
}

raft::ProposeResult EngineNode::ChangeMembers(const raft::ConfigChange& change) {
  if (!up()) return raft::ProposeResult::kNotLeader;
  ++changes_posted_;
  OnLoop([this, change] {
    --changes_posted_;
    if (run_->group.ProposeConfigChange(change) == raft::ProposeResult::kOk) {
      ++around_.stats->member_changes;
    }
  });
  return raft::ProposeResult::kOk;
}

void EngineNode::Heal() {
  healed_ = true;
  fail_next_write_.reset();
  slow_disk_until_ = SimTime(0);
  if (!up()) return;
  run_->loop.Resume();
  run_->reader.Resume();
}

// --- What is so.

Engine& EngineNode::engine() { return run_->router; }

std::optional<raft::Status> EngineNode::GetStatus() const {
  return up() ? run_->group.GetStatus() : std::nullopt;
}

bool EngineNode::leads() const { return up() && run_->shard.leading(); }

LogIndex EngineNode::applied() const {
  return up() && fatal_.ok() && delivered_ != LogIndex() ? run_->shard.applied().index : LogIndex();
}

bool EngineNode::ChangesMembersAfter(LogIndex index) const {
  if (changes_posted_ > 0) return true;
  const auto in = [index](const std::vector<raft::Entry>& entries) {
    return std::any_of(entries.begin(), entries.end(), [index](const raft::Entry& entry) {
      return entry.type == raft::EntryType::kConfiguration && entry.index > index;
    });
  };
  return in(log_.entries()) ||
         std::any_of(writes_.begin(), writes_.end(),
                     [&in](const QueuedWrite& queued) { return in(queued.write.entries); });
}

// --- The log.

SimTime EngineNode::DrawWrite() {
  SimTime span = Draw(healed_ ? kHealedWriteMax : around_.setup->write_max);
  if (slow_disk_until_ > around_.timeline->now()) span += Draw(SimTime(slow_disk_));
  return span;
}

void EngineNode::Write(LogWrite write, GroupShell::Done done) {
  writes_.push_back({.write = std::move(write), .done = std::move(done)});
  disk_free_ = std::max(disk_free_, around_.timeline->now() + DrawWrite());
  Later(disk_free_ - around_.timeline->now(), [this] { WriteNext(); });
}

void EngineNode::WriteNext() {
  QueuedWrite queued = std::move(writes_.front());
  writes_.pop_front();
  if (queued.resumes) failed_ = absl::OkStatus();
  if (failed_.ok() && fail_next_write_.has_value()) {
    failed_ = *std::exchange(fail_next_write_, std::nullopt);
    ++around_.stats->failed_writes;
    if (around_.trace->on()) around_.trace->Line(Name() + ": a write fails: " + failed_.ToString());
    if (!absl::IsResourceExhausted(failed_)) {
      queued.write.hard_state.reset();
      queued.write.compact.reset();
      queued.write.entries.resize(random_.Below(queued.write.entries.size() + 1));
      Put(queued.write);
    }
  } else if (failed_.ok()) {
    Put(queued.write);
  }
  run_->loop.Post(
      [done = std::move(queued.done), status = failed_]() mutable { std::move(done)(status); });
}

void EngineNode::Put(const LogWrite& write) {
  LogBatch batch;
  write.AddTo(kShard, &batch);
  const absl::Status status = store_->Write(batch, SyncMode::kNow);
  if (!status.ok()) around_.checker->Fail("log writes", Name() + ": " + status.ToString());
  if (write.reset.has_value()) log_.Reset(*write.reset);
  if (log_.Write(write.entries) > 0) ++around_.stats->truncations;
  for (const raft::Entry& entry : write.entries) {
    if (entry.index <= log_.last() && log_.TermAt(entry.index) == entry.term) {
      around_.checker->OnEntry(replica_, log_, entry.index);
    }
  }
  if (write.hard_state.has_value()) hard_state_ = *write.hard_state;
  if (write.compact.has_value() && write.compact->index > log_.base().index) {
    ++around_.stats->log_cuts;
    log_.CutTo(write.compact->index);
  }
}

void EngineNode::Resume(GroupShell::Done done) {
  // In its place among the writes: those before it fail.
  Write(LogWrite(), std::move(done));
  writes_.back().resumes = true;
}

void EngineNode::Read(LogIndex begin, LogIndex end, uint64_t bytes_max, ReadDone done) {
  Later(Draw(kReadMax), [=, this, done = std::make_shared<ReadDone>(std::move(done))] {
    std::vector<StoredEntry> stored;
    const absl::Status status = store_->ReadEntries(kShard, begin, end, bytes_max, &stored);
    absl::StatusOr<std::vector<raft::Entry>> entries = std::vector<raft::Entry>();
    if (!status.ok()) {
      entries = status;
    } else {
      for (StoredEntry& entry : stored) {
        entries->push_back({.term = entry.term,
                            .index = entry.index,
                            .type = static_cast<raft::EntryType>(entry.type),
                            .data = std::make_shared<const std::string>(std::move(entry.payload))});
      }
    }
    run_->loop.Post(
        [done, entries = std::move(entries)]() mutable { std::move (*done)(std::move(entries)); });
  });
}

void EngineNode::OnFatal(const absl::Status& status) {
  if (around_.trace->on()) around_.trace->Line(Name() + " ends: " + status.ToString());
  if (fatal_.ok()) fatal_ = status;
  // Only a disk that failed may end it.
  if (failed_.ok()) around_.checker->Fail("no node ends", Name() + ": " + status.ToString());
}

// --- The state.

void EngineNode::FlushAgain() {
  const uint64_t span = random_.Between(static_cast<uint64_t>(kFlushEveryMin.count()),
                                        static_cast<uint64_t>(kFlushEveryMax.count()));
  Later(SimTime(span), [this] {
    Flush();
    FlushAgain();
  });
}

void EngineNode::Flush() {
  if (!up() || flushing_ || !fatal_.ok()) return;
  RunBetweenFlushes();
  flushing_ = true;
  OnLoop([this] {
    run_->shard.Freeze([this](Shard::Frozen frozen) {
      if (frozen.generation == nullptr) {
        flushing_ = false;
        return;
      }
      Later(DrawWrite(), [this, frozen = std::move(frozen)] { EndFlush(frozen); });
    });
  });
}

void EngineNode::EndFlush(const Shard::Frozen& frozen) {
  StateBatch batch;
  AddToBatch(*frozen.generation, frozen.applied, &batch);
  const absl::Status status = run_->store->Flush(batch);
  if (!status.ok()) return around_.checker->Fail("flushes", Name() + ": " + status.ToString());
  OnLoop([this] {
    run_->shard.Flushed();
    flushing_ = false;
    RunBetweenFlushes();
  });
}

void EngineNode::RunBetweenFlushes() {
  while (!flushing_ && !between_flushes_.empty()) {
    Task task = std::move(between_flushes_.front());
    between_flushes_.pop_front();
    std::move(task)();
  }
}

// --- The links.

void EngineNode::Send(PeerMessage message) {
  const raft::Message& raft = message.message;
  around_.checker->OnSend(raft, nullptr);
  if (raft.type == MessageType::kAppend || raft.type == MessageType::kHeartbeat) {
    around_.checker->OnLeads(replica_, raft.term);
  }
  EngineNode* const to = around_.host->NodeOf(raft.to);
  if (to == nullptr) return;
  EngineHost* const host = around_.host;
  const ReplicaId peer = raft.to;
  const bool sent = around_.network->Send(
      slot_, to->slot(), SimTime(0), [host, peer, message = std::move(message)] {
        EngineNode* const node = host->NodeOf(peer);
        if (node == nullptr || !node->up()) return;
        if (node->around_.trace->on()) {
          node->around_.trace->Line(
              absl::StrCat(node->Name(), " gets ", raft::DescribeMessage(message.message, "  ")));
        }
        *node->around_.hash =
            Mix(*node->around_.hash,
                static_cast<uint64_t>(message.message.type) << 32 ^ message.message.index.value());
        node->OnLoop([node, message] { node->run_->group.Step(message); });
      });
  if (sent || !random_.Chance(1, 4)) return;
  Later(Draw(SimTime(5'000)),
        [this, peer] { OnLoop([this, peer] { run_->group.ReportUnreachable(peer); }); });
}

void EngineNode::OnView(const GroupView& view) { run_->relay.OnLeader(view.leader); }

void EngineNode::Forward(ReplicaId to, ShardId, std::shared_ptr<const std::string> request,
                         Forwarder::Done done) {
  const auto forwarding = std::make_shared<Forwarding>();
  forwarding->to = to;
  forwarding->from_incarnation = incarnation_;
  forwarding->request = std::move(request);
  forwarding->done = std::move(done);
  EngineNode* const peer = around_.host->NodeOf(to);
  if (peer == nullptr || !peer->up() || random_.Chance(1, 50)) {
    return Later(Draw(SimTime(1'000)),
                 [this, forwarding] { EndForwarding(forwarding, Result::kNotSent, nullptr); });
  }
  forwarding->to_incarnation = peer->incarnation_;
  around_.network->Send(slot_, peer->slot(), SimTime(0), [this, peer, forwarding] {
    const bool same = peer->up() && peer->incarnation_ == forwarding->to_incarnation;
    if (!same || std::exchange(forwarding->arrived, true)) return;
    peer->OnLoop([this, forwarding] { Execute(forwarding); });
  });
  Later(kStreamPatience,
        [this, forwarding] { EndForwarding(forwarding, Result::kUnknown, nullptr); });
}

// On the loop of the node that was asked.
void EngineNode::Execute(const std::shared_ptr<Forwarding>& forwarding) {
  EngineNode* const peer = around_.host->NodeOf(forwarding->to);
  if (peer == nullptr || !peer->up()) return;
  peer->run_->forward_server.Handle(
      forwarding->request, [this, peer, forwarding](std::shared_ptr<const std::string> reply) {
        peer->around_.network->Send(peer->slot_, slot_, SimTime(0),
                                    [this, forwarding, reply = std::move(reply)] {
                                      EndForwarding(forwarding, Result::kReplied, reply);
                                    });
      });
}

void EngineNode::EndForwarding(const std::shared_ptr<Forwarding>& forwarding, Result result,
                               std::shared_ptr<const std::string> reply) {
  if (!up() || incarnation_ != forwarding->from_incarnation || forwarding->done == nullptr) return;
  OnLoop([done = std::make_shared<Forwarder::Done>(std::exchange(forwarding->done, nullptr)),
          result, reply = std::move(reply)] { std::move (*done)(result, reply); });
}

void EngineNode::SendSnapshot(PeerMessage message, std::shared_ptr<const PinnedState> state) {
  if (around_.trace->on()) {
    around_.trace->Line(absl::StrCat(Name(), " sends its state at ",
                                     message.message.snapshot->index.value(), " to replica ",
                                     message.message.to.value()));
  }
  const auto sending = std::make_shared<Sending>();
  sending->message = std::move(message);
  sending->state = std::move(state);
  sending->sender_incarnation = incarnation_;
  sending_[sending->message.message.to] = sending;
  SendChunk(sending, "");
}

void EngineNode::SendChunk(const std::shared_ptr<Sending>& sending, std::string cursor) {
  const ReplicaId peer = sending->message.message.to;
  const auto current = sending_.find(peer);
  if (current == sending_.end() || current->second != sending) return;
  const absl::StatusOr<StateChunk> chunk = sending->state->Read(cursor, kChunkBytes);
  EngineNode* const to = around_.host->NodeOf(peer);
  const bool sent =
      chunk.ok() && to != nullptr && to->up() &&
      around_.network->Send(
          slot_, to->slot(), Draw(kChunkMax),
          [host = around_.host, peer, sending, piece = Piece{cursor, *chunk}] {
            EngineNode* const node = host->NodeOf(peer);
            if (node == nullptr || !node->up()) return;
            node->OnLoop([node, sending, piece] { node->ReceiveChunk(sending, piece); });
          });
  if (!sent) return EndSending(sending, raft::Core::SnapshotResult::kFailed);
  // The next one goes when this must have arrived; a lost one ends it at the receiver.
  Later(kChunkMax + SimTime(1'000), [this, sending, chunk = *chunk] {
    if (chunk.last) return EndSending(sending, raft::Core::SnapshotResult::kInstalled);
    SendChunk(sending, chunk.next);
  });
}

void EngineNode::EndSending(const std::shared_ptr<Sending>& sending,
                            raft::Core::SnapshotResult result) {
  const ReplicaId peer = sending->message.message.to;
  sending_.erase(peer);
  if (around_.trace->on()) {
    around_.trace->Line(absl::StrCat(
        Name(),
        result == raft::Core::SnapshotResult::kInstalled ? " has sent" : " gives up sending",
        " its state to replica ", peer.value()));
  }
  Later(Draw(SimTime(50'000)), [this, peer, result] {
    OnLoop([this, peer, result] { run_->group.ReportSnapshot(peer, result); });
  });
}

void EngineNode::ReceiveChunk(const std::shared_ptr<Sending>& sending, const Piece& piece) {
  if (!fatal_.ok()) return;
  if (sending->staged == nullptr) {
    auto staged = run_->machine.Stage(*sending->message.message.snapshot);
    if (!staged.ok()) return;
    sending->staged = *std::move(staged);
    sending->receiver_incarnation = incarnation_;
    sending->expects = "";
  }
  // A piece that is missing, repeated or of before a crash: it can't be whole any more.
  if (sending->receiver_incarnation != incarnation_ || sending->expects != piece.cursor) return;
  const absl::Status status = sending->staged->Add(piece.chunk);
  if (!status.ok()) return around_.checker->Fail("staging", Name() + ": " + status.ToString());
  sending->expects = piece.chunk.next;
  if (!piece.chunk.last) return;
  run_->group.StepSnapshot(sending->message, std::exchange(sending->staged, nullptr));
}

// --- What the checker is told.

void EngineNode::OnLeaderStart(Term term) {
  if (!around_.trace->on()) return;
  const int64_t right = kEpochMicros + around_.timeline->now().count();
  around_.trace->Line(
      absl::StrCat(Name(), " leads term ", term.value(), "; by the clock agreed on it is ",
                   (run_->log.WallMicros() - right) / 1000, " ms later than it is, by its own ",
                   (run_->loop.WallMicros() - right) / 1000, " ms"));
}

void EngineNode::OnDelivered(absl::Span<const raft::Entry> entries) {
  for (const raft::Entry& entry : entries) {
    if (entry.index != Next(delivered_)) {
      around_.checker->Fail(
          "applied in order",
          absl::StrCat(Name(), " is given ", entry.index.value(), " after ", delivered_.value()));
    }
    if (log_.TermAt(entry.index) != entry.term) {
      around_.checker->Fail("durable before applied",
                            absl::StrCat(Name(), " is given ", entry.index.value(),
                                         " which is not in its durable log"));
      return;
    }
    const std::optional<raft::Status> status = run_->group.GetStatus();
    const Term term = status.has_value() ? status->hard_state.term : Term();
    around_.checker->OnCommit(replica_, delivered_, {entry.index, term, raft::Role::kFollower, {}},
                              log_);
    delivered_ = entry.index;
    if (entry.type != raft::EntryType::kConfiguration) continue;
    const auto configuration = raft::DecodeConfiguration(*entry.data);
    CHECK(configuration.has_value());
    if (around_.trace->on()) {
      around_.trace->Line(absl::StrCat(Name(), " is given the members ",
                                       MembersText(*configuration), " at ", entry.index.value()));
    }
    around_.checker->OnConfiguration(replica_, entry.index, *configuration);
  }
}

void EngineNode::OnApplied(LogIndex index) {
  const AppliedRow& applied = run_->shard.applied();
  if (applied.index != index) return;
  around_.checker->OnState(replica_, index, applied.state_hash);
  *around_.hash = Mix(*around_.hash, applied.state_hash);
}

void EngineNode::OnFlushed(LogIndex index) {
  if (index <= log_.last()) return;
  around_.checker->Fail("flushed within the log",
                        absl::StrCat(Name(), " has flushed ", index.value(), "; its log ends at ",
                                     log_.last().value()));
}

}  // namespace holdfast::sim
