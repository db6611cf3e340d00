#include "tests/integration/tracked_jobs.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "google/protobuf/util/time_util.h"
#include "tests/integration/lease_calls.h"

namespace holdfast::testing {

using google::protobuf::util::TimeUtil;

Answer TrackedJobs::Enqueue(v1::Holdfast::StubInterface* server) {
  // Keys say which size the body has: see job_body.h.
  const uint64_t key = body_bytes_ == 0 ? next_key_++ : KeyOfSize(next_key_++, body_bytes_);
  v1::EnqueueRequest request;
  request.set_queue(queues_[key % queues_.size()]);
  request.add_jobs()->set_body(MakeBody(key));
  Operation operation;
  operation.kind = OperationKind::kEnqueue;
  operation.begin_micros = NowMicros();
  operation.enqueued = {{.key = key}};
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::EnqueueResponse response;
  Answer answer;
  answer.status = server->Enqueue(&context, request, &response);
  answer.outcome = JudgeCall(answer.status);
  operation.end_micros = NowMicros();
  EnqueuedJob& job = operation.enqueued[0];
  job.ended = answer.outcome.ended;
  if (job.ended == Ended::kOk && response.results_size() == 1) {
    if (response.results(0).has_error()) {
      answer.outcome = JudgeItem(response.results(0).error());
      job.ended = answer.outcome.ended;
    } else {
      job.id = response.results(0).job_id();
      ++acknowledged_;
    }
  }
  operations_.push_back(std::move(operation));
  return answer;
}

absl::Status TrackedJobs::DeleteSome(v1::Holdfast::StubInterface* server, uint32_t jobs_max) {
  v1::ReserveRequest request;
  for (const std::string& queue : queues_) request.add_queues(queue);
  request.set_max_jobs(jobs_max);
  *request.mutable_lease() = TimeUtil::SecondsToDuration(60);
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ReserveResponse response;
  Operation reserve;
  reserve.kind = OperationKind::kReserve;
  reserve.begin_micros = NowMicros();
  grpc::Status status = server->Reserve(&context, request, &response);
  reserve.end_micros = NowMicros();
  if (!status.ok()) return absl::InternalError(absl::StrCat("Reserve: ", status.error_message()));
  if (response.jobs().empty()) return absl::OkStatus();
  std::vector<HeldLease> leases;
  v1::DeleteRequest delete_request;
  for (const v1::Job& job : response.jobs()) {
    reserve.grants.push_back(GrantOf(job));
    leases.push_back({.lease = job.lease(), .key = reserve.grants.back().key});
    *delete_request.add_leases() = job.lease();
  }
  operations_.push_back(std::move(reserve));
  Operation done = BeginSettling(OperationKind::kDelete, leases);
  grpc::ClientContext delete_context;
  SetDeadline(&delete_context);
  v1::DeleteResponse delete_response;
  status = server->Delete(&delete_context, delete_request, &delete_response);
  JudgeLeases(JudgeCall(status).ended, delete_response.results(), &done);
  done.end_micros = NowMicros();
  operations_.push_back(std::move(done));
  if (!status.ok()) return absl::InternalError(absl::StrCat("Delete: ", status.error_message()));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Violation>> TrackedJobs::TakeBack(v1::Holdfast::StubInterface* server,
                                                             absl::Duration timeout) const {
  SharedState shared;
  shared.queues = queues_;
  for (const Operation& operation : operations_) shared.history.Add(operation);
  RETURN_IF_ERROR(Drain(&shared, server, timeout));
  return CheckAll(shared.history, {});
}

}  // namespace holdfast::testing
