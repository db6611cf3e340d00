#include "server/frontend/grpc/work_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/frontend/grpc/reserve_call.h"
#include "server/frontend/grpc/validation.h"

namespace holdfast {
namespace {

// A reserve waits for long and is then sent again.
constexpr absl::Duration kReserveWait = absl::Hours(1);
// Between a reserve that ended with nothing by itself and the next.
constexpr absl::Duration kReservePause = absl::Milliseconds(10);

}  // namespace

using google::protobuf::Arena;

WorkStreamCall* WorkStreamCall::Start(const CallEnvironment& environment) {
  auto* call = new WorkStreamCall(environment);
  const bool entered = environment.calls->Enter(call);
  Next next;
  {
    absl::MutexLock lock(&call->mutex_);
    ++call->acting_;
    if (!entered) call->End(DrainingFailure(), &next);
    call->Decide(&next);
  }
  call->Act(std::move(next));
  return call;
}

// --- Reading.

void WorkStreamCall::OnReadDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
  }
  Next next;
  Violation violation;
  if (ok) violation = Take(*request_);
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!ok) {
      read_all_ = true;
      End(std::nullopt, &next);
    } else if (violation != nullptr) {
      End(FailureOf(*violation), &next);
    }
    Decide(&next);
  }
  Act(std::move(next));
}

Violation WorkStreamCall::Take(const v1::WorkRequest& message) {
  bool opening = false;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kEnding || phase_ == Phase::kClosed) return nullptr;
    opening = phase_ == Phase::kOpening;
  }
  if (opening != message.has_subscribe()) {
    return MakeViolation(
        "subscribe", opening ? "is not set in the first message, and is required" : "is set again");
  }
  if (message.settlements_size() > kSettlementsPerMessageMax) {
    return MakeViolation(
        "settlements", absl::StrCat("has ", message.settlements_size(), " settlements, more than ",
                                    kSettlementsPerMessageMax));
  }
  if (opening) {
    if (Violation violation = Subscribe(message.subscribe())) return violation;
  }
  if (Violation violation = CheckAtMost("add_credits", message.add_credits(), kCreditsMax)) {
    return violation;
  }
  AddCredits(message.add_credits());
  for (const v1::Settlement& settlement : message.settlements()) Settle(settlement);
  return nullptr;
}

Violation WorkStreamCall::Subscribe(const v1::Subscribe& message) {
  if (auto violation = CheckQueueNames("subscribe.queues", message.queues(), &queues_)) {
    return violation;
  }
  if (auto violation = CheckSpan("subscribe.lease", message.lease(), kLeaseRange, &lease_)) {
    return violation;
  }
  if (auto violation = CheckAtMost("subscribe.credits", message.credits(), kCreditsMax)) {
    return violation;
  }
  if (!v1::OnDisconnect_IsValid(message.on_disconnect())) {
    return MakeViolation("subscribe.on_disconnect",
                         absl::StrCat(static_cast<int>(message.on_disconnect()),
                                      " is no OnDisconnect (EXPIRE, RELEASE)"));
  }
  at_close_ = message.on_disconnect() == v1::ON_DISCONNECT_RELEASE ? LeasesAtClose::kRelease
                                                                   : LeasesAtClose::kExpire;
  holder_ = environment_.engine->OpenHolder(
      at_close_, [this](const Machine::EndedLease& lease) { LeaseEnded(lease); });
  absl::MutexLock lock(&mutex_);
  if (phase_ != Phase::kOpening) return nullptr;  // cancelled meanwhile
  phase_ = Phase::kRunning;
  credits_ = message.credits();
  outbox_.window = true;
  return nullptr;
}

void WorkStreamCall::AddCredits(uint32_t credits) {
  absl::MutexLock lock(&mutex_);
  if (phase_ != Phase::kRunning || draining_) return;
  uint32_t out = 0;
  for (const Waiting& waiting : waiting_) out += waiting.credits;
  const uint32_t room = kCreditsMax - std::min(kCreditsMax, credits_ + out);
  credits_ += std::min(credits, room);
}

void WorkStreamCall::Settle(const v1::Settlement& settlement) {
  Command command;
  Settled settled{.sequence = settlement.sequence()};
  const Violation violation = ToCommand(settlement, &command, &settled.kind, &settled.leases);
  {
    absl::MutexLock lock(&mutex_);
    ++settling_;
  }
  if (violation != nullptr) {
    settled.refused = FailureOf(*violation);
    Answer(std::move(settled));
    return;
  }
  environment_.engine->Execute(command, [this, sequence = settled.sequence, kind = settled.kind,
                                         leases = settled.leases](ExecuteResult result) {
    Answer({.sequence = sequence,
            .kind = kind,
            .leases = leases,
            .refused = {},
            .result = std::move(result)});
  });
}

