#include "server/engine/shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/mutant.h"
#include "base/status_macros.h"
#include "server/codec/entry_codec.h"
#include "server/engine/overlay/cold_reader.h"
#include "server/engine/overlay/restore_machine.h"

namespace holdfast {
namespace {

// Jobs and entries that one Expire may end or collect: bounds the work of one command.
constexpr uint32_t kExpireMax = 1000;
// Payloads read on the loop if they are in memory: some microseconds each.
constexpr size_t kPayloadsOnLoopMax = 32;
constexpr absl::Duration kRetryAfter = absl::Milliseconds(100);
// Applied entries that the log of a shard that keeps nothing may hold.
constexpr uint64_t kUnkeptEntriesMax = 16;
// How long after a refused proposal the next is made though no command comes.
constexpr int64_t kRefusedRetryMicros = 100'000;

ExecuteResult Refusal(const absl::Status& why) {
  ExecuteResult result;
  result.status = why;
  if (absl::IsResourceExhausted(why)) result.retry_after = kRetryAfter;
  return result;
}

ExecuteResult NothingReady(LogIndex as_of = LogIndex()) {
  ExecuteResult result;
  result.outcome.code = OutcomeCode::kNothingReady;
  result.as_of = as_of;
  return result;
}

// Drops the grants that are not to be kept, and their payloads.
template <class Keep>
void KeepGrants(ExecuteResult* result, const Keep& keep) {
  std::vector<Grant>& grants = result->outcome.grants;
  size_t kept = 0;
  for (size_t i = 0; i < grants.size(); ++i) {
    if (!keep(grants[i], result->payloads[i])) continue;
    if (kept != i) {
      grants[kept] = std::move(grants[i]);
      result->payloads[kept] = std::move(result->payloads[i]);
    }
    ++kept;
  }
  grants.resize(kept);
  result->payloads.resize(kept);
  if (kept == 0) result->outcome.code = OutcomeCode::kNothingReady;
}

}  // namespace

Shard::Shard(const Options& options, Parts parts)
    : options_(options),
      parts_(std::move(parts)),
      machine_(std::in_place, options.machine),
      overlay_(options.shard, options.machine.shards, options.backing),
      proposer_(options.proposer, &waiters_) {}

Shard::~Shard() = default;

absl::StatusOr<AppliedState> Shard::Restore() {
  CHECK(parts_.executor->IsCurrent());
  const std::shared_ptr<const StateSnapshot> snapshot = parts_.store->Snapshot();
  ASSIGN_OR_RETURN(std::optional<AppliedRow> stored,
                   RestoreMachine(*snapshot, options_.shard, &*machine_));
  AppliedRow applied = std::move(stored).value_or(AppliedRow());
  committed_ = flushed_ = frozen_ = applied.index;
  TellClusterRecord();
  FollowOwnLoss();
  AppliedState start{.position = {applied.term, applied.index},
                     .configuration = applied.configuration,
                     .installing = applied.installing};
  if (applier_ != nullptr) {
    applier_->Restart(std::move(applied));
    return start;
  }
  applier_ = std::make_unique<Applier>(
      Applier::Parts{.executor = parts_.executor,
                     .reader = parts_.reader,
                     .machine = &*machine_,
                     .overlay = &overlay_,
                     .store = parts_.store,
                     .shard = options_.shard},
      applied, [this](Applier::Applied entry) { OnApplied(std::move(entry)); }, parts_.on_fatal);
  return start;
}

// --- Commands.

void Shard::Submit(Submission submission) {
  CHECK(parts_.executor->IsCurrent());
  if (!leading_) return GiveBack(std::move(submission), not_leading_);
  if (MutantIs(Mutant::kDeleteRepliesBeforeCommit)) AnswerDeleteAtOnce(&submission);
  proposer_.Submit(std::move(submission));
  SchedulePump();
}

// The mutant: a delete is answered before it is agreed on.
void Shard::AnswerDeleteAtOnce(Submission* submission) const {
  const absl::StatusOr<DecodedCommand> decoded = DecodeCommand(submission->command);
  if (!decoded.ok() || !submission->done) return;
  const auto* const command = std::get_if<DeleteCommand>(&decoded->command.body);
  if (command == nullptr) return;
  ExecuteResult result;
  for (const LeaseRef& lease : command->leases) {
    result.outcome.items.emplace_back().job = lease.job;
  }
  std::move(submission->done)(std::move(result));
  submission->done = nullptr;
}

bool Shard::MayFindJob(std::string_view name) const {
  const QueueRecord* queue = machine_->FindQueue(name);
  if (queue == nullptr || queue->counts[static_cast<int>(JobState::kReady)] == 0) return false;
  if (queue->paused_until > machine_->now()) return false;
  const uint64_t reserved = queue->counts[static_cast<int>(JobState::kReserved)];
  return queue->options.max_reserved == 0 || reserved < queue->options.max_reserved;
}

bool Shard::MayFindJob(absl::Span<const std::string_view> queues) const {
  return std::any_of(queues.begin(), queues.end(),
                     [this](std::string_view name) { return MayFindJob(name); });
}

bool Shard::MayFindJob(const ReserveRequest& request) const {
  return std::any_of(request.queues.begin(), request.queues.end(),
                     [this](const std::string& name) { return MayFindJob(name); });
}

void Shard::Reserve(WaiterPtr waiter) {
  CHECK(parts_.executor->IsCurrent());
  if (!leading_) return GiveBack(std::move(waiter), not_leading_);
  const ReserveRequest& request = waiter->request;
  if (request.request.has_session() || request.request.has_digest() || MayFindJob(request)) {
    proposer_.Try(std::move(waiter));
    return SchedulePump();
  }
  if (request.wait > absl::ZeroDuration() && !draining_) return Park(std::move(waiter));
  AnswerNothingReady(std::move(waiter->done));
}

void Shard::AnswerNothingReady(ExecuteDone done) {
  AfterBarrier([this, done = std::move(done)](const absl::Status& status) mutable {
    std::move(done)(status.ok() ? NothingReady(applier_->applied().index) : Refusal(status));
  });
}

void Shard::WaitForOffer(WaiterPtr waiter) {
  CHECK(parts_.executor->IsCurrent());
  CHECK(waiter->offer_only);
  if (MayFindJob(waiter->request)) return std::move(waiter->done)(ExecuteResult());
  if (waiter->request.wait > absl::ZeroDuration() && !draining_) return Park(std::move(waiter));
  std::move(waiter->done)(NothingReady(applier_->applied().index));
}

void Shard::Park(WaiterPtr waiter) {
  if (waiters_.size() >= options_.waiters_max) {
    return std::move(waiter->done)(Refusal(absl::ResourceExhaustedError(
        absl::StrCat(waiters_.size(), " reserves wait at this shard, the most that may"))));
  }
  waiters_.Park(std::move(waiter));
  SetTimer();
}

void Shard::CancelReserve(ReserveId id) {
  CHECK(parts_.executor->IsCurrent());
  if (WaiterPtr waiter = waiters_.Remove(id); waiter != nullptr) {
    return std::move(waiter->done)(NothingReady());
  }
  if (Waiter* waiter = proposer_.FindTrying(id); waiter != nullptr) waiter->cancelled = true;
}

void Shard::Drain() {
  draining_ = true;
  while (WaiterPtr waiter = waiters_.TakeAny()) std::move(waiter->done)(NothingReady());
}

void Shard::Stop() {
  client_ = nullptr;
  stopped_ = true;
  draining_ = true;
  const absl::Status why = absl::UnavailableError("the node is stopping");
  OnLeaderStop(absl::UnknownError(why.message()));
  while (WaiterPtr waiter = waiters_.TakeAny()) std::move(waiter->done)(Refusal(why));
  Refuse(proposer_.TakeInFlight(LogIndex()),
         absl::UnknownError("the outcome is unknown: the node is stopping"));
  for (auto& [index, ask] : std::exchange(barriers_, {})) std::move(ask)(why);
}

void Shard::SchedulePump() {
  if (pump_scheduled_) return;
  pump_scheduled_ = true;
  parts_.executor->Post([this] {
    pump_scheduled_ = false;
    Pump();
  });
}

void Shard::Pump() {
  if (!leading_) return;
  for (;;) {
    const LogTime now = clock_.Now(Clocks());
    ProposeDeadlines(now);
    if (!proposer_.HasWork() || !proposer_.HasRoom()) break;
    // Applying may wait for rows; what is agreed on and not applied stays bounded too.
    if (applier_->backlog() >= options_.proposer.entries_in_flight_max) break;
    if (overlay_.bytes() > options_.overlay_bytes_max) break;  // Flushed() pumps again
    Proposer::Entry entry = proposer_.BuildEntry(now);
    const absl::StatusOr<LogPosition> position = log_->Propose(entry.bytes);
    if (!position.ok()) {
      proposer_.Refused();
      RetryLater();
      if (!absl::IsUnavailable(position.status())) {
        return Refuse(std::move(entry.slots), position.status());
      }
      return GiveBack({.position = {}, .bytes = entry.bytes, .slots = std::move(entry.slots)},
                      position.status());
    }
    if (expire_in_flight_ && expire_position_.index == LogIndex()) expire_position_ = *position;
    proposer_.Proposed(*position, std::move(entry));
  }
  SetTimer();
}

// The log takes nothing now though leadership has not ended: it is being handed over.
void Shard::RetryLater() {
  if (retry_scheduled_) return;
  retry_scheduled_ = true;
  parts_.executor->RunAt(parts_.executor->MonotonicMicros() + kRefusedRetryMicros, [this] {
    retry_scheduled_ = false;
    Pump();
  });
}

void Shard::ProposeDeadlines(LogTime now) {
  if (expire_in_flight_ || (machine_->NextDeadline() > now && !machine_->HasGarbage())) return;
  expire_in_flight_ = true;
  expire_position_ = LogPosition();
  proposer_.SubmitInternal({.request = {}, .body = ExpireCommand{.max = kExpireMax}});
}

void Shard::SetTimer() {
  int64_t next = waiters_.NextDeadlineMicros();
  if (leading_ && !expire_in_flight_ && machine_->NextDeadline() != LogTime::Never()) {
    clock_.Now(Clocks());
    next = std::min(next, clock_.EarliestMonotonic(machine_->NextDeadline()));
  }
  if (next >= timer_micros_) return;
  timer_micros_ = next;
  parts_.executor->RunAt(next, [this, next] {
    if (next != timer_micros_) return;  // an earlier one was set since
    timer_micros_ = INT64_MAX;
    EndLateWaiters();
    Pump();
    SetTimer();
  });
}

void Shard::EndLateWaiters() {
  const int64_t now = parts_.executor->MonotonicMicros();
  while (WaiterPtr waiter = waiters_.TakeLate(now)) std::move(waiter->done)(NothingReady());
}

// --- What the log says.

void Shard::OnAppended(absl::Span<const raft::Entry> entries) {
  for (const raft::Entry& entry : entries) applier_->Prefetch(entry);
}

void Shard::OnCommitted(absl::Span<const raft::Entry> entries) {
  committed_ = entries.back().index;
  for (const raft::Entry& entry : entries) {
    if (entry.type == raft::EntryType::kConfiguration) configured_ = entry.index;
    applier_->Push(entry);
  }
}

void Shard::OnLeaderStart(Term) {
  // The log may go on for a while, but what it was asked from here on nobody would answer.
  if (stopped_) return;
  clock_.Start(applier_->log_time(), Clocks());
  leading_ = true;
  if (options_.incarnation > 1) {
    proposer_.SubmitInternal(
        {.request = {},
         .body = NodeLostCommand{.node = options_.node, .incarnation = parts_.holders->lost()}});
  }
  SchedulePump();
  if (client_ != nullptr) client_->OnLeading();
}

void Shard::OnLeaderStop(const absl::Status& why) {
  leading_ = false;
  expire_in_flight_ = false;
  not_leading_ = absl::IsUnknown(why) ? absl::UnavailableError(why.message()) : why;
  if (absl::IsResourceExhausted(why)) {
    // A full disk: nothing of it is written. Who waits may go on waiting for it to have room.
    Refuse(proposer_.TakeInFlight(committed_), why);
    Proposer::Pending pending = proposer_.TakePending();
    for (Submission& submission : pending.submissions) {
      if (submission.done) std::move(submission.done)(Refusal(why));
    }
    for (WaiterPtr& waiter : pending.waiters) std::move(waiter->done)(Refusal(why));
    return;
  }
  if (absl::IsUnknown(why)) {
    // What is committed is answered when it is applied.
    Refuse(proposer_.TakeInFlight(committed_),
           absl::UnknownError(absl::StrCat("the outcome is unknown: ", why.message())));
  } else {
    AwaitDecisions();
  }
  GiveBack(proposer_.TakePending(), not_leading_);
  for (WaiterPtr& waiter : waiters_.TakeAllForGrant()) GiveBack(std::move(waiter), not_leading_);
}

// What was proposed may be committed yet: the next leader's entries decide. Until then nobody
// knows, and for longer than this nobody is kept waiting.
void Shard::AwaitDecisions() {
  if (!proposer_.HasInFlight()) return;
  const int64_t until = parts_.executor->MonotonicMicros() + options_.undecided_micros_max;
  parts_.executor->RunAt(until, [this] {
    if (leading_) return;
    Refuse(proposer_.TakeInFlight(committed_),
           absl::UnknownError("the outcome is unknown: leadership of the shard has ended, and no "
                              "other leader has decided"));
  });
}

void Shard::Refuse(std::vector<Proposer::Slot> slots, const absl::Status& why) {
  for (Proposer::Slot& slot : slots) {
    if (slot.done) std::move(slot.done)(Refusal(why));
    if (slot.waiter != nullptr) std::move(slot.waiter->done)(Refusal(why));
  }
}

void Shard::Refuse(std::vector<Proposer::InFlight> entries, const absl::Status& why) {
  for (Proposer::InFlight& entry : entries) Refuse(std::move(entry.slots), why);
}

void Shard::GiveBack(Submission submission, const absl::Status& why) {
  if (!submission.done) return;
  if (client_ != nullptr && !submission.from_peer) return client_->Return(std::move(submission));
  std::move(submission.done)(Refusal(why));
}

void Shard::GiveBack(WaiterPtr waiter, const absl::Status& why) {
  if (client_ != nullptr && !waiter->from_peer) return client_->Return(std::move(waiter));
  std::move(waiter->done)(Refusal(why));
}

void Shard::GiveBack(Proposer::Pending pending, const absl::Status& why) {
  for (Submission& submission : pending.submissions) GiveBack(std::move(submission), why);
  for (WaiterPtr& waiter : pending.waiters) GiveBack(std::move(waiter), why);
}

void Shard::GiveBack(Proposer::InFlight entry, const absl::Status& why) {
  absl::StatusOr<EntryReader> reader = EntryReader::Open(*entry.bytes);
  CHECK(reader.ok());
  for (Proposer::Slot& slot : entry.slots) {
    const std::string_view command = reader->NextBytes();
    if (slot.waiter != nullptr) {
      GiveBack(std::move(slot.waiter), why);
    } else if (slot.done) {
      GiveBack(Submission{.command = std::string(command),
                          .queue = "",
                          .jobs = 0,
                          .done = std::move(slot.done),
                          .permit = std::move(slot.permit),
                          .from_peer = slot.from_peer},
               why);
    }
  }
}

void Shard::OnApplied(Applier::Applied applied) {
  AccountOverlay();
  TellClusterRecord();
  FollowOwnLoss();
  for (const Machine::EndedLease& lease : machine_->TakeEndedLeases()) {
    parts_.holders->Notify(lease);
  }
  if (expire_in_flight_ && expire_position_.index != LogIndex() &&
      applied.position.index >= expire_position_.index) {
    expire_in_flight_ = false;
  }
  std::vector<Proposer::InFlight> lost;
  std::vector<Proposer::Slot> slots = proposer_.TakeSlots(applied.position, &lost);
  for (Proposer::InFlight& entry : lost) {
    GiveBack(std::move(entry), absl::UnavailableError("another leader took over"));
  }
  if (!slots.empty()) {
    CHECK_EQ(slots.size(), applied.outcomes.size());
    auto payload = std::make_move_iterator(applied.payloads.begin());
    for (size_t i = 0; i < slots.size(); ++i) {
      const auto end = payload + static_cast<ptrdiff_t>(applied.outcomes[i].grants.size());
      ExecuteResult result;
      result.outcome = std::move(applied.outcomes[i]);
      result.payloads.assign(payload, end);
      result.as_of = applied.position.index;
      Answer(std::move(slots[i]), std::move(result));
      payload = end;
    }
    DeliverCold();
  }
  Wake();
  RunBarriers();
  if (freeze_) Freeze(std::exchange(freeze_, nullptr));
  applier_->Refill();
  if (leading_) SchedulePump();
  log_->Applied(applied.position.index);
  if (options_.backing == Backing::kNothing) CutUnkeptLog();
}

void Shard::CutUnkeptLog() {
  const LogIndex applied = applier_->applied().index;
  if (applied.value() - flushed_.value() < kUnkeptEntriesMax) return;
  flushed_ = applied;
  log_->Flushed(applied);
}

void Shard::AccountOverlay() {
  const uint64_t bytes = overlay_.bytes();
  parts_.overlay_bytes->fetch_add(bytes - accounted_bytes_, std::memory_order_relaxed);
  accounted_bytes_ = bytes;
  parts_.on_dirty();
}

void Shard::TellClusterRecord() {
  const ClusterRecordRow& record = machine_->cluster_record();
  if (record.version <= told_record_) return;
  told_record_ = record.version;
  if (parts_.on_cluster_record) parts_.on_cluster_record(record);
}

// --- Nodes that are lost.

void Shard::LoseNodes(absl::FunctionRef<bool(NodeId)> is_lost) {
  CHECK(parts_.executor->IsCurrent());
  if (!leading_) return;
  for (const NodeRun& run : machine_->OpenRuns()) {
    if (run.node == options_.node || !is_lost(run.node)) continue;
    proposer_.SubmitInternal(
        {.request = {}, .body = NodeLostCommand{.node = run.node, .incarnation = run.incarnation}});
    SchedulePump();
  }
}

// It runs, but was not heard of for so long that its holders' jobs were given to others.
void Shard::FollowOwnLoss() {
  if (!parts_.holders->Lose(machine_->LostIncarnation(options_.node))) return;
  if (parts_.on_lost) parts_.on_lost();
}

// --- Answers.

void Shard::Answer(Proposer::Slot slot, ExecuteResult result) {
  if (slot.waiter != nullptr) return AnswerReserve(std::move(slot.waiter), std::move(result));
  if (slot.done) Deliver(std::move(result), std::move(slot.done));
}

void Shard::AnswerReserve(WaiterPtr waiter, ExecuteResult result) {
  const Outcome& outcome = result.outcome;
  if (!outcome.grants.empty() && waiter->cancelled) {
    ReturnUndelivered(outcome);
    return std::move(waiter->done)(NothingReady());
  }
  const bool waits = waiter->request.wait > absl::ZeroDuration() && !waiter->cancelled &&
                     !draining_ && waiter->deadline_micros > parts_.executor->MonotonicMicros();
  if (outcome.code == OutcomeCode::kNothingReady && waits) {
    if (!leading_) return GiveBack(std::move(waiter), not_leading_);
    if (waiters_.size() < options_.waiters_max) return waiters_.Park(std::move(waiter));
  }
  const Holder now = Now(waiter->request.holder);
  if (outcome.code == OutcomeCode::kHolderGone && now != waiter->request.holder && leading_) {
    waiter->request.holder = now;
    return proposer_.Try(std::move(waiter));
  }
  if (MutantIs(Mutant::kWaiterGrantedTwice) && !outcome.grants.empty()) {
    WaiterPtr other = waiters_.TakeForGrant(outcome.grants[0].queue);
    if (other != nullptr) Deliver(result, std::move(other->done));
  }
  Deliver(std::move(result), std::move(waiter->done));
}

void Shard::ReturnUndelivered(const Outcome& outcome) {
  ReturnUndeliveredCommand command;
  for (const Grant& grant : outcome.grants) {
    command.leases.push_back({grant.job.id, grant.job.token});
  }
  proposer_.SubmitInternal({.request = {}, .body = std::move(command)});
}

void Shard::Deliver(ExecuteResult result, ExecuteDone done) {
  if (result.outcome.replayed && !result.outcome.grants.empty()) DropEnded(&result);
  const bool complete =
      std::all_of(result.payloads.begin(), result.payloads.end(),
                  [](const PayloadRef& payload) { return payload.owner != nullptr; });
  if (complete) return std::move(done)(std::move(result));
  cold_answers_.push_back({std::move(result), std::move(done)});
}

// One read for all answers of an entry: jobs that are handed out together lie together.
void Shard::DeliverCold() {
  if (cold_answers_.empty()) return;
  std::vector<ColdAnswer> answers = std::exchange(cold_answers_, {});
  ColdPayloads cold;
  for (ColdAnswer& answer : answers) {
    for (size_t i = 0; i < answer.result.payloads.size(); ++i) {
      PayloadRef& payload = answer.result.payloads[i];
      const Outcome& outcome = answer.result.outcome;
      if (payload.owner == nullptr) cold.Add(outcome.grants[i].job, &payload, outcome.replayed);
    }
  }
  ReadCold(std::move(cold), [answers = std::move(answers)](const absl::Status& status) mutable {
    for (ColdAnswer& answer : answers) {
      if (answer.result.outcome.replayed) DropGone(&answer.result);
      std::move(answer.done)(status.ok() ? std::move(answer.result) : Refusal(status));
    }
  });
}

void Shard::DropEnded(ExecuteResult* result) const {
  KeepGrants(result, [this](const Grant& grant, const PayloadRef&) {
    const Job* const job = machine_->FindHotJob(grant.job.id);
    return job == nullptr || (job->state == JobState::kReserved && job->token == grant.job.token);
  });
}

void Shard::DropGone(ExecuteResult* result) {
  KeepGrants(result,
             [](const Grant&, const PayloadRef& payload) { return payload.owner != nullptr; });
}

void Shard::ReadCold(ColdPayloads cold, absl::AnyInvocable<void(const absl::Status&) &&> done) {
  if (cold.queries.size() <= kPayloadsOnLoopMax) {
    absl::StatusOr<std::vector<PayloadRef>> payloads =
        ReadPayloads(*applier_->snapshot(), options_.shard, cold.queries, Reach::kMemory);
    if (!absl::IsAborted(payloads.status())) {
      return std::move(done)(PutPayloads(std::move(payloads), cold));
    }
  }
  parts_.reader->Post([this, snapshot = applier_->snapshot(), cold = std::move(cold),
                       done = std::move(done)]() mutable {
    std::move(done)(
        PutPayloads(ReadPayloads(*snapshot, options_.shard, cold.queries, Reach::kDevice), cold));
  });
}

absl::Status Shard::PutPayloads(absl::StatusOr<std::vector<PayloadRef>> payloads,
                                const ColdPayloads& cold) const {
  if (!payloads.ok()) {
    parts_.on_fatal(payloads.status());
    return payloads.status();
  }
  for (size_t i = 0; i < cold.places.size(); ++i) {
    *cold.places[i] = std::move((*payloads)[i]);
  }
  return absl::OkStatus();
}

void Shard::Wake() {
  for (const std::string& name : machine_->TakeWakeups()) {
    const QueueRecord* queue = machine_->FindQueue(name);
    if (queue == nullptr) continue;
    uint64_t ready = queue->counts[static_cast<int>(JobState::kReady)];
    while (ready > 0) {
      WaiterPtr waiter = waiters_.TakeFor(name);
      if (waiter == nullptr) break;
      if (waiter->offer_only) {
        std::move(waiter->done)(ExecuteResult());
        continue;
      }
      ready -= std::min<uint64_t>(ready, waiter->request.max);
      proposer_.Try(std::move(waiter));
    }
  }
}

// --- Flushing.

void Shard::Freeze(absl::AnyInvocable<void(Frozen) &&> done) {
  CHECK(parts_.executor->IsCurrent());
  CHECK(!overlay_.has_frozen());
  if (applier_ == nullptr || installing_) return std::move(done)(Frozen());
  if (applier_->mid_entry()) {
    freeze_ = std::move(done);
    return;
  }
  if (applier_->applied().index <= flushed_) return std::move(done)(Frozen());
  AppliedRow applied = applier_->applied();
  frozen_ = applied.index;
  if (MutantIs(Mutant::kReplayFlushed)) applied.index = Previous(applied.index);
  if (MutantIs(Mutant::kFlushMarksTooHigh)) applied.index = Next(applied.index);
  std::move(done)({.generation = overlay_.Freeze(), .applied = std::move(applied)});
}

void Shard::OthersFlushed() {
  StoreChanged();
  if (applier_ != nullptr) log_->Flushed(flushed_);
}

void Shard::StoreChanged() {
  // What a pin keeps of the store grows with what is flushed.
  parts_.pins->Expire(parts_.executor->MonotonicMicros());
  if (applier_ != nullptr) applier_->SnapshotChanged();
}

std::shared_ptr<const Generation> Shard::Flushed() {
  CHECK(parts_.executor->IsCurrent());
  DirtyOverlay::Released released = overlay_.Release();
  StoreChanged();
  machine_->Flushed(released.jobs, released.dedups);
  flushed_ = frozen_;
  log_->Flushed(flushed_);
  AccountOverlay();
  SchedulePump();
  return std::move(released.retired);
}

}  // namespace holdfast
