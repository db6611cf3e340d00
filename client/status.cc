#include "client/status.h"

#include "absl/strings/cord.h"
#include "client/duration.h"
#include "google/protobuf/any.pb.h"
#include "google/rpc/error_details.pb.h"

namespace holdfast {
namespace {

constexpr char kDetailsUrl[] = "holdfast/google.rpc.Status";

absl::Status Make(int code, const std::string& message, const std::string& details) {
  if (code == 0) return absl::OkStatus();
  absl::Status status(static_cast<absl::StatusCode>(code), message);
  if (!details.empty()) status.SetPayload(kDetailsUrl, absl::Cord(details));
  return status;
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  return Make(status.error_code(), status.error_message(), status.error_details());
}

absl::Status FromRpcStatus(const google::rpc::Status& status) {
  return Make(status.code(), status.message(), status.SerializeAsString());
}

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails details;
  const auto payload = status.GetPayload(kDetailsUrl);
  google::rpc::Status rich;
  if (!payload.has_value() || !rich.ParseFromString(std::string(*payload))) return details;
  for (const google::protobuf::Any& any : rich.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&info)) {
      details.reason = info.reason();
    } else if (any.UnpackTo(&retry)) {
      details.retry_after = FromProto(retry.retry_delay());
    }
  }
  return details;
}

bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsUnknown(status) || absl::IsCancelled(status) ||
         (absl::IsResourceExhausted(status) &&
          DetailsOf(status).retry_after > absl::ZeroDuration());
}

}  // namespace holdfast
