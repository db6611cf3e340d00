// Session's reservations.

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "base/check.h"
#include "server/answer/outcome_table.h"
#include "server/codec/payload_codec.h"
#include "server/frontend/beanstalk/reply.h"
#include "server/frontend/beanstalk/session.h"

namespace holdfast::beanstalk {
namespace {

// A worker with less than this left for a job is told so rather than left waiting.
constexpr int64_t kSafetyMarginMicros = 1'000'000;
// How soon a reserve that the engine could not take now is tried again.
constexpr int64_t kRetryMicros = 100'000;

}  // namespace

// --- Waiting.
//
//   AskReserve ──job──▶ RESERVED
//     ▲   │
//     │   └─nothing─┬─ a lease is near its end ──▶ DEADLINE_SOON
//     │             ├─ timeout, the peer is done ▶ TIMED_OUT
//     └─────────────┴─ sooner than asked, or the engine cannot now: after a while

void Session::Reserve(const Request& request, Place place) {
  BecomeWorker();
  waiting_ = Waiting();
  waiting_->place = place;
  waiting_->verb = request.verb;
  waiting_->timeout_s = request.number;
  gathering_ = true;
}

bool Session::Joins(const Request& request) {
  const size_t count_max =
      std::clamp<size_t>(kReserveBytesMax / (node_->job_bytes_max + 1), 1, kReservesMax);
  const bool joins = request.flaw == Flaw::kNone && request.verb == waiting_->verb &&
                     request.number == waiting_->timeout_s && waiting_->count < count_max;
  if (!joins) return false;
  ++node_->counters.commands[static_cast<size_t>(request.verb)];
  OpenReply(0);
  ++waiting_->count;
  return true;
}

void Session::AskGathered() {
  if (std::exchange(gathering_, false)) AskRest();
}

// The time that one may wait begins when all before it are answered.
void Session::AskRest() {
  if (quitting_) return;
  const bool timed = waiting_->verb == Verb::kReserveWithTimeout;
  waiting_->deadline_micros =
      timed ? loop_->MonotonicMicros() + int64_t{waiting_->timeout_s} * 1'000'000 : INT64_MAX;
  AskReserve();
}

void Session::AskReserve() {
  const int64_t now = loop_->MonotonicMicros();
  int64_t until = std::min(waiting_->deadline_micros, DeadlineSoonMicros());
  if (peer_done_ || until < now) until = now;
  waiting_->asked_until_micros = until;
  waiting_->id = ReserveId();
  ReserveRequest request;
  request.queues.reserve(watched_.size());
  for (const TubeTable::Ref& tube : watched_) request.queues.push_back(tube->name);
  request.wait = until == INT64_MAX ? absl::InfiniteDuration() : absl::Microseconds(until - now);
  request.max = waiting_->count;
  request.holder = MyHolder();
  CountWaiting(until > now);
  const ReserveId id = node_->engine->Reserve(
      std::move(request),
      Back([](Session* self, ExecuteResult result) { self->Reserved(std::move(result)); }));
  // It may have been answered, and another one asked for.
  if (waiting_.has_value() && waiting_->id == ReserveId()) waiting_->id = id;
}

void Session::Reserved(ExecuteResult result) {
  CountWaiting(false);
  if (!result.status.ok()) {
    const bool later = TroubleOf(result.status) == Trouble::kUnavailable && !peer_done_ &&
                       loop_->MonotonicMicros() < waiting_->deadline_micros;
    if (later) return RetryReserve();
    return AnswerWaiting(1, [&](Place place) { AnswerFailure(place, result.status); });
  }
  if (!result.outcome.grants.empty()) return TakeGrants(result);
  if (result.outcome.code != OutcomeCode::kNothingReady) {
    return EndReserve(AnswerFor(result.outcome.code).beanstalkd);
  }
  const int64_t now = loop_->MonotonicMicros();
  if (DeadlineSoonMicros() <= now) return EndReserve("DEADLINE_SOON");
  if (peer_done_ || waiting_->deadline_micros <= now) return EndReserve("TIMED_OUT");
  // The engine lets nobody wait any more, or the lease that limited the wait has ended.
  if (now < waiting_->asked_until_micros) return RetryReserve();
  AskReserve();
}

void Session::EndReserve(std::string_view word) {
  AnswerWaiting(1, [&](Place place) { AnswerWord(place, word); });
}

void Session::TakeGrants(const ExecuteResult& result) {
  const std::vector<Grant>& grants = result.outcome.grants;
  AnswerWaiting(static_cast<uint32_t>(grants.size()), [&](Place first) {
    for (size_t i = 0; i < grants.size(); ++i) {
      TakeGrant(grants[i].job, result.payloads[i], first + i);
    }
  });
}

void Session::AnswerWaiting(uint32_t count, absl::FunctionRef<void(Place)> answer) {
  CHECK_LE(count, waiting_->count);
  const Place first = waiting_->place;
  const bool rest = count < waiting_->count;
  if (rest) {
    waiting_->place += count;
    waiting_->count -= count;
  } else {
    waiting_.reset();
  }
  answer(first);
  if (rest) AskRest();
}

void Session::RetryReserve() {
  loop_->RunAt(loop_->MonotonicMicros() + kRetryMicros, [weak = weak_from_this()] {
    const std::shared_ptr<Session> self = weak.lock();
    if (self != nullptr && !self->closed_) self->AskReserve();
  });
}

void Session::CountWaiting(bool waits) {
  if (!waiting_.has_value() || waiting_->counted == waits) return;
  waiting_->counted = waits;
  const uint32_t change = waits ? 1 : -1u;
  node_->counters.waiting += change;
  for (const TubeTable::Ref& tube : watched_) tube->waiters += change;
}

// --- Jobs that were handed out.

void Session::ReserveJob(const Request& request, Place place) {
  const JobId job(request.id);
  Execute(ReserveJobCommand{.job = job, .holder = MyHolder(), .lease = {}},
          [place](Session* self, ExecuteResult result) {
            if (!result.status.ok()) return self->AnswerFailure(place, result.status);
            if (result.outcome.grants.empty()) {
              return self->AnswerWord(place, AnswerFor(result.outcome.code).beanstalkd);
            }
            self->BecomeWorker();
            self->TakeGrant(result.outcome.grants.front().job, result.payloads.front(), place);
          });
}

void Session::TakeGrant(const Job& job, const PayloadRef& ref, Place place) {
  const int64_t length = job.current_lease.micros();
  const absl::StatusOr<PayloadView> payload = DecodePayload(ref.bytes);
  if (!payload.ok()) {
    Execute(ReturnUndeliveredCommand{.leases = {{job.id, job.token}}},
            [](Session*, ExecuteResult) {});
    return AnswerFailure(place, payload.status());
  }
  AddLease(job.id, {.token = job.token,
                    .length_micros = length,
                    .due_micros = loop_->MonotonicMicros() + length});
  AppendJob(ReplyAt(place), "RESERVED", job.id.value(), payload->body);
  Answered(place);
}

void Session::BecomeWorker() {
  if (!std::exchange(worker_, true)) ++node_->counters.workers;
}

Holder Session::MyHolder() {
  if (holder_.none()) {
    holder_ = node_->engine->OpenHolder(
        LeasesAtClose::kRelease,
        [weak = weak_from_this(), loop = loop_](const Machine::EndedLease& lease) {
          loop->Post([weak, job = lease.job, token = lease.token] {
            const std::shared_ptr<Session> self = weak.lock();
            if (self != nullptr) self->LeaseEnded(job, token);
          });
        });
  }
  return holder_;
}

void Session::LeaseEnded(JobId job, LeaseToken token) {
  const auto held = leases_.find(job);
  if (held != leases_.end() && held->second.token == token) TakeLease(job);
}

void Session::AddLease(JobId job, Lease lease) {
  leases_[job] = lease;
  deadlines_.emplace(lease.due_micros, job);
}

std::optional<Session::Lease> Session::TakeLease(JobId job) {
  const auto held = leases_.find(job);
  if (held == leases_.end()) return std::nullopt;
  const Lease lease = held->second;
  deadlines_.erase({lease.due_micros, job});
  leases_.erase(held);
  return lease;
}

int64_t Session::DeadlineSoonMicros() {
  // What has ended by now concerns nobody, though the engine has not told yet.
  const int64_t now = loop_->MonotonicMicros();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    deadlines_.erase(deadlines_.begin());
  }
  return deadlines_.empty() ? INT64_MAX : deadlines_.begin()->first - kSafetyMarginMicros;
}

}  // namespace holdfast::beanstalk
