#include "server/frontend/grpc/reserve_call.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "server/answer/failure.h"
#include "server/frontend/grpc/message_job.h"
#include "server/frontend/grpc/unary.h"
#include "server/frontend/grpc/validation.h"

namespace holdfast {
namespace {

// The shape of a call that ends at once.
class RefusedCall final : public grpc::ServerUnaryReactor {
 public:
  explicit RefusedCall(const Failure& failure) { Finish(failure.ToGrpc()); }
  void OnDone() override { delete this; }
};

Violation ToRequest(const v1::ReserveRequest& message, ReserveRequest* out) {
  if (auto violation = CheckQueueNames("queues", message.queues(), &out->queues)) {
    return violation;
  }
  if (auto violation = CheckAtMost("max_jobs", message.max_jobs(), kItemsPerCommandMax)) {
    return violation;
  }
  out->max = std::max(message.max_jobs(), 1u);
  LogDuration wait;
  if (auto violation = CheckSpan("wait", message.wait(), kWaitRange, &wait)) return violation;
  out->wait = absl::Microseconds(wait.micros());
  return CheckSpan("lease", message.lease(), kLeaseRange, &out->lease);
}

}  // namespace

void ReturnUndelivered(Engine* engine, LeaseRefs leases) {
  if (leases.empty()) return;
  Command command;
  command.body = ReturnUndeliveredCommand{.leases = std::move(leases)};
  engine->Execute(command, [](ExecuteResult) {});
}

grpc::ServerUnaryReactor* ReserveCall::Start(const CallEnvironment& environment,
                                             const v1::ReserveRequest& message,
                                             v1::ReserveResponse* response) {
  ReserveRequest request;
  if (const Violation violation = ToRequest(message, &request)) {
    return new RefusedCall(FailureOf(*violation));
  }
  auto* call = new ReserveCall(environment, response);
  if (request.wait > absl::ZeroDuration()) {
    if (!environment.calls->Enter(call)) {
      delete call;
      return new RefusedCall(DrainingFailure());
    }
    call->entered_ = true;
  }
  call->Begin(std::move(request));
  return call;
}

// gRPC reports a cancellation, and is done with the call, only after the method that made it has
// returned: `this` lives until the end of Begin, and OnCancel finds the id.
void ReserveCall::Begin(ReserveRequest request) {
  const ReserveId id = environment_.engine->Reserve(
      std::move(request), [this](ExecuteResult result) { Answered(std::move(result)); });
  bool cancel = false;
  {
    absl::MutexLock lock(&mutex_);
    id_ = id;
    cancel = draining_ && !answered_;
  }
  if (cancel) environment_.engine->CancelReserve(id);
}

void ReserveCall::Answered(ExecuteResult result) {
  bool cancelled = false;
  bool draining = false;
  {
    absl::MutexLock lock(&mutex_);
    CHECK(!answered_);
    answered_ = true;
    cancelled = cancelled_;
    draining = draining_;
  }
  if (!result.status.ok()) {
    Finish(FailureOf(result.status, result.retry_after).ToGrpc());
    return;
  }
  if (cancelled) {
    LeaseRefs leases;
    for (const Grant& grant : result.outcome.grants) {
      leases.push_back({grant.job.id, grant.job.token});
    }
    ReturnUndelivered(environment_.engine, std::move(leases));
    Finish(FailureOf(absl::CancelledError("")).ToGrpc());
    return;
  }
  if (!AnswerFor(result.outcome.code).ok()) {
    Finish(FailureOf(result.outcome.code).ToGrpc());
    return;
  }
  if (result.outcome.grants.empty() && draining) {
    Finish(DrainingFailure().ToGrpc());
    return;
  }
  const absl::Status told = TellGrants(result);
  Finish(told.ok() ? grpc::Status::OK : FailureOf(told).ToGrpc());
}

absl::Status ReserveCall::TellGrants(const ExecuteResult& result) {
  const auto& grants = result.outcome.grants;
  CHECK_EQ(grants.size(), result.payloads.size());
  LeaseRefs left_over;
  size_t bytes = 0;
  absl::Status status;
  for (size_t i = 0; i < grants.size(); ++i) {
    const LeaseRef lease = {grants[i].job.id, grants[i].job.token};
    bytes += result.payloads[i].bytes.size();
    if (!status.ok() || (i > 0 && bytes > kPayloadBytesMax)) {
      left_over.push_back(lease);
      continue;
    }
    told_.push_back(lease);
    status = FillJob(grants[i].job, grants[i].queue, result.payloads[i], JobParts::kHandOut,
                     response_->add_jobs());
  }
  if (!status.ok()) {
    left_over.insert(left_over.end(), told_.begin(), told_.end());
    told_.clear();
  }
  ReturnUndelivered(environment_.engine, std::move(left_over));
  return status;
}

void ReserveCall::OnCancel() {
  ReserveId id;
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    if (answered_) return;
    id = id_;
  }
  environment_.engine->CancelReserve(id);
}

void ReserveCall::Drain(absl::Time) {
  ReserveId id;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    if (answered_ || id_ == ReserveId()) return;
    id = id_;
  }
  environment_.engine->CancelReserve(id);
}

void ReserveCall::OnDone() {
  if (entered_) environment_.calls->Leave(this);
  bool cancelled = false;
  {
    absl::MutexLock lock(&mutex_);
    cancelled = cancelled_;
  }
  // Cancelled after the answer was handed to gRPC, but before it was sent.
  if (cancelled) ReturnUndelivered(environment_.engine, std::move(told_));
  delete this;
}

}  // namespace holdfast
