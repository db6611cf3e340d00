// Why a call, a message or one item of it was not done, and how gRPC clients are told: the one
// place where their google.rpc.Status with its details is made.
//
// Thread-safety: thread-compatible values.

#ifndef HOLDFAST_SERVER_ANSWER_FAILURE_H_
#define HOLDFAST_SERVER_ANSWER_FAILURE_H_

#include <grpcpp/support/status.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "proto/google/rpc/status.pb.h"
#include "queue/outcome.h"
#include "server/answer/outcome_table.h"
#include "server/engine/engine.h"

namespace holdfast {

// A field of a request that is out of its bounds.
struct FieldError {
  std::string field;        // its path in the request, such as "jobs[3].body"
  std::string description;  // the value and the bound, without a full stop
};
// nullptr: the field is fine.
using Violation = std::unique_ptr<FieldError>;

inline Violation MakeViolation(std::string field, std::string description) {
  return std::make_unique<FieldError>(FieldError{std::move(field), std::move(description)});
}

struct Failure {
  const Answer* answer = nullptr;   // not ok()
  std::string message = {};         // empty: the answer's sentence
  absl::Duration retry_after = {};  // zero: no google.rpc.RetryInfo
  std::string field = {};           // of a kInvalidField: the path; else empty

  // As the status of a call, details in its trailers.
  grpc::Status ToGrpc() const;
  // As an item's or message's error.
  void Fill(google::rpc::Status* out) const;
};

Failure FailureOf(const FieldError& error);
// REQUIRES: the code's answer is not ok().
Failure FailureOf(OutcomeCode code);
// REQUIRES: !status.ok().
Failure FailureOf(const absl::Status& status, absl::Duration retry_after = absl::ZeroDuration());
// The node is draining for a stop.
Failure DrainingFailure();

// What kept a command as a whole from being done; nullopt if its outcome is to be told, item by
// item when it has `items` of them.
std::optional<Failure> WholeFailure(const ExecuteResult& result, size_t items);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ANSWER_FAILURE_H_
