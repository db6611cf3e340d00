#include "replication/node/group.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/mutant.h"
#include "replication/raft/config_changer.h"
#include "replication/raft/configuration.h"

namespace holdfast {
namespace {

using raft::Entry;
using raft::EntryType;
using raft::Message;
using raft::MessageType;
using raft::ProposeResult;
using raft::Role;

// Clocks heard of within so many heartbeats count.
constexpr int64_t kFreshHeartbeats = 10;

bool IsChange(const Entry& entry) { return entry.type == EntryType::kConfiguration; }

}  // namespace

ReplicaId ReplicaOf(NodeId node, DiskId disk) {
  return MutantIs(Mutant::kWipedDiskVotes) ? ReplicaId(node.value()) : ReplicaId(disk.value());
}

Group::Group(const Options& options, Executor* executor, const LogStore* store, GroupShell* shell,
             StateMachine* machine)
    : options_(options),
      executor_(executor),
      store_(store),
      shell_(shell),
      machine_(machine),
      clocks_(options.self, kFreshHeartbeats * options.heartbeat_ticks * options.tick_micros),
      // Replicas that are given one seed, or seeds that follow their ids, must not draw the same.
      random_(options.seed ^ (options.self.value() * 0x9e3779b97f4a7c15)),
      // Multiples of the golden ratio are far apart: no incarnation reaches another's numbers.
      reads_made_(options.incarnation * 0x9e3779b97f4a7c15) {
  CHECK(options.self != ReplicaId());
}

Group::~Group() = default;

// --- The state machine's side.

absl::StatusOr<LogPosition> Group::Propose(std::shared_ptr<const std::string> data) {
  CHECK(executor_->IsCurrent());
  CHECK(data != nullptr);
  if (!leading_) return not_leading_;
  LogPosition where;
  const ProposeResult result = core_->Propose(EntryType::kCommands, std::move(data), &where);
  if (result == ProposeResult::kTooMuch) {
    return absl::ResourceExhaustedError("too much is proposed and not yet agreed on");
  }
  if (result != ProposeResult::kOk) {
    return absl::UnavailableError("leadership of the shard is changing");
  }
  Process();
  return where;
}

void Group::Applied(LogIndex index) {
  CHECK(executor_->IsCurrent());
  CHECK_LE(index.value(), delivered_.index.value());
  if (index <= applied_) return;
  applied_ = index;
  if (core_ == nullptr) return;
  if (index > core_from_) core_->OnApplied(index);
  Process();
}

void Group::Flushed(LogIndex index) {
  CHECK(executor_->IsCurrent());
  CHECK_LE(index.value(), applied_.value());
  if (core_ == nullptr) return;
  const LogIndex flushed = MutantIs(Mutant::kLogCutBeyondFlushed) ? delivered_.index : index;
  LogPosition through;
  through.index = flushed;
  if (!IsAlone()) {
    through.index = std::min(flushed, store_->LastBehind(options_.shard, options_.keep_bytes));
  }
  if (through.index < log_.First()) return;
  CHECK(log_.TermAt(through.index, &through.term) == raft::LogRead::kOk);
  log_.Compact(through.index);
  LogWrite write;
  write.compact = through;
  // If it fails the store has failed, and says so by the next write.
  shell_->Write(std::move(write), [](const absl::Status&) {});
}

int64_t Group::WallMicros() const {
  if (IsAlone()) return executor_->WallMicros();
  return clocks_.WallMicros(configuration_.voters,
                            {executor_->MonotonicMicros(), executor_->WallMicros()});
}

// --- What is.

std::optional<raft::Status> Group::GetStatus() const {
  if (core_ == nullptr) return std::nullopt;
  return core_->GetStatus();
}

void Group::CheckInvariants() const {
  CHECK_LE(applied_.value(), delivered_.index.value());
  if (core_ == nullptr) return;
  core_->CheckInvariants();
  // Nothing is applied, and so nothing flushed, that this replica's own log does not hold.
  if (!installing_ && writes_.empty()) CHECK_LE(delivered_.index.value(), log_.Last().value());
  if (leading_) CHECK(lead_from_.index != LogIndex() && lead_from_.index <= applied_);
}

// --- The duties.

void Group::Process() {
  if (processing_ || dead_ || core_ == nullptr) return;
  processing_ = true;
  for (bool more = true; more && !dead_;) {
    while (!dead_ && !installing_ && core_->HasReady()) Handle(core_->TakeReady());
    FollowRole();
    more = CampaignIfAlone() || (!installing_ && core_->HasReady());
  }
  processing_ = false;
  if (dead_) return;
  Fetch();
  PinState();
  KeepTicking();
  TellView();
}

void Group::TellView() {
  GroupView view = {.term = told_.term, .leader = {}, .leading = leading_, .has_others = false};
  if (core_ != nullptr) {
    view.term = core_->term();
    view.leader = core_->leader();
    // Without a configuration it waits for those who have one.
    view.has_others = configuration_.voters.empty() ? options_.initial_voters.empty() : !IsAlone();
  }
  if (view == told_) return;
  told_ = view;
  shell_->OnView(view);
}

void Group::Handle(raft::Ready ready) {
  SendAll(std::move(ready.messages));
  AnswerReads(ready.read_states);
  if (ready.snapshot != nullptr) return Install(std::move(ready));
  Store(&ready);
  Deliver(std::move(ready.committed));
}

void Group::Store(raft::Ready* ready) {
  PendingWrite write;
  write.token = ready->write;
  write.messages = std::move(ready->messages_after_write);
  LogWrite& records = write.records;
  records.sync = ready->must_sync ? SyncMode::kNow : SyncMode::kLater;
  records.entries = std::move(ready->entries);
  if (ready->snapshot != nullptr) {
    records.reset = raft::EntryId{ready->snapshot->term, ready->snapshot->index};
  }
  if (ready->hard_state.has_value()) hint_ = ready->hard_state;
  // A newer commit index alone is worth no write: it goes with the next one. But one that changes
  // who takes part does: after a restart those who were removed, and may be gone by then, would be
  // asked for their votes again.
  if (hint_.has_value() &&
      std::any_of(ready->committed.begin(), ready->committed.end(), IsChange)) {
    records.sync = SyncMode::kNow;
  }
  if (records.sync == SyncMode::kNow || !records.empty()) {
    records.hard_state = std::exchange(hint_, std::nullopt);
  }
  if (records.empty() && write.messages.empty() && write.token.empty()) return;
  if (!records.entries.empty()) machine_->OnAppended(records.entries);
  Submit(std::move(write));
}

void Group::Submit(PendingWrite write) {
  if (write.records.empty() && writes_.empty()) return Finish(std::move(write));
  const bool has_records = !write.records.empty();
  writes_.push_back(std::move(write));
  if (!has_records) return;
  shell_->Write(writes_.back().records, [this](const absl::Status& status) { OnWritten(status); });
}

void Group::OnWritten(const absl::Status& status) {
  CHECK(executor_->IsCurrent());
  CHECK(!writes_.empty());
  if (!status.ok() && !MutantIs(Mutant::kMemoryAheadOfFailedAppend)) return OnWriteFailed(status);
  do {
    PendingWrite write = std::move(writes_.front());
    writes_.pop_front();
    Finish(std::move(write));
  } while (!writes_.empty() && writes_.front().records.empty());
  Process();
}

void Group::Finish(PendingWrite write) {
  if (write.records.reset.has_value()) log_.Reset(*write.records.reset);
  log_.Append(write.records.entries);
  SendAll(std::move(write.messages));
  core_->OnWritten(write.token);
}

void Group::SendAll(std::vector<Message> messages) {
  for (Message& message : messages) Send(std::move(message));
}

void Group::Send(Message message) {
  if (message.to == options_.self) return core_->Step(std::move(message));
  const int64_t wall = executor_->WallMicros();
  if (message.type != MessageType::kSnapshot) return shell_->Send({std::move(message), wall});
  const bool pinned = pin_ != nullptr && message.snapshot->source == pin_source_;
  if (!pinned || !raft::IsMember(message.snapshot->configuration, message.to)) {
    // A state from before the receiver joined is of no use to it: the next one may be.
    if (pinned) Unpin();
    return core_->ReportSnapshot(message.to, raft::Core::SnapshotResult::kFailed);
  }
  pin_expires_micros_ = executor_->MonotonicMicros() + options_.pin_micros;
  shell_->SendSnapshot({std::move(message), wall}, pin_);
}

void Group::Deliver(std::vector<Entry> committed) {
  if (committed.empty()) return;
  for (Entry& entry : committed) {
    CHECK_EQ(entry.index.value(), delivered_.index.value() + 1);
    if (entry.type == EntryType::kConfiguration) {
      const auto change = raft::DecodeConfigChange(
          entry.data == nullptr ? std::string_view() : std::string_view(*entry.data));
      if (!change.has_value()) {
        return Fail(absl::DataLossError(absl::StrCat("entry ", entry.index.value(),
                                                     " of the log is not a configuration change")));
      }
      if (entry.index > forced_through_) configuration_ = core_->ApplyConfigChange(*change);
      entry.data = std::make_shared<const std::string>(raft::EncodeConfiguration(configuration_));
    }
    delivered_ = {entry.term, entry.index};
    if (lead_from_.index == LogIndex() && core_->role() == Role::kLeader &&
        entry.term == core_->term()) {
      lead_from_ = delivered_;
    }
  }
  machine_->OnCommitted(committed);
  log_.TrimTail(IsAlone() ? delivered_.index : LogIndex(), options_.tail_bytes_max);
}

// --- Leading.

void Group::FollowRole() {
  if (dead_) return;
  const bool leads = core_->role() == Role::kLeader;
  if (lead_from_.index != LogIndex() && (!leads || lead_from_.term != core_->term())) {
    lead_from_ = LogPosition();
    if (leading_) StopLeading(absl::UnavailableError("another replica leads the shard"));
  }
  if (!leading_ && lead_from_.index != LogIndex() && lead_from_.index <= applied_) {
    leading_ = true;
    machine_->OnLeaderStart(lead_from_.term);
  }
  WatchTransfer();
  if (std::exchange(reads_leader_, core_->leader()) == core_->leader()) return;
  AskAgain();
  if (core_->leader() == ReplicaId()) AwaitLeader();
}

void Group::StopLeading(const absl::Status& why) {
  not_leading_ = absl::IsUnknown(why) ? absl::UnavailableError(why.message()) : why;
  if (!std::exchange(leading_, false)) return;
  machine_->OnLeaderStop(why);
}

bool Group::IsAlone() const {
  const raft::Configuration& now = configuration_;
  return now.voters.size() == 1 && now.voters[0] == options_.self && now.voters_outgoing.empty() &&
         now.learners.empty();
}

// Who was a candidate when it became the only voter has asked others, and must ask again.
bool Group::IsAloneAtRest() const {
  const bool candidate = core_ != nullptr && (core_->role() == Role::kCandidate ||
                                              core_->role() == Role::kPreCandidate);
  return IsAlone() && !candidate;
}

bool Group::CampaignIfAlone() {
  if (dead_ || !IsAlone() || core_->role() != Role::kFollower) return false;
  // The core refuses while a configuration is agreed on and not yet applied.
  if (applied_ < core_->commit()) return false;
  core_->Campaign();
  return core_->HasReady();
}

void Group::KeepTicking() {
  // Without a configuration too, once it has heard of a leader: how long ago that was decides
  // whether it votes for another.
  const bool knows_others =
      !configuration_.voters.empty() || (core_ != nullptr && core_->leader() != ReplicaId());
  const bool has_reads = !reads_waiting_.empty() || !reads_asked_.empty();
  if (ticking_ || !(knows_others || has_reads) || (IsAloneAtRest() && !has_reads)) return;
  ticking_ = true;
  // By default replicas tick at different moments.
  const int64_t drawn = static_cast<int64_t>(options_.seed % 1024) * options_.tick_micros / 1024;
  const int64_t phase = options_.tick_phase_micros.has_value() ? 0 : drawn;
  executor_->RunAt(NextTick(executor_->MonotonicMicros()) + phase, [this] { Tick(); });
}

int64_t Group::NextTick(int64_t now) const {
  if (!options_.tick_phase_micros.has_value()) return now + options_.tick_micros;
  const int64_t next = now - now % options_.tick_micros + *options_.tick_phase_micros;
  return next > now ? next : next + options_.tick_micros;
}

void Group::Tick() {
  ticking_ = false;
  if (dead_ || core_ == nullptr) return;
  if (IsAloneAtRest()) return WatchReads();
  ticking_ = true;
  const int64_t now = executor_->MonotonicMicros();
  executor_->RunAt(NextTick(now), [this] { Tick(); });
  if (pin_ != nullptr && now >= pin_expires_micros_) Unpin();
  WallMicros();  // agrees on the time while enough is heard of it
  core_->Tick();
  // The rest of the core's timeout is there to keep candidates apart, in ticks; this does it
  // sooner.
  if (core_->IsLeaderSilent()) LoseLeader();
  WatchReads();
  Process();
}

// --- What the core asked its log for.

void Group::Fetch() {
  const std::optional<ReplicaLog::Fetch> fetch = log_.NextFetch();
  if (!fetch.has_value()) return;
  shell_->Read(fetch->begin, fetch->end, fetch->bytes_max,
               [this](absl::StatusOr<std::vector<Entry>> entries) {
                 CHECK(executor_->IsCurrent());
                 // Out of range: cut since it was asked for.
                 if (!entries.ok() && !absl::IsOutOfRange(entries.status())) {
                   return Fail(entries.status());
                 }
                 log_.Fetched(entries.ok() ? *std::move(entries) : std::vector<Entry>());
                 if (dead_ || core_ == nullptr) return;
                 core_->LogFetched();
                 Process();
               });
}

void Group::Unpin() {
  pin_ = nullptr;
  log_.OfferSnapshot(std::nullopt);
}

void Group::PinState() {
  if (!log_.wants_snapshot() || pinning_) return;
  pinning_ = true;
  machine_->Pin([this](absl::StatusOr<std::shared_ptr<const PinnedState>> state) {
    CHECK(executor_->IsCurrent());
    pinning_ = false;
    log_.OfferSnapshot(std::nullopt);
    if (!state.ok()) return;  // the core asks again
    pin_ = *std::move(state);
    pin_expires_micros_ = executor_->MonotonicMicros() + options_.pin_micros;
    const AppliedState& applied = pin_->applied();
    pin_source_ =
        absl::StrCat(options_.self.value(), "/", applied.position.index.value(), "/", ++pins_made_);
    std::optional<raft::Configuration> configuration =
        raft::DecodeConfiguration(applied.configuration);
    if (!configuration.has_value()) {
      return Fail(absl::DataLossError("the stored configuration cannot be read"));
    }
    log_.OfferSnapshot(raft::SnapshotDescriptor{.index = applied.position.index,
                                                .term = applied.position.term,
                                                .configuration = *std::move(configuration),
                                                .source = pin_source_});
    if (dead_ || core_ == nullptr) return;
    core_->LogFetched();
    Process();
  });
}

// --- Snapshots received.

void Group::Install(raft::Ready ready) {
  CHECK(received_.has_value() && received_->snapshot.index == ready.snapshot->index &&
        received_->snapshot.source == ready.snapshot->source);
  installing_ = true;
  const raft::SnapshotDescriptor snapshot = *ready.snapshot;
  std::shared_ptr<StagedState> staged = std::exchange(received_, std::nullopt)->staged;
  machine_->Install(snapshot, std::move(staged),
                    [this, ready = std::move(ready)](const absl::Status& status) mutable {
                      CHECK(executor_->IsCurrent());
                      Installed(std::move(ready), status);
                    });
}

void Group::Installed(raft::Ready ready, const absl::Status& status) {
  installing_ = false;
  if (!status.ok()) return Fail(status);
  const raft::SnapshotDescriptor& snapshot = *ready.snapshot;
  delivered_ = {snapshot.term, snapshot.index};
  applied_ = snapshot.index;
  configuration_ = snapshot.configuration;
  state_ahead_ = true;
  if (core_ == nullptr) return WaitToStartAnew();
  Store(&ready);
  Process();
}

// --- The end.

void Group::Fail(const absl::Status& status) {
  if (std::exchange(dead_, true)) return;
  StopLeading(absl::UnknownError(status.message()));
  RefuseReads(absl::UnavailableError(status.message()));
  shell_->OnFatal(status);
}

}  // namespace holdfast