void WorkStreamCall::Answer(Settled settled) {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    CHECK_GT(settling_, 0u);
    --settling_;
    if (settled.kind != SettleKind::kTouch) {
      for (const ItemOutcome& item : settled.result.outcome.items) {
        if (item.code == OutcomeCode::kOk) --held_;
      }
    }
    if (!broken_) outbox_.settled.push_back(std::move(settled));
    Decide(&next);
  }
  Act(std::move(next));
}

// --- Reserving.

void WorkStreamCall::Reserve(uint64_t number, uint32_t max) {
  ReserveRequest request{.queues = queues_,
                         .max = max,
                         .wait = kReserveWait,
                         .holder = holder_,
                         .lease = lease_,
                         .request = {}};
  const ReserveId id = environment_.engine->Reserve(
      std::move(request),
      [this, number](ExecuteResult result) { Reserved(number, std::move(result)); });
  bool cancel = false;
  {
    absl::MutexLock lock(&mutex_);
    for (Waiting& waiting : waiting_) {
      if (waiting.number != number) continue;
      waiting.id = id;
      cancel = waiting.cancel;
    }
  }
  if (cancel) environment_.engine->CancelReserve(id);
}

void WorkStreamCall::Reserved(uint64_t number, ExecuteResult result) {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    const auto waiting = std::find_if(waiting_.begin(), waiting_.end(),
                                      [&](const Waiting& w) { return w.number == number; });
    CHECK(waiting != waiting_.end());
    const size_t granted = result.outcome.grants.size();
    CHECK_LE(granted, waiting->credits);
    if (phase_ == Phase::kRunning && !draining_) {
      credits_ += waiting->credits - static_cast<uint32_t>(granted);
      plenty_ = granted == waiting->credits;
    }
    waiting_.erase(waiting);
    TakeGrants(std::move(result), &next);
    Decide(&next);
  }
  Act(std::move(next));
}

void WorkStreamCall::TakeGrants(ExecuteResult result, Next* next) {
  std::vector<Grant>& grants = result.outcome.grants;
  CHECK_EQ(grants.size(), result.payloads.size());
  if (phase_ != Phase::kRunning || draining_) {
    for (const Grant& grant : grants) next->give_back.push_back({grant.job.id, grant.job.token});
    return;
  }
  if (absl::IsResourceExhausted(result.status)) {
    PauseReserving(result.retry_after);
  } else if (!result.status.ok()) {
    End(FailureOf(result.status, result.retry_after), next);
  } else if (!AnswerFor(result.outcome.code).ok()) {
    End(FailureOf(result.outcome.code), next);
  } else if (grants.empty()) {
    PauseReserving(kReservePause);
  }
  for (size_t i = 0; i < grants.size(); ++i) {
    outbox_.jobs.push_back({std::move(grants[i]), std::move(result.payloads[i])});
  }
}

void WorkStreamCall::PauseReserving(absl::Duration delay) {
  if (paused_) return;
  paused_ = true;
  alarm_ = std::make_unique<grpc::Alarm>();
  const auto at =
      std::chrono::system_clock::now() + absl::ToChronoMilliseconds(std::max(delay, kReservePause));
  alarm_->Set(at, [this](bool) {
    Next next;
    {
      absl::MutexLock lock(&mutex_);
      ++acting_;
      paused_ = false;
      Decide(&next);
    }
    Act(std::move(next));
  });
}

void WorkStreamCall::LeaseEnded(const Machine::EndedLease& lease) {
  using Why = Machine::EndedLease::Why;
  v1::CancelReason reason = v1::CANCEL_REASON_UNSPECIFIED;
  switch (lease.why) {
    case Why::kExpired:
      reason = v1::CANCEL_REASON_EXPIRED;
      break;
    case Why::kDeleted:
      reason = v1::CANCEL_REASON_DELETED;
      break;
    case Why::kPurged:
      reason = v1::CANCEL_REASON_PURGED;
      break;
    case Why::kHolderClosed:
      reason = v1::CANCEL_REASON_HOLDER_CLOSED;
      break;
  }
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    --held_;
    if (!broken_) outbox_.cancelled.push_back({lease.job, lease.token, reason});
    Decide(&next);
  }
  Act(std::move(next));
}

