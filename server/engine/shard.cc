#include "server/engine/shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/mutant.h"
#include "base/status_macros.h"
#include "server/engine/overlay/cold_reader.h"
#include "server/engine/overlay/restore_machine.h"

namespace holdfast {
namespace {

// Jobs and entries that one Expire may end or collect: bounds the work of one command.
constexpr uint32_t kExpireMax = 1000;
constexpr absl::Duration kRetryAfter = absl::Milliseconds(100);
// How long after a refused proposal the next is made though no command comes.
constexpr int64_t kRefusedRetryMicros = 100'000;

ExecuteResult Refusal(const absl::Status& why) {
  ExecuteResult result;
  result.status = why;
  if (absl::IsResourceExhausted(why)) result.retry_after = kRetryAfter;
  return result;
}

ExecuteResult NothingReady() {
  ExecuteResult result;
  result.outcome.code = OutcomeCode::kNothingReady;
  return result;
}

}  // namespace

Shard::Shard(const Options& options, Parts parts)
    : options_(options),
      parts_(std::move(parts)),
      machine_(std::in_place, options.machine),
      overlay_(options.shard, options.machine.shards),
      proposer_(options.proposer, &waiters_) {}

Shard::~Shard() = default;

absl::StatusOr<AppliedState> Shard::Restore() {
  CHECK(parts_.executor->IsCurrent());
  const std::shared_ptr<const StateSnapshot> snapshot = parts_.store->Snapshot();
  ASSIGN_OR_RETURN(std::optional<AppliedRow> stored,
                   RestoreMachine(*snapshot, options_.shard, &*machine_));
  AppliedRow applied = std::move(stored).value_or(AppliedRow());
  committed_ = flushed_ = frozen_ = applied.index;
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
  if (!leading_) {
    if (submission.done) std::move(submission.done)(Refusal(not_leading_));
    return;
  }
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

bool Shard::MayFindJob(const ReserveRequest& request) const {
  for (const std::string& name : request.queues) {
    const QueueRecord* queue = machine_->FindQueue(name);
    if (queue == nullptr || queue->counts[static_cast<int>(JobState::kReady)] == 0) continue;
    if (queue->paused_until > machine_->now()) continue;
    const uint64_t reserved = queue->counts[static_cast<int>(JobState::kReserved)];
    if (queue->options.max_reserved == 0 || reserved < queue->options.max_reserved) return true;
  }
  return false;
}

void Shard::Reserve(WaiterPtr waiter) {
  CHECK(parts_.executor->IsCurrent());
  if (!leading_) return std::move(waiter->done)(Refusal(not_leading_));
  const bool waits = waiter->request.wait > absl::ZeroDuration();
  const ReserveRequest& request = waiter->request;
  if (request.request.has_session() || request.request.has_digest() || MayFindJob(request)) {
    if (waiter->offer_only) return std::move(waiter->done)(ExecuteResult());
    proposer_.Try(std::move(waiter));
    return SchedulePump();
  }
  if (!waits || draining_) {
    return AfterBarrier([done = std::move(waiter->done)](const absl::Status& status) mutable {
      std::move(done)(status.ok() ? NothingReady() : Refusal(status));
    });
  }
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
  OnLeaderStop(absl::UnavailableError("the node is stopping"));
  Refuse(proposer_.TakeInFlight(LogIndex()),
         absl::UnknownError("the outcome is unknown: the node is stopping"));
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
    const absl::StatusOr<LogPosition> position = log_->Propose(std::move(entry.bytes));
    if (!position.ok()) {
      proposer_.Refused();
      RetryLater();
      return Refuse(std::move(entry.slots), position.status());
    }
    if (expire_in_flight_ && expire_position_.index == LogIndex()) expire_position_ = *position;
    proposer_.Proposed(*position, std::move(entry.slots));
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
  for (const raft::Entry& entry : entries) applier_->Push(entry);
}

void Shard::OnLeaderStart(Term) {
  clock_.Start(applier_->log_time(), Clocks());
  leading_ = true;
  if (options_.incarnation > 1) {
    proposer_.SubmitInternal(
        {.request = {},
         .body = NodeLostCommand{.node = options_.node, .incarnation = options_.incarnation - 1}});
  }
  SchedulePump();
}

void Shard::OnLeaderStop(const absl::Status& why) {
  leading_ = false;
  expire_in_flight_ = false;
  not_leading_ = why;
  // A full disk is refused before anything is written; of every other failure nobody knows.
  const bool certain = absl::IsResourceExhausted(why);
  // What is committed is answered when it is applied.
  Refuse(proposer_.TakeInFlight(committed_),
         certain ? why
                 : absl::UnknownError(
                       absl::StrCat("the outcome is unknown: ", std::string(why.message()))));
  Refuse(proposer_.TakePending(),
         certain ? why : absl::UnavailableError(std::string(why.message())));
  if (certain) return;  // they may go on waiting for the disk to have room again
  while (WaiterPtr waiter = waiters_.TakeAny()) {
    std::move(waiter->done)(Refusal(absl::UnavailableError(std::string(why.message()))));
  }
}

void Shard::Refuse(std::vector<Proposer::Slot> slots, const absl::Status& why) {
  for (Proposer::Slot& slot : slots) {
    if (slot.done) std::move(slot.done)(Refusal(why));
    if (slot.waiter != nullptr) std::move(slot.waiter->done)(Refusal(why));
  }
}

void Shard::OnApplied(Applier::Applied applied) {
  AccountOverlay();
  for (const Machine::EndedLease& lease : machine_->TakeEndedLeases()) {
    parts_.holders->Notify(lease);
  }
  if (expire_in_flight_ && expire_position_.index != LogIndex() &&
      applied.position.index >= expire_position_.index) {
    expire_in_flight_ = false;
  }
  std::vector<Proposer::Slot> lost;
  std::vector<Proposer::Slot> slots = proposer_.TakeSlots(applied.position, &lost);
  Refuse(std::move(lost), absl::UnavailableError("another leader took over"));
  if (!slots.empty()) {
    CHECK_EQ(slots.size(), applied.outcomes.size());
    auto payload = std::make_move_iterator(applied.payloads.begin());
    for (size_t i = 0; i < slots.size(); ++i) {
      const auto end = payload + static_cast<ptrdiff_t>(applied.outcomes[i].grants.size());
      Answer(std::move(slots[i]), std::move(applied.outcomes[i]),
             std::vector<PayloadRef>(payload, end));
      payload = end;
    }
  }
  Wake();
  RunBarriers();
  if (freeze_) Freeze(std::exchange(freeze_, nullptr));
  applier_->Refill();
  if (leading_) SchedulePump();
  log_->Applied(applied.position.index);
}

void Shard::AccountOverlay() {
  const uint64_t bytes = overlay_.bytes();
  parts_.overlay_bytes->fetch_add(bytes - accounted_bytes_, std::memory_order_relaxed);
  accounted_bytes_ = bytes;
  parts_.on_dirty();
}

// --- Answers.

void Shard::Answer(Proposer::Slot slot, Outcome outcome, std::vector<PayloadRef> payloads) {
  if (slot.waiter != nullptr) {
    return AnswerReserve(std::move(slot.waiter), std::move(outcome), std::move(payloads));
  }
  if (slot.done) Deliver(std::move(outcome), std::move(payloads), std::move(slot.done));
}

void Shard::AnswerReserve(WaiterPtr waiter, Outcome outcome, std::vector<PayloadRef> payloads) {
  if (!outcome.grants.empty() && waiter->cancelled) {
    ReturnUndelivered(outcome);
    return std::move(waiter->done)(NothingReady());
  }
  const bool waits = waiter->request.wait > absl::ZeroDuration() && !waiter->cancelled &&
                     !draining_ && waiter->deadline_micros > parts_.executor->MonotonicMicros();
  if (outcome.code == OutcomeCode::kNothingReady && waits &&
      waiters_.size() < options_.waiters_max) {
    return waiters_.Park(std::move(waiter));
  }
  if (MutantIs(Mutant::kWaiterGrantedTwice) && !outcome.grants.empty()) {
    WaiterPtr other = waiters_.TakeForGrant(outcome.grants[0].queue);
    if (other != nullptr) Deliver(outcome, payloads, std::move(other->done));
  }
  Deliver(std::move(outcome), std::move(payloads), std::move(waiter->done));
}

void Shard::ReturnUndelivered(const Outcome& outcome) {
  ReturnUndeliveredCommand command;
  for (const Grant& grant : outcome.grants) {
    command.leases.push_back({grant.job.id, grant.job.token});
  }
  proposer_.SubmitInternal({.request = {}, .body = std::move(command)});
}

void Shard::Deliver(Outcome outcome, std::vector<PayloadRef> payloads, ExecuteDone done) {
  ExecuteResult result;
  result.payloads = std::move(payloads);
  result.outcome = std::move(outcome);
  ColdPayloads cold;
  for (size_t i = 0; i < result.outcome.grants.size(); ++i) {
    PayloadRef& payload = result.payloads[i];
    if (payload.owner == nullptr) cold.Add(result.outcome.grants[i].job, &payload);
  }
  if (cold.queries.empty()) return std::move(done)(std::move(result));
  ReadCold(std::move(cold), [result = std::move(result),
                             done = std::move(done)](const absl::Status& status) mutable {
    std::move(done)(status.ok() ? std::move(result) : Refusal(status));
  });
}

void Shard::ReadCold(ColdPayloads cold, absl::AnyInvocable<void(const absl::Status&) &&> done) {
  parts_.reader->Post([this, snapshot = applier_->snapshot(), cold = std::move(cold),
                       done = std::move(done)]() mutable {
    absl::StatusOr<std::vector<PayloadRef>> payloads =
        ReadPayloads(*snapshot, options_.shard, cold.queries);
    if (!payloads.ok()) {
      parts_.on_fatal(payloads.status());
      return std::move(done)(payloads.status());
    }
    for (size_t i = 0; i < cold.places.size(); ++i) {
      *cold.places[i] = std::move((*payloads)[i]);
    }
    std::move(done)(absl::OkStatus());
  });
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

std::shared_ptr<const Generation> Shard::Flushed() {
  CHECK(parts_.executor->IsCurrent());
  DirtyOverlay::Released released = overlay_.Release();
  applier_->SnapshotChanged();
  machine_->Flushed(released.jobs, released.dedups);
  flushed_ = frozen_;
  log_->Flushed(flushed_);
  AccountOverlay();
  SchedulePump();
  return std::move(released.retired);
}

}  // namespace holdfast
