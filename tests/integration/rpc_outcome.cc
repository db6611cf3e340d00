#include "tests/integration/rpc_outcome.h"

#include <algorithm>
#include <iterator>

#include "proto/google/rpc/error_details.pb.h"

namespace holdfast::testing {

RpcOutcome JudgeItem(const google::rpc::Status& error) {
  constexpr const char* kUnknownReasons[] = {"OUTCOME_UNKNOWN", "INTERNAL_ERROR", "DATA_DAMAGED",
                                             "CALL_CANCELLED", "CALL_DEADLINE_EXCEEDED"};
  for (const auto& detail : error.details()) {
    google::rpc::ErrorInfo info;
    if (!detail.UnpackTo(&info) || info.domain() != "holdfast") continue;
    const bool unknown = std::any_of(std::begin(kUnknownReasons), std::end(kUnknownReasons),
                                     [&](const char* reason) { return info.reason() == reason; });
    return {.ended = unknown ? Ended::kUnknown : Ended::kRefused, .reason = info.reason()};
  }
  return {.ended = Ended::kUnknown, .reason = ""};
}

RpcOutcome JudgeCall(const grpc::Status& status) {
  if (status.ok()) return {.ended = Ended::kOk, .reason = ""};
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return {};
  return JudgeItem(details);
}

}  // namespace holdfast::testing
