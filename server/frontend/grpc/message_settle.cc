#include "server/frontend/grpc/message_settle.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/frontend/grpc/message_job.h"
#include "server/frontend/grpc/request_identity.h"
#include "server/frontend/grpc/validation.h"

namespace holdfast {

Violation ToCommand(const v1::DeleteRequest& request, Command* out) {
  auto& command = out->body.emplace<DeleteCommand>();
  if (Violation violation = ReadRequestIdentity("Delete", "", request, &out->request)) {
    return violation;
  }
  return CheckLeases(request.leases(), &command.leases);
}

Violation ToCommand(const v1::ReleaseRequest& request, Command* out) {
  auto& command = out->body.emplace<ReleaseCommand>();
  if (Violation violation = ReadRequestIdentity("Release", "", request, &out->request)) {
    return violation;
  }
  switch (request.mode()) {
    case v1::RELEASE_MODE_UNSPECIFIED:
    case v1::RELEASE_MODE_RETURN:
      command.mode = ReleaseMode::kReturn;
      break;
    case v1::RELEASE_MODE_FAIL:
      command.mode = ReleaseMode::kFail;
      break;
    default:
      return MakeViolation("mode", absl::StrCat(static_cast<int>(request.mode()),
                                                " is no ReleaseMode (RETURN, FAIL)"));
  }
  if (request.has_priority()) command.priority = request.priority();
  if (request.has_delay()) {
    LogDuration delay;
    if (Violation violation = CheckSpan("delay", request.delay(), kDelayRange, &delay)) {
      return violation;
    }
    command.delay = delay;
  }
  return CheckLeases(request.leases(), &command.leases);
}

Violation ToCommand(const v1::TouchRequest& request, Command* out) {
  auto& command = out->body.emplace<TouchCommand>();
  out->request = RequestIdentity();
  if (Violation violation = CheckSpan("lease", request.lease(), kLeaseRange, &command.lease)) {
    return violation;
  }
  return CheckLeases(request.leases(), &command.leases);
}

Violation ToCommand(const v1::BuryRequest& request, Command* out) {
  auto& command = out->body.emplace<BuryCommand>();
  if (Violation violation = ReadRequestIdentity("Bury", "", request, &out->request)) {
    return violation;
  }
  if (request.has_priority()) command.priority = request.priority();
  return CheckLeases(request.leases(), &command.leases);
}

Violation ToCommand(const v1::Settlement& settlement, Command* out, SettleKind* kind,
                    size_t* leases) {
  const auto count = [](const auto& request) { return static_cast<size_t>(request.leases_size()); };
  switch (settlement.action_case()) {
    case v1::Settlement::kDeleteJobs:
      *kind = SettleKind::kDelete;
      *leases = count(settlement.delete_jobs());
      return ToCommand(settlement.delete_jobs(), out);
    case v1::Settlement::kReleaseJobs:
      *kind = SettleKind::kRelease;
      *leases = count(settlement.release_jobs());
      return ToCommand(settlement.release_jobs(), out);
    case v1::Settlement::kTouchJobs:
      *kind = SettleKind::kTouch;
      *leases = count(settlement.touch_jobs());
      return ToCommand(settlement.touch_jobs(), out);
    case v1::Settlement::kBuryJobs:
      *kind = SettleKind::kBury;
      *leases = count(settlement.bury_jobs());
      return ToCommand(settlement.bury_jobs(), out);
    case v1::Settlement::ACTION_NOT_SET:
      break;
  }
  return MakeViolation("action", "is not set, and is required");
}

void FillLeaseResults(SettleKind kind, const Outcome& outcome,
                      google::protobuf::RepeatedPtrField<v1::LeaseResult>* out) {
  out->Reserve(static_cast<int>(outcome.items.size()));
  for (const ItemOutcome& item : outcome.items) {
    v1::LeaseResult* result = out->Add();
    if (item.code != OutcomeCode::kOk) {
      FailureOf(item.code).Fill(result->mutable_error());
      continue;
    }
    if (kind == SettleKind::kDelete) continue;
    result->set_state(ToMessage(item.state));
    if (kind == SettleKind::kTouch) {
      FillTime(item.due, result->mutable_lease_expire_time());
    } else if (item.state == JobState::kDelayed) {
      FillTime(item.due, result->mutable_ready_time());
    }
  }
}

}  // namespace holdfast
