// What a client may conclude from an answer, by the contract in proto/holdfast/v1: whether the
// call was done, was certainly not done, or cannot be known.
//
// Functions without state.

#ifndef HOLDFAST_TESTS_INTEGRATION_RPC_OUTCOME_H_
#define HOLDFAST_TESTS_INTEGRATION_RPC_OUTCOME_H_

#include <string>

#include "grpcpp/support/status.h"
#include "proto/google/rpc/status.pb.h"
#include "tests/support/history.h"

namespace holdfast::testing {

struct RpcOutcome {
  Ended ended = Ended::kUnknown;
  std::string reason;  // ErrorInfo.reason; empty when there is none
};

// Of a whole call. A failure without our ErrorInfo is the transport's and tells nothing.
RpcOutcome JudgeCall(const grpc::Status& status);
// Of one job in an answer whose `error` field is set.
RpcOutcome JudgeItem(const google::rpc::Status& error);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_RPC_OUTCOME_H_
