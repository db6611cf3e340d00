// A status of ours as the cluster's services tell it: the same code and message.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CLUSTER_GRPC_STATUS_H_
#define HOLDFAST_SERVER_CLUSTER_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace holdfast {

inline grpc::Status GrpcStatus(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_GRPC_STATUS_H_
