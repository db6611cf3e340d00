#include "tests/sim/core_node.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "replication/raft/configuration.h"
#include "replication/raft/testing/describe.h"
#include "tests/sim/members.h"

namespace holdfast::sim {
namespace {

using raft::Core;
using raft::Entry;
using raft::EntryType;
using raft::Message;
using raft::MessageType;
using raft::Ready;
using raft::Role;

constexpr SimTime kFetchMax{3'000};
constexpr SimTime kSnapshotMax{60'000};
constexpr SimTime kInstallMax{100'000};
constexpr SimTime kHealedWriteMax{500};
constexpr int kReadysMax = 10'000;

}  // namespace

CoreNode::CoreNode(Slot slot, ReplicaId replica, std::shared_ptr<const MachineState> state,
                   uint64_t seed, const Surroundings& around)
    : slot_(slot), around_(around), random_(seed) {
  ReplaceDisk(replica, std::move(state));
}

CoreNode::~CoreNode() = default;

std::string CoreNode::Name() const {
  return absl::StrCat("node ", slot_, " (replica ", replica_.value(), ")");
}

// --- Events.

void CoreNode::Later(SimTime when, std::function<void()> what) {
  around_.queue->At(when, [this, incarnation = incarnation_, what = std::move(what)] {
    Resume(incarnation, what);
  });
}

void CoreNode::Resume(uint64_t incarnation, const std::function<void()>& what) {
  if (incarnation != incarnation_ || !up()) return;
  if (!paused() && deferred_.empty()) {
    what();
    Pump();
    return;
  }
  deferred_.push_back(what);
  if (deferred_.size() > 1) return;
  around_.queue->At(paused_until_, [this, incarnation] {
    if (incarnation == incarnation_) Awake();
  });
}

// The end of a pause: what has come meanwhile, in its order.
void CoreNode::Awake() {
  const uint64_t incarnation = incarnation_;
  while (incarnation == incarnation_ && !deferred_.empty() && !paused()) {
    const std::function<void()> what = std::move(deferred_.front());
    deferred_.pop_front();
    what();
    Pump();
  }
}

void CoreNode::TickLater() {
  const int64_t tick = around_.setup->tick.count();
  const int64_t drift = around_.setup->drift_per_1000[slot_];
  Later(around_.queue->now() + SimTime(tick * 1000 / (1000 + drift)), [this] {
    core_->Tick();
    TickLater();
  });
}

// --- What is done to it.

void CoreNode::Start() {
  CHECK(!up());
  ++incarnation_;
  machine_ = *disk_->state();
  log_ = disk_->log();
  raft::HardState hard_state = disk_->hard_state();
  hard_state.commit = std::max(hard_state.commit, machine_.ledger.applied().index);
  const Term last_term = *log_.TermAt(log_.last());
  if (last_term > hard_state.term) hard_state = {last_term, ReplicaId(), hard_state.commit};
  const Setup& setup = *around_.setup;
  Core::Options options{
      .id = replica_,
      .election_ticks = setup.election_ticks,
      .heartbeat_ticks = setup.heartbeat_ticks,
      .seed = random_.Next(),
      .hard_state = hard_state,
      .applied = machine_.ledger.applied().index,
      .configuration = machine_.configuration,
      .write_mode = setup.write_apart ? Core::WriteMode::kApart : Core::WriteMode::kTogether,
      .pre_vote = setup.pre_vote,
      .check_quorum = setup.check_quorum,
      .message_bytes_max = setup.message_bytes_max,
      .committed_bytes_max = setup.committed_bytes_max,
      .uncommitted_bytes_max = setup.uncommitted_bytes_max,
      .inflight_messages_max = setup.inflight_messages_max,
      .inflight_bytes_max = setup.inflight_bytes_max,
      .log = nullptr,
  };
  if (around_.trace->on()) {
    options.log = [this](Core::Options::LogLevel, std::string_view text) {
      around_.trace->Line(absl::StrCat(Name(), ": ", std::string(text)));
    };
    around_.trace->Line(absl::StrCat(Name(), " starts: term ", hard_state.term.value(), ", log (",
                                     log_.base().index.value(), ", ", log_.last().value(),
                                     "], applied ", options.applied.value()));
  }
  core_ = std::make_unique<Core>(std::move(options), disk_.get());
  checked_commit_ = log_.base().index;
  last_commit_ = hard_state.commit;
  commits_.push_back({last_commit_, hard_state.term, Role::kFollower, machine_.configuration});
  disk_free_ = apply_free_ = around_.queue->now();
  TickLater();
  Pump();
}

void CoreNode::Crash() {
  if (!up()) return;
  if (around_.trace->on()) around_.trace->Line(absl::StrCat(Name(), " crashes"));
  ++around_.stats->crashes;
  ++incarnation_;
  core_.reset();
  disk_->Crash(&random_, around_.stats);
  together_busy_ = false;
  disk_failed_ = false;
  fail_next_write_ = false;
  ++apply_epoch_;
  proposed_.clear();
  reads_asked_.clear();
  reads_ready_.clear();
  flow_.Clear();
  paused_until_ = SimTime(0);
  deferred_.clear();
  commits_.clear();
}

void CoreNode::ReplaceDisk(ReplicaId replica, std::shared_ptr<const MachineState> state) {
  CHECK(!up());
  replica_ = replica;
  disk_ = std::make_unique<ReplicaDisk>(std::move(state), around_.setup->cached_entries);
  disk_->OnFetch([this] {
    Later(around_.queue->now() + Draw(kFetchMax), [this] {
      disk_->Fetched();
      core_->LogFetched();
    });
  });
  disk_->OnSnapshot(
      [this](std::shared_ptr<const MachineState> pinned) {
        return around_.host->Pin(std::move(pinned));
      },
      [this] { FlushThen([this] { core_->LogFetched(); }); });
}

void CoreNode::SlowDisk(SimTime until, uint64_t micros) {
  slow_disk_until_ = until;
  slow_disk_ = micros;
}

void CoreNode::SlowApply(SimTime until, uint64_t micros) {
  slow_apply_until_ = until;
  slow_apply_ = micros;
}

void CoreNode::Heal() {
  healed_ = true;
  slow_disk_until_ = slow_apply_until_ = SimTime(0);
  fail_next_write_ = false;
  paused_until_ = std::min(paused_until_, around_.queue->now());
  if (up()) Awake();
}

void CoreNode::Receive(const Message& message) {
  Resume(incarnation_, [this, message] {
    if (message.to != replica_) return;
    if (around_.trace->on()) {
      around_.trace->Line(absl::StrCat(Name(), " gets ", raft::DescribeMessage(message, "  ")));
    }
    *around_.hash = Mix(*around_.hash, static_cast<uint64_t>(message.type) << 32 ^
                                           message.term.value() << 16 ^ message.index.value());
    NoteAnswer(message);
    core_->Step(message);
  });
}

void CoreNode::NoteAnswer(const Message& message) {
  if (message.type != MessageType::kAppendResponse || core_->role() != Role::kLeader ||
      message.term != core_->term() || !around_.setup->write_apart) {
    return;
  }
  for (const auto& [peer, progress] : core_->GetStatus().progress) {
    if (peer != message.from) continue;
    const auto broken = flow_.OnAnswer(message, progress, log_);
    if (broken.has_value()) around_.checker->Fail("flow bounds", Name() + ": " + *broken);
  }
}

raft::ProposeResult CoreNode::Write(WriteId write, size_t bytes) {
  if (!up() || paused()) return raft::ProposeResult::kNotLeader;
  raft::EntryId where;
  const raft::ProposeResult result =
      core_->Propose(EntryType::kCommands, EncodeWrite(write, bytes), &where);
  if (result == raft::ProposeResult::kOk) proposed_[where.index] = {where.term, write};
  Pump();
  return result;
}

void CoreNode::Read(ReadId read) {
  if (!up() || paused()) return;
  reads_asked_[read] = around_.checker->committed();
  core_->ReadIndex(read);
  Pump();
}

void CoreNode::Campaign() {
  if (!up() || paused()) return;
  core_->Campaign();
  Pump();
}

void CoreNode::Transfer(ReplicaId to) {
  if (!up() || paused()) return;
  core_->TransferLeadership(to);
  Pump();
}

void CoreNode::ForgetLeader() {
  if (!up() || paused()) return;
  core_->ForgetLeader();
  Pump();
}

raft::ProposeResult CoreNode::ChangeMembers(const raft::ConfigChange& change) {
  if (!up() || paused()) return raft::ProposeResult::kNotLeader;
  const LogIndex applied = machine_.ledger.applied().index;
  const bool under_way =
      std::any_of(log_.entries().begin(), log_.entries().end(), [applied](const Entry& entry) {
        return entry.type == EntryType::kConfiguration && entry.index > applied;
      });
  const raft::ProposeResult result = core_->ProposeConfigChange(change);
  if (result == raft::ProposeResult::kOk && under_way) {
    around_.checker->Fail("one change at a time",
                          Name() + " changes members while a change is not applied");
  }
  Pump();
  return result;
}

void CoreNode::Flush() {
  if (!up() || paused()) return;
  FlushThen([] {});
}

void CoreNode::FlushThen(std::function<void()> what) {
  Later(around_.queue->now() + DrawWrite(),
        [this, what = std::move(what), state = std::make_shared<const MachineState>(machine_)] {
          disk_->Flush(state);
          what();
        });
}

void CoreNode::CutLog(uint64_t keep) {
  if (!up() || paused()) return;
  const uint64_t applied = disk_->state()->ledger.applied().index.value();
  if (applied <= keep) return;
  disk_->CutLog(LogIndex(applied - keep), around_.stats);
  // The log in memory is that on disk and what is still to be written.
  if (disk_->log().base().index > log_.base().index) log_.CutTo(disk_->log().base().index);
}

// --- Readys.

void CoreNode::Pump() {
  for (int i = 0; core_->HasReady() && !together_busy_; ++i) {
    if (i == kReadysMax) {
      around_.checker->Fail("ready ends", Name() + " has a Ready for ever");
      return;
    }
    Take(core_->TakeReady());
  }
  AnswerReads();
  Observe();
}

void CoreNode::Observe() {
  core_->CheckInvariants();
  NoteCommit();
}

void CoreNode::NoteCommit() {
  const LogIndex commit = core_->commit();
  if (commit < last_commit_) {
    around_.checker->Fail(
        "commit never goes back",
        absl::StrCat(Name(), ": commit ", last_commit_.value(), " became ", commit.value()));
  }
  if (commit > last_commit_) {
    commits_.push_back({commit, core_->term(), core_->role(), core_->configuration()});
  }
  last_commit_ = commit;
}

// Just after a Ready was taken: the log here is the core's own.
void CoreNode::NoteProgress() {
  RaftChecker* const checker = around_.checker;
  if (core_->last_index() != log_.last()) {
    checker->Fail("entries are handed out", absl::StrCat(Name(), " has kept entries back"));
    return;
  }
  if (core_->role() == Role::kLeader) {
    checker->OnLeader(replica_, core_->term(), log_, core_->configuration());
  }
  NoteCommit();
  for (const RaftChecker::Commit& commit : commits_) {
    if (commit.index <= checked_commit_) continue;
    checker->OnCommit(replica_, checked_commit_, commit, log_);
    checked_commit_ = commit.index;
  }
  commits_.clear();
}

void CoreNode::Take(Ready ready) {
  CheckReady(ready);
  NoteLog(ready);
  NoteProgress();
  for (const raft::ReadState& read : ready.read_states) reads_ready_.push_back(read);
  if (around_.setup->write_apart) {
    for (const Message& message : ready.messages) Send(message);
    TakeApart(std::move(ready));
  } else {
    TakeTogether(std::move(ready));
  }
}

void CoreNode::CheckReady(const Ready& ready) {
  uint64_t bytes = 0;
  for (const Entry& entry : ready.committed) bytes += entry.size_bytes();
  if (ready.committed.size() > 1 && bytes > around_.setup->committed_bytes_max) {
    around_.checker->Fail("flow bounds", absl::StrCat(Name(), " is to apply ", bytes, " bytes"));
  }
  const bool hint_only = ready.entries.empty() && ready.snapshot == nullptr;
  if (!ready.must_sync && !hint_only) {
    around_.checker->Fail("must sync", Name() + " has entries to write without a sync");
  }
}

void CoreNode::NoteLog(const Ready& ready) {
  if (ready.snapshot != nullptr) {
    log_.Reset({ready.snapshot->term, ready.snapshot->index});
    checked_commit_ = std::max(checked_commit_, ready.snapshot->index);
  }
  if (ready.entries.empty()) return;
  log_.Write(ready.entries);
  for (const Entry& entry : ready.entries) {
    around_.checker->OnEntry(replica_, log_, entry.index);
  }
}

DiskWrite CoreNode::MakeWrite(Ready* ready) {
  DiskWrite write;
  write.hard_state = ready->hard_state;
  if (ready->snapshot != nullptr) {
    write.snapshot = around_.host->Pinned(ready->snapshot->source);
    around_.checker->OnSnapshot(replica_, *ready->snapshot, write.snapshot->ledger.hash());
    // What was to be applied before it is part of it.
    ++apply_epoch_;
  }
  write.entries = std::move(ready->entries);
  write.token = ready->write;
  write.messages = std::move(ready->messages_after_write);
  write.synced = ready->must_sync;
  return write;
}

SimTime CoreNode::DrawWrite() {
  SimTime span = Draw(healed_ ? kHealedWriteMax : around_.setup->write_max);
  if (slow_disk_until_ > around_.queue->now()) span += Draw(SimTime(slow_disk_));
  return span;
}

void CoreNode::TakeApart(Ready ready) {
  if (ready.needs_write() && !disk_failed_) {
    disk_->Queue(MakeWrite(&ready));
    SimTime span = DrawWrite();
    if (ready.snapshot != nullptr) span += Draw(kInstallMax);
    disk_free_ = std::max(disk_free_, around_.queue->now() + span);
    Later(disk_free_, [this] { Written(false); });
  }
  if (!ready.committed.empty()) ApplyLater(std::move(ready.committed));
}

void CoreNode::TakeTogether(Ready ready) {
  together_busy_ = true;
  const SimTime span = ready.needs_write() ? DrawWrite() : SimTime(0);
  if (disk_failed_) return;
  // All messages are sent after the write.
  DiskWrite write = MakeWrite(&ready);
  write.messages.insert(write.messages.begin(), ready.messages.begin(), ready.messages.end());
  disk_->Queue(std::move(write));
  Later(around_.queue->now() + span, [this, committed = std::move(ready.committed)] {
    Written(true);
    if (disk_failed_) return;
    Apply(committed);
    core_->Advance();
    together_busy_ = false;
  });
}

void CoreNode::Written(bool together) {
  if (disk_failed_) return;
  if (fail_next_write_) {
    FailWrite();
    return;
  }
  const DiskWrite write = disk_->Complete(around_.stats);
  if (write.snapshot != nullptr) InstallSnapshot(write.snapshot);
  for (const Message& message : write.messages) {
    if (message.to != replica_) {
      Send(message);
    } else if (!together) {
      Leaves(message);
      core_->Step(message);
    }
  }
  if (together) return;
  core_->OnWritten(write.token);
  if (write.snapshot != nullptr) core_->OnApplied(write.snapshot->ledger.applied().index);
}

void CoreNode::FailWrite() {
  if (around_.trace->on()) around_.trace->Line(Name() + ": a write fails");
  ++around_.stats->failed_writes;
  fail_next_write_ = false;
  disk_failed_ = true;
  core_->StopLeading();
}

void CoreNode::InstallSnapshot(const std::shared_ptr<const MachineState>& state) {
  machine_ = *state;
  proposed_.erase(proposed_.begin(), proposed_.upper_bound(state->ledger.applied().index));
}

// --- Applying.

void CoreNode::ApplyLater(std::vector<Entry> committed) {
  SimTime span = Draw(healed_ ? kHealedWriteMax : around_.setup->apply_max);
  if (slow_apply_until_ > around_.queue->now()) span += Draw(SimTime(slow_apply_));
  apply_free_ = std::max(apply_free_, around_.queue->now() + span);
  Later(apply_free_, [this, epoch = apply_epoch_, committed = std::move(committed)] {
    if (epoch != apply_epoch_) return;
    Apply(committed);
    core_->OnApplied(committed.back().index);
  });
}

void CoreNode::Apply(const std::vector<Entry>& committed) {
  for (const Entry& entry : committed) ApplyOne(entry);
}

void CoreNode::ApplyOne(const Entry& entry) {
  if (entry.index != Next(machine_.ledger.applied().index)) {
    around_.checker->Fail("applied in order",
                          absl::StrCat(Name(), " is to apply ", entry.index.value(), " after ",
                                       machine_.ledger.applied().index.value()));
    return;
  }
  machine_.ledger.Apply(entry);
  around_.checker->OnApplied(replica_, entry, machine_.ledger.hash());
  *around_.hash = Mix(*around_.hash, machine_.ledger.hash());
  if (entry.type == EntryType::kConfiguration) {
    const auto change =
        raft::DecodeConfigChange(entry.data == nullptr ? std::string_view() : *entry.data);
    CHECK(change.has_value());
    NoteCommit();
    machine_.configuration = core_->ApplyConfigChange(*change);
    flow_.Keep(AllMembers(machine_.configuration));
    ++around_.stats->member_changes;
    if (around_.trace->on()) {
      around_.trace->Line(absl::StrCat(Name(), " applies the members ",
                                       MembersText(machine_.configuration), " at ",
                                       entry.index.value()));
    }
    around_.checker->OnConfiguration(replica_, entry.index, machine_.configuration);
  }
  const auto proposed = proposed_.find(entry.index);
  if (proposed == proposed_.end()) return;
  if (proposed->second.term == entry.term) {
    around_.checker->OnAcknowledged(entry.index, HashEntry(entry));
    around_.host->OnAcknowledged(proposed->second.write, entry.index);
  }
  proposed_.erase(proposed);
}

void CoreNode::AnswerReads() {
  std::vector<raft::ReadState> waiting;
  for (const raft::ReadState& read : reads_ready_) {
    const auto asked = reads_asked_.find(read.context);
    if (asked == reads_asked_.end()) continue;  // a repeated answer
    if (read.index > machine_.ledger.applied().index) {
      waiting.push_back(read);
      continue;
    }
    around_.checker->OnRead(replica_, asked->second, read.index);
    reads_asked_.erase(asked);
    ++around_.stats->reads;
    around_.host->OnReadAnswered(read.context);
  }
  reads_ready_ = std::move(waiting);
}

// --- Sending.

void CoreNode::Leaves(const Message& message) {
  // Together, a message may have waited here while the core went on.
  const bool apart = around_.setup->write_apart;
  const bool fresh = apart && message.term == core_->term();
  around_.checker->OnSend(message, fresh ? &log_ : nullptr);
  if (!apart) return;
  const auto broken = flow_.OnSend(message, *around_.setup);
  if (broken.has_value()) around_.checker->Fail("flow bounds", Name() + ": " + *broken);
}

void CoreNode::Send(const Message& message) {
  if (message.to == replica_) {
    around_.checker->Fail("messages to itself wait", Name() + " sends itself a message at once");
    return;
  }
  Leaves(message);
  if (message.type == MessageType::kSnapshot) {
    SendSnapshot(message);
    return;
  }
  if (message.type == MessageType::kAppend && !healed_ && !message.entries.empty() &&
      random_.Chance(around_.setup->shorter_per_1000, 1000)) {
    // As from a leader that packs less into a message.
    Message shorter = message;
    shorter.entries.resize(random_.Below(message.entries.size()));
    Carry(shorter, SimTime(0));
  }
  const bool sent = Carry(message, SimTime(0));
  if (sent || !random_.Chance(1, 4)) return;
  Later(around_.queue->now() + Draw(SimTime(5'000)), [this, peer = message.to] {
    flow_.OnReport(peer);
    core_->ReportUnreachable(peer);
  });
}

bool CoreNode::Carry(const Message& message, SimTime extra) {
  const CoreNode* const to = around_.host->NodeOf(message.to);
  if (to == nullptr) return false;
  return around_.network->Send(slot_, to->slot(), extra, [host = around_.host, message] {
    CoreNode* const node = host->NodeOf(message.to);
    if (node != nullptr) node->Receive(message);
  });
}

void CoreNode::SendSnapshot(const Message& message) {
  const SimTime span = Draw(kSnapshotMax);
  const auto report = [this, peer = message.to](Core::SnapshotResult result) {
    flow_.OnReport(peer);
    core_->ReportSnapshot(peer, result);
  };
  const CoreNode* const to = around_.host->NodeOf(message.to);
  const bool sent = to != nullptr && to->up() && Carry(message, span);
  Later(around_.queue->now() + 2 * span + SimTime(1'000), [report, sent] {
    report(sent ? Core::SnapshotResult::kInstalled : Core::SnapshotResult::kFailed);
  });
}

}  // namespace holdfast::sim
