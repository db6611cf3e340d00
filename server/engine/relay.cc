#include "server/engine/relay.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "server/codec/command_codec.h"
#include "server/engine/forward/forward_codec.h"

namespace holdfast {
namespace {

constexpr int64_t kWatchMicros = 250'000;
// Ends a session that is not used; opening another costs one command.
constexpr LogDuration kSessionIdle = LogDuration::Seconds(60);
// From the oldest sequence without an answer to the newest. Below the default of
// Settings::session_outcomes_max; where that is smaller the shard refuses, and it is tried again.
constexpr uint64_t kWindow = 4000;

ExecuteResult Failure(absl::Status status) {
  ExecuteResult result;
  result.status = std::move(status);
  return result;
}

ExecuteResult NothingReady() {
  ExecuteResult result;
  result.outcome.code = OutcomeCode::kNothingReady;
  return result;
}

}  // namespace

Relay::Relay(const Options& options, const Parts& parts) : options_(options), parts_(parts) {}

Relay::~Relay() = default;

// --- Commands.

void Relay::Submit(Submission submission) {
  CHECK(parts_.executor->IsCurrent());
  if (parts_.shard->leading()) return parts_.shard->Submit(std::move(submission));
  Begin(std::move(submission));
}

// Not at once: while leadership is handed over it would only come back again.
void Relay::Return(Submission submission) {
  Keep(std::move(submission));
  PumpLater();
}

void Relay::Begin(Submission submission) {
  Keep(std::move(submission));
  Pump();
}

void Relay::Keep(Submission submission) {
  if (stopped_) {
    return std::move(submission.done)(Failure(absl::UnavailableError("the node is stopping")));
  }
  Call& call = calls_[++calls_made_];
  call.command = std::move(submission.command);
  call.done = std::move(submission.done);
  call.permit = std::move(submission.permit);
  call.deadline_micros = parts_.executor->MonotonicMicros() + options_.wait_micros;
  unsent_.insert(calls_made_);
  WatchDeadlines();
}

void Relay::OnLeader(ReplicaId leader) {
  CHECK(parts_.executor->IsCurrent());
  leader_ = leader;
  if (leader == ReplicaId()) return;
  opening_ = false;
  // What another one was asked may have been executed, or may yet be.
  for (auto& [number, call] : calls_) {
    if (!call.is_sent || call.sent_to == leader) continue;
    call.maybe_executed = true;
    call.is_sent = false;
    --in_flight_;
    unsent_.insert(number);
  }
  Pump();
}

void Relay::OnLeading() { OnLeader(options_.self); }

void Relay::Pump() {
  // From the shard's callbacks it may be called while it runs.
  if (std::exchange(pumping_, true)) return;
  for (const ReserveId id : std::exchange(returned_, {})) TryReserve(id);
  while (!unsent_.empty() && in_flight_ < options_.in_flight_max && leader_ != ReplicaId()) {
    const uint64_t number = *unsent_.begin();
    if (!Send(number, &calls_.find(number)->second)) break;
  }
  pumping_ = false;
}

void Relay::PumpLater() {
  if (std::exchange(pump_later_, true)) return;
  parts_.executor->RunAt(parts_.executor->MonotonicMicros() + options_.retry_micros, [this] {
    pump_later_ = false;
    Pump();
  });
}

// False: not now. It will be pumped again when that may have changed.
bool Relay::Send(uint64_t number, Call* call) {
  const bool here = leader_ == options_.self;
  if (here && !parts_.shard->leading()) return false;
  if (here && !call->maybe_executed) {
    Submission submission;
    submission.command = std::move(call->command);
    submission.done = std::move(call->done);
    submission.permit = std::move(call->permit);
    LeaveSession(call);
    unsent_.erase(number);
    calls_.erase(number);
    parts_.shard->Submit(std::move(submission));
    return true;
  }
  const bool has_identity = HasRequestIdentity(call->command);
  if (!has_identity && !Identify(call)) return false;
  RequestIdentity identity;
  if (!has_identity) {
    identity = {.session = session_, .sequence = call->sequence, .floor = *undecided_.begin() - 1};
  }
  unsent_.erase(number);
  ++in_flight_;
  call->is_sent = true;
  call->sent_to = leader_;
  SendTo(EncodeForwardRequest(call->maybe_executed, call->command, identity),
         [this, number, attempt = ++call->attempt](ExecuteResult result) {
           Answered(number, attempt, std::move(result));
         });
  return true;
}

// Gives it a number in the session; false if there is no session yet, or no room in it.
bool Relay::Identify(Call* call) {
  if (call->session != 0 && call->session == sessions_made_) return true;
  CHECK(!call->maybe_executed);
  if (session_ == SessionId()) {
    OpenSession();
    return false;
  }
  if (!undecided_.empty() && sequences_made_ + 1 - *undecided_.begin() > kWindow) return false;
  call->session = sessions_made_;
  call->sequence = ++sequences_made_;
  undecided_.insert(call->sequence);
  return true;
}

void Relay::OpenSession() {
  if (std::exchange(opening_, true)) return;
  const std::string command =
      EncodeCommand({.request = {}, .body = OpenSessionCommand{.idle_limit = kSessionIdle}});
  SendTo(EncodeForwardRequest(false, command, {}),
         [this, opening = ++openings_](ExecuteResult result) {
           if (opening != openings_ || session_ != SessionId()) return;
           opening_ = false;
           if (!result.status.ok() || result.outcome.code != OutcomeCode::kOk) return PumpLater();
           session_ = result.outcome.session;
           ++sessions_made_;
           sequences_made_ = 0;
           undecided_.clear();
           Pump();
         });
}

// To the leader, which may be this node's shard.
void Relay::SendTo(std::string request, ExecuteDone done) {
  if (leader_ == options_.self) {
    Submission submission;
    submission.command = std::string(DecodeForwardRequest(request)->command);
    submission.done = [loop = parts_.executor,
                       done = std::move(done)](ExecuteResult result) mutable {
      // Payloads that were read from the store come on a reader's thread.
      loop->Post([done = std::move(done), result = std::move(result)]() mutable {
        std::move(done)(std::move(result));
      });
    };
    submission.from_peer = true;
    return parts_.shard->Submit(std::move(submission));
  }
  parts_.forwarder->Forward(
      leader_, options_.shard, std::make_shared<const std::string>(std::move(request)),
      [done = std::move(done)](Forwarder::Result result,
                               std::shared_ptr<const std::string> bytes) mutable {
        if (result == Forwarder::Result::kNotSent) {
          return std::move(done)(Failure(absl::UnavailableError("not sent")));
        }
        if (result == Forwarder::Result::kUnknown) {
          return std::move(done)(Failure(absl::UnknownError("the connection broke")));
        }
        absl::StatusOr<ExecuteResult> reply = DecodeForwardReply(std::move(bytes));
        std::move(done)(reply.ok() ? *std::move(reply)
                                   : Failure(absl::UnknownError(reply.status().message())));
      });
}

void Relay::Answered(uint64_t number, uint64_t attempt, ExecuteResult result) {
  const auto it = calls_.find(number);
  if (it == calls_.end()) return;
  Call& call = it->second;
  const bool is_latest = call.is_sent && attempt == call.attempt;
  if (is_latest) {
    call.is_sent = false;
    --in_flight_;
  }
  const OutcomeCode code = result.outcome.code;
  const bool session_ended = call.session != 0 && code == OutcomeCode::kSessionExpired;
  const bool no_room = call.session != 0 && code == OutcomeCode::kRequestTableFull;
  if (result.status.ok() && !session_ended && !no_room) return Finish(it, std::move(result));
  // What does not answer it counts only from the latest attempt.
  if (!is_latest) return;
  if (session_ended) {
    if (call.session == sessions_made_) session_ = SessionId();
    if (call.maybe_executed) return Finish(it, Failure(Undecided(call)));
    LeaveSession(&call);
    return Retry(number);
  }
  if (no_room || absl::IsUnavailable(result.status)) return Retry(number);
  if (absl::IsUnknown(result.status)) {
    call.maybe_executed = true;
    return Retry(number);
  }
  if (absl::IsResourceExhausted(result.status) && call.maybe_executed) return Retry(number);
  Finish(it, std::move(result));
}

void Relay::Retry(uint64_t number) {
  unsent_.insert(number);
  PumpLater();
}

void Relay::LeaveSession(Call* call) {
  if (call->session != 0 && call->session == sessions_made_) undecided_.erase(call->sequence);
  call->session = 0;
}

void Relay::Finish(Calls::iterator it, ExecuteResult result) {
  Call call = std::move(it->second);
  if (call.is_sent) --in_flight_;
  unsent_.erase(it->first);
  calls_.erase(it);
  LeaveSession(&call);
  std::move(call.done)(std::move(result));
  Pump();
}

// Why a call ends without an answer.
absl::Status Relay::Undecided(const Call& call) const {
  const std::string shard = absl::StrCat("shard ", options_.shard.value());
  if (call.is_sent || call.maybe_executed) {
    return absl::UnknownError(
        absl::StrCat("the outcome is unknown: ", shard, " has not told it in time"));
  }
  return absl::UnavailableError(absl::StrCat(
      shard, leader_ == ReplicaId() ? " has no leader" : ": its leader cannot be reached"));
}

void Relay::WatchDeadlines() {
  if (watching_ || calls_.empty()) return;
  watching_ = true;
  const int64_t planned = parts_.executor->MonotonicMicros() + kWatchMicros;
  parts_.executor->RunAt(planned, [this, planned] {
    watching_ = false;
    const int64_t now = parts_.executor->MonotonicMicros();
    // Time in which this node was held up (stopped, or starved) was none for the others to answer.
    if (const int64_t held_up = now - planned; held_up > kWatchMicros) {
      for (auto& [number, call] : calls_) call.deadline_micros += held_up;
    }
    while (!calls_.empty() && calls_.begin()->second.deadline_micros <= now) {
      Finish(calls_.begin(), Failure(Undecided(calls_.begin()->second)));
    }
    WatchDeadlines();
  });
}

void Relay::Stop() {
  CHECK(parts_.executor->IsCurrent());
  stopped_ = true;
  draining_ = true;
  leader_ = ReplicaId();
  for (const ReserveId id : std::exchange(returned_, {})) {
    FinishReserve(id, Failure(absl::UnavailableError("the node is stopping")));
  }
  while (!calls_.empty()) {
    Finish(calls_.begin(), Failure(Undecided(calls_.begin()->second)));
  }
}

// --- Reserves.

void Relay::Reserve(WaiterPtr waiter) {
  CHECK(parts_.executor->IsCurrent());
  if (parts_.shard->leading()) return parts_.shard->Reserve(std::move(waiter));
  Return(std::move(waiter));
  Pump();
}

void Relay::Return(WaiterPtr waiter) {
  if (reserves_.size() >= options_.reserves_max) {
    return std::move(waiter->done)(Failure(absl::ResourceExhaustedError(
        absl::StrCat(reserves_.size(), " reserves wait at this shard, the most that may"))));
  }
  returned_.push_back(waiter->id);
  const bool inserted = reserves_.emplace(returned_.back(), std::move(waiter)).second;
  CHECK(inserted);
  PumpLater();
}

void Relay::TryReserve(ReserveId id) {
  const Waiter& waiter = *reserves_.find(id)->second;
  if (waiter.cancelled) return FinishReserve(id, NothingReady());
  if (parts_.shard->leading()) {
    WaiterPtr own = std::move(reserves_.extract(id).mapped());
    return parts_.shard->Reserve(std::move(own));
  }
  const ReserveRequest& request = waiter.request;
  ReserveCommand reserve{
      .queues = {}, .max = request.max, .holder = request.holder, .lease = request.lease};
  reserve.queues.assign(request.queues.begin(), request.queues.end());
  Submission submission;
  submission.command = EncodeCommand({.request = request.request, .body = std::move(reserve)});
  submission.done = [this, id](ExecuteResult result) { OnLoop(id, std::move(result)); };
  Begin(std::move(submission));
}

// The answer may come from a reader's thread.
void Relay::OnLoop(ReserveId id, ExecuteResult result) {
  if (parts_.executor->IsCurrent()) return Reserved(id, std::move(result));
  parts_.executor->Post(
      [this, id, result = std::move(result)]() mutable { Reserved(id, std::move(result)); });
}

void Relay::Reserved(ReserveId id, ExecuteResult result) {
  const Waiter& waiter = *reserves_.find(id)->second;
  if (waiter.cancelled) {
    GiveBack(result.outcome);
    return FinishReserve(id, NothingReady());
  }
  const bool waits = !draining_ && waiter.request.wait > absl::ZeroDuration() &&
                     waiter.deadline_micros > parts_.executor->MonotonicMicros();
  const bool nothing = result.status.ok() && result.outcome.code == OutcomeCode::kNothingReady;
  if (result.status.ok() && result.outcome.code == OutcomeCode::kHolderGone) {
    // If that is since this node was judged lost, this replica knows it when it has come so far.
    const LogIndex as_of = result.as_of;
    return parts_.shard->AfterApplied(as_of, [this, id, result = std::move(result)]() mutable {
      ReserveAnew(id, std::move(result));
    });
  }
  if (!nothing || !waits) return FinishReserve(id, std::move(result));
  // Before this replica has come as far as the leader was, it may still see jobs that are gone.
  parts_.shard->AfterApplied(result.as_of, [this, id] { WaitForOffer(id); });
}

void Relay::ReserveAnew(ReserveId id, ExecuteResult refusal) {
  const auto it = reserves_.find(id);
  if (it == reserves_.end()) return;
  ReserveRequest& request = it->second->request;
  const Holder now = parts_.shard->Now(request.holder);
  if (stopped_ || now == request.holder) return FinishReserve(id, std::move(refusal));
  request.holder = now;
  OfferCame(id, ExecuteResult());
}

void Relay::WaitForOffer(ReserveId id) {
  const auto it = reserves_.find(id);
  if (it == reserves_.end()) return;
  const Waiter& waiter = *it->second;
  if (waiter.cancelled || stopped_) return FinishReserve(id, NothingReady());
  auto offer = std::make_unique<Waiter>();
  offer->id = id;
  offer->request.queues = waiter.request.queues;
  offer->request.max = waiter.request.max;
  offer->request.wait = waiter.request.wait;
  offer->deadline_micros = waiter.deadline_micros;
  offer->offer_only = true;
  offer->done = [this, id](ExecuteResult result) { OfferCame(id, std::move(result)); };
  parts_.shard->WaitForOffer(std::move(offer));
}

void Relay::OfferCame(ReserveId id, ExecuteResult result) {
  const bool offer = result.status.ok() && result.outcome.code == OutcomeCode::kOk;
  if (!offer) return FinishReserve(id, std::move(result));
  // Not from within the shard's own work.
  parts_.executor->Post([this, id] { TryReserve(id); });
}

void Relay::CancelReserve(ReserveId id) {
  CHECK(parts_.executor->IsCurrent());
  if (const auto it = reserves_.find(id); it != reserves_.end()) it->second->cancelled = true;
  parts_.shard->CancelReserve(id);
}

void Relay::GiveBack(const Outcome& outcome) {
  if (outcome.grants.empty()) return;
  ReturnUndeliveredCommand command;
  for (const Grant& grant : outcome.grants) {
    command.leases.push_back({grant.job.id, grant.job.token});
  }
  Submission submission;
  submission.command = EncodeCommand({.request = {}, .body = std::move(command)});
  submission.done = [](ExecuteResult) {};
  Submit(std::move(submission));
}

void Relay::FinishReserve(ReserveId id, ExecuteResult result) {
  WaiterPtr waiter = std::move(reserves_.extract(id).mapped());
  std::move(waiter->done)(std::move(result));
}

}  // namespace holdfast
