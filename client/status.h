// What a server answered, as an absl::Status with its machine-readable parts.

#ifndef HOLDFAST_CLIENT_STATUS_H_
#define HOLDFAST_CLIENT_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"

namespace holdfast {

// The parts of an error that a program acts on. Empty where the server did not say.
struct ErrorDetails {
  std::string reason;          // google.rpc.ErrorInfo.reason, e.g. "QUEUE_FULL_JOBS"
  absl::Duration retry_after;  // google.rpc.RetryInfo; zero: not given
};

// Code and message as they are; the details go with it as a payload.
absl::Status FromGrpc(const grpc::Status& status);
absl::Status FromRpcStatus(const google::rpc::Status& status);

ErrorDetails DetailsOf(const absl::Status& status);

// Whether the same request, sent again, may work: it was certainly not executed (UNAVAILABLE, or
// RESOURCE_EXHAUSTED with a retry delay), or its answer is lost (UNKNOWN; CANCELLED: the node ended
// the call, for instance because it stops). What may not be done twice needs a request_id.
bool IsPassing(const absl::Status& status);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_STATUS_H_
