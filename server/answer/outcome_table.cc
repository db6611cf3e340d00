#include "server/answer/outcome_table.h"

#include <cerrno>
#include <cstring>
#include <iterator>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "queue/outcome.h"

namespace holdfast {
namespace {

using Code = absl::StatusCode;

// By OutcomeCode's numbers.
constexpr Answer kOutcomes[] = {
    {Code::kOk, "", "(command)", 200, "Done."},
    {Code::kOk, "", "TIMED_OUT", 200, "Nothing is ready; the answer has no jobs."},
    {Code::kNotFound, "JOB_NOT_FOUND", "NOT_FOUND", 404,
     "There is no such job: it never was, was deleted, or was purged."},
    {Code::kNotFound, "QUEUE_NOT_FOUND", "NOT_FOUND", 404, "There is no such queue."},
    {Code::kFailedPrecondition, "LEASE_INVALID", "NOT_FOUND", 403,
     "The lease is not valid any more: it expired, or the job was settled or cancelled."},
    {Code::kFailedPrecondition, "JOB_RESERVED", "NOT_FOUND", 403,
     "The job is reserved by a worker."},
    {Code::kFailedPrecondition, "JOB_NOT_KICKABLE", "NOT_FOUND", 403,
     "The job is neither buried nor delayed."},
    {Code::kResourceExhausted, "QUEUE_FULL_JOBS", "OUT_OF_MEMORY", 507,
     "The queue holds as many jobs as its max_jobs allows."},
    {Code::kResourceExhausted, "QUEUE_FULL_BYTES", "OUT_OF_MEMORY", 507,
     "The job would exceed the queue's max_bytes."},
    {Code::kResourceExhausted, "RESERVED_LIMIT", "NOT_FOUND", 403,
     "The queue has as many jobs reserved as its max_reserved allows."},
    {Code::kAborted, "HOLDER_GONE", "INTERNAL_ERROR", 500,
     "The stream or node that would hold the lease is gone."},
    {Code::kFailedPrecondition, "SESSION_EXPIRED", "INTERNAL_ERROR", 500,
     "The client session is not known; nothing was done."},
    {Code::kFailedPrecondition, "OUTCOME_FORGOTTEN", "INTERNAL_ERROR", 500,
     "The request was answered before and its answer is no longer kept; it was not done again."},
    {Code::kResourceExhausted, "REQUEST_TABLE_FULL", "OUT_OF_MEMORY", 503,
     "There is no room to remember another request id; nothing was done."},
    {Code::kResourceExhausted, "SESSION_TABLE_FULL", "OUT_OF_MEMORY", 503,
     "There is no room for another client session; nothing was done."},
    {Code::kResourceExhausted, "TOO_MANY_QUEUES", "OUT_OF_MEMORY", 507,
     "There are as many queues as the cluster's settings allow; nothing was done."},
    {Code::kInvalidArgument, "INVALID_FIELD", "BAD_FORMAT", 400,
     "A value is out of its range; nothing was done."},
    {Code::kOk, "", "(command)", 200, "Done in part: each item has its own result."},
    {Code::kAborted, "CLUSTER_CHANGED", "INTERNAL_ERROR", 500,
     "The members of the cluster were changed meanwhile; nothing was done."},
};
static_assert(std::size(kOutcomes) == static_cast<size_t>(OutcomeCode::kRecordChanged) + 1);

// By Trouble's numbers.
constexpr Answer kTroubleRows[] = {
    {Code::kInvalidArgument, "INVALID_FIELD", "BAD_FORMAT", 400,
     "A value is out of its range; nothing was done."},
    {Code::kResourceExhausted, "OVERLOADED", "OUT_OF_MEMORY", 503,
     "The node has as much in flight as it accepts; nothing was done."},
    {Code::kResourceExhausted, "DISK_FULL", "OUT_OF_MEMORY", 507,
     "The node's disk is full; nothing was done."},
    {Code::kUnavailable, "NODE_UNAVAILABLE", "INTERNAL_ERROR", 503,
     "The node cannot serve this now; nothing was done."},
    {Code::kUnknown, "OUTCOME_UNKNOWN", "(closes)", 500,
     "Whether it was or will be done cannot be known."},
    {Code::kDataLoss, "DATA_DAMAGED", "INTERNAL_ERROR", 500,
     "What the node's disk gave back is not what was stored."},
    {Code::kInternal, "INTERNAL_ERROR", "INTERNAL_ERROR", 500, "A defect of Holdfast."},
    {Code::kCancelled, "CALL_CANCELLED", "-", 500, "The caller cancelled the call."},
    {Code::kDeadlineExceeded, "CALL_DEADLINE_EXCEEDED", "-", 500, "The call's deadline passed."},
    {Code::kFailedPrecondition, "CLUSTER_CHANGE_REFUSED", "-", 409,
     "The cluster would lose its majority, or is not as the change takes it to be; nothing was "
     "done."},
    {Code::kAborted, "CLUSTER_CHANGED", "INTERNAL_ERROR", 500,
     "The members of the cluster were changed meanwhile; nothing was done."},
};
static_assert(std::size(kTroubleRows) == kTroubles);

// The names in gRPC's documentation, by number.
constexpr std::string_view kCodeNames[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

// The storage engine's status carries the system's words for its two reasons; the node's own
// bounds never use them.
bool IsDiskFull(const absl::Status& status) {
  const std::string_view message(status.message().data(), status.message().size());
  for (const int error : {ENOSPC, EDQUOT}) {
    if (message.find(std::strerror(error)) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

const Answer& AnswerFor(OutcomeCode code) {
  const auto index = static_cast<size_t>(code);
  CHECK_LT(index, std::size(kOutcomes));
  return kOutcomes[index];
}

const Answer& AnswerFor(Trouble trouble) {
  const auto index = static_cast<size_t>(trouble);
  CHECK_LT(index, std::size(kTroubleRows));
  return kTroubleRows[index];
}

Trouble TroubleOf(const absl::Status& status) {
  CHECK(!status.ok());
  switch (status.code()) {
    case Code::kInvalidArgument:
      return Trouble::kInvalidField;
    case Code::kResourceExhausted:
      return IsDiskFull(status) ? Trouble::kDiskFull : Trouble::kOverloaded;
    case Code::kUnavailable:
      return Trouble::kUnavailable;
    case Code::kUnknown:
      return Trouble::kOutcomeUnknown;
    case Code::kDataLoss:
      return Trouble::kDataDamaged;
    case Code::kCancelled:
      return Trouble::kCancelled;
    case Code::kDeadlineExceeded:
      return Trouble::kDeadlineExceeded;
    case Code::kFailedPrecondition:
      return Trouble::kRefused;
    case Code::kAborted:
      return Trouble::kChanged;
    default:
      return Trouble::kInternal;
  }
}

absl::Span<const Answer> OutcomeAnswers() { return kOutcomes; }
absl::Span<const Answer> TroubleAnswers() { return kTroubleRows; }

std::string OutcomeTableMarkdown() {
  std::string out =
      "| gRPC status | reason | beanstalkd | HTTP | meaning |\n"
      "| --- | --- | --- | --- | --- |\n";
  std::set<std::string_view> seen;
  for (const absl::Span<const Answer> rows : {OutcomeAnswers(), TroubleAnswers()}) {
    for (const Answer& row : rows) {
      if (!row.reason.empty() && !seen.insert(row.reason).second) continue;
      out.append("| ").append(kCodeNames[static_cast<size_t>(row.status)]).append(" | ");
      if (!row.reason.empty()) out.append("`").append(row.reason).append("`");
      out.append(" | ").append(row.beanstalkd).append(" | ").append(std::to_string(row.http));
      out.append(" | ").append(row.sentence).append(" |\n");
    }
  }
  return out;
}

}  // namespace holdfast