// --- Deciding and acting.

void WorkStreamCall::DecideReserve(Next* next) {
  if (phase_ != Phase::kRunning || draining_ || paused_ || credits_ == 0) return;
  if (waiting_.size() >= (plenty_ ? kReservesMax : 1) || outbox_.jobs.size() >= kReserveJobsMax) {
    return;
  }
  next->reserve_number = next_number_++;
  next->reserve_max = std::min(credits_, kReserveJobsMax);
  credits_ -= next->reserve_max;
  waiting_.push_back({.number = next->reserve_number, .credits = next->reserve_max, .id = {}});
}

// A read and a write are begun by whoever sets the flag, so at most once at a time.
void WorkStreamCall::Decide(Next* next) {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kRunning && draining_ && held_ <= 0 && settling_ == 0) {
    End(DrainingFailure(), next);
  }
  DecideReserve(next);
  const bool more_to_say = phase_ == Phase::kOpening || phase_ == Phase::kRunning;
  if (more_to_say && !reading_ && !read_all_ &&
      settling_ + outbox_.settled.size() < kSettlementsMax) {
    reading_ = true;
    next->read = true;
  }
  if (!writing_ && !broken_ && !outbox_.empty()) {
    writing_ = true;
    next->write = true;
  }
}

bool WorkStreamCall::DecideClose() {
  if (phase_ != Phase::kEnding || acting_ > 0 || !waiting_.empty() || settling_ > 0 || paused_ ||
      writing_ || (!broken_ && !outbox_.empty())) {
    return false;
  }
  phase_ = Phase::kClosed;
  return true;
}

void WorkStreamCall::Act(Next next) {
  for (const ReserveId id : next.cancel) environment_.engine->CancelReserve(id);
  ReturnUndelivered(environment_.engine, std::move(next.give_back));
  if (next.write) Write();
  if (next.read) {
    read_arena_.Reset();
    request_ = Arena::CreateMessage<v1::WorkRequest>(&read_arena_);
    StartRead(request_);
  }
  if (next.reserve_number != 0) Reserve(next.reserve_number, next.reserve_max);
  bool close = false;
  {
    absl::MutexLock lock(&mutex_);
    --acting_;
    close = DecideClose();
  }
  if (close) Close();
}

void WorkStreamCall::End(std::optional<Failure> why, Next* next) {
  if (phase_ == Phase::kEnding || phase_ == Phase::kClosed) return;
  phase_ = Phase::kEnding;
  why_ = std::move(why);
  credits_ = 0;
  for (const GrantedJob& job : outbox_.jobs) {
    next->give_back.push_back({job.grant.job.id, job.grant.job.token});
  }
  outbox_.jobs.clear();
  for (Waiting& waiting : waiting_) {
    waiting.cancel = true;
    if (waiting.id != ReserveId()) next->cancel.push_back(waiting.id);
  }
  if (paused_) alarm_->Cancel();
}

void WorkStreamCall::Break(Next* next) {
  broken_ = true;
  read_all_ = true;
  End(std::nullopt, next);
  outbox_ = Outbox();
  Decide(next);
}

void WorkStreamCall::Close() {
  if (!holder_.none()) environment_.engine->CloseHolder(holder_, at_close_);
  std::optional<Failure> why;
  {
    absl::MutexLock lock(&mutex_);
    why = std::move(why_);
  }
  Finish(why.has_value() ? why->ToGrpc() : grpc::Status::OK);
}

void WorkStreamCall::OnCancel() {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    Break(&next);
  }
  Act(std::move(next));
}

void WorkStreamCall::Drain(absl::Time deadline) {
  Next next;
  {
    absl::MutexLock lock(&mutex_);
    ++acting_;
    draining_ = true;
    credits_ = 0;
    if (phase_ == Phase::kOpening) End(DrainingFailure(), &next);
    if (phase_ == Phase::kRunning) {
      outbox_.drain = std::max(deadline - absl::Now(), absl::ZeroDuration());
      for (const GrantedJob& job : outbox_.jobs) {
        next.give_back.push_back({job.grant.job.id, job.grant.job.token});
      }
      outbox_.jobs.clear();
      for (Waiting& waiting : waiting_) {
        waiting.cancel = true;
        if (waiting.id != ReserveId()) next.cancel.push_back(waiting.id);
      }
    }
    Decide(&next);
  }
  Act(std::move(next));
}

void WorkStreamCall::OnDone() {
  environment_.calls->Leave(this);
  delete this;
}

}  // namespace holdfast
