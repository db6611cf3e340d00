#include "server/answer/failure.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "proto/google/rpc/error_details.pb.h"

namespace holdfast {
namespace {

constexpr char kDomain[] = "holdfast";
// What a client is asked to wait when the engine has no opinion.
constexpr absl::Duration kRetryAfterDefault = absl::Milliseconds(50);

bool WaitingHelps(const Answer& answer) {
  return &answer == &AnswerFor(Trouble::kOverloaded) ||
         &answer == &AnswerFor(Trouble::kUnavailable) ||
         &answer == &AnswerFor(Trouble::kDiskFull) ||
         &answer == &AnswerFor(OutcomeCode::kRequestTableFull) ||
         &answer == &AnswerFor(OutcomeCode::kSessionTableFull);
}

Failure MakeFailure(const Answer& answer, std::string message, absl::Duration retry_after) {
  CHECK(!answer.ok());
  Failure failure{.answer = &answer, .message = std::move(message)};
  if (WaitingHelps(answer)) {
    failure.retry_after = retry_after > absl::ZeroDuration() ? retry_after : kRetryAfterDefault;
  }
  return failure;
}

}  // namespace

void Failure::Fill(google::rpc::Status* out) const {
  out->set_code(static_cast<int>(answer->status));
  if (message.empty()) {
    out->set_message(answer->sentence.data(), answer->sentence.size());
  } else {
    out->set_message(message);
  }
  google::rpc::ErrorInfo info;
  info.set_reason(answer->reason.data(), answer->reason.size());
  info.set_domain(kDomain);
  if (!field.empty()) (*info.mutable_metadata())["field"] = field;
  out->add_details()->PackFrom(info);
  if (retry_after > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry;
    const int64_t nanos = absl::ToInt64Nanoseconds(retry_after);
    retry.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
    out->add_details()->PackFrom(retry);
  }
  if (!field.empty()) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(field);
    violation->set_description(out->message());
    out->add_details()->PackFrom(bad);
  }
}

grpc::Status Failure::ToGrpc() const {
  google::rpc::Status status;
  Fill(&status);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), status.message(),
                      status.SerializeAsString());
}

Failure FailureOf(const FieldError& error) {
  Failure failure = MakeFailure(AnswerFor(Trouble::kInvalidField),
                                absl::StrCat(error.field, ": ", error.description, "."), {});
  failure.field = error.field;
  return failure;
}

Failure FailureOf(OutcomeCode code) { return MakeFailure(AnswerFor(code), "", {}); }

Failure FailureOf(const absl::Status& status, absl::Duration retry_after) {
  return MakeFailure(AnswerFor(TroubleOf(status)), std::string(status.message()), retry_after);
}

Failure DrainingFailure() {
  return MakeFailure(AnswerFor(Trouble::kUnavailable),
                     "The node is draining for a stop; nothing was done.", {});
}

std::optional<Failure> WholeFailure(const ExecuteResult& result, size_t items) {
  if (!result.status.ok()) return FailureOf(result.status, result.retry_after);
  const Outcome& outcome = result.outcome;
  if (items > 0 && outcome.items.size() == items) return std::nullopt;
  if (!AnswerFor(outcome.code).ok()) return FailureOf(outcome.code);
  CHECK_EQ(outcome.items.size(), items);
  return std::nullopt;
}

}  // namespace holdfast
