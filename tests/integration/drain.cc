#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "google/protobuf/util/time_util.h"
#include "tests/integration/lease_calls.h"
#include "tests/integration/workload.h"

namespace holdfast::testing {
namespace {

using google::protobuf::util::TimeUtil;

absl::StatusOr<uint64_t> JobsLeft(const SharedState& shared, v1::Holdfast::StubInterface* server,
                                  std::vector<CountsSample>* samples) {
  uint64_t left = 0;
  for (const std::string& name : shared.queues) {
    v1::GetQueueRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::Queue queue;
    const grpc::Status status = server->GetQueue(&context, request, &queue);
    if (status.error_code() == grpc::NOT_FOUND) continue;  // it has no jobs, then
    if (!status.ok()) {
      return absl::InternalError(absl::StrCat("GetQueue ", name, ": ", status.error_message()));
    }
    const v1::QueueCounts& counts = queue.counts();
    samples->push_back({.queue = name,
                        .ready = counts.ready(),
                        .delayed = counts.delayed(),
                        .reserved = counts.reserved(),
                        .buried = counts.buried(),
                        .total_enqueued = counts.total_enqueued(),
                        .total_deleted = counts.total_deleted()});
    left += counts.ready() + counts.delayed() + counts.reserved() + counts.buried();
  }
  return left;
}

absl::StatusOr<std::vector<HeldLease>> ReserveAll(SharedState* shared,
                                                  v1::Holdfast::StubInterface* server) {
  v1::ReserveRequest request;
  for (const std::string& queue : shared->queues) request.add_queues(queue);
  request.set_max_jobs(1000);
  *request.mutable_wait() = TimeUtil::MillisecondsToDuration(200);
  *request.mutable_lease() = TimeUtil::SecondsToDuration(60);
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ReserveResponse response;
  Operation operation;
  operation.kind = OperationKind::kReserve;
  operation.begin_micros = NowMicros();
  const grpc::Status status = server->Reserve(&context, request, &response);
  operation.end_micros = NowMicros();
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat("Reserve while draining: ", status.error_message()));
  }
  std::vector<HeldLease> leases;
  for (const v1::Job& job : response.jobs()) {
    operation.grants.push_back(GrantOf(job));
    leases.push_back({.lease = job.lease(), .key = operation.grants.back().key});
  }
  shared->history.Add(std::move(operation));
  return leases;
}

absl::Status KickBuried(const std::vector<CountsSample>& samples,
                        v1::Holdfast::StubInterface* server) {
  for (const CountsSample& sample : samples) {
    if (sample.buried == 0) continue;
    v1::KickRequest request;
    request.set_queue(sample.queue);
    request.set_max_jobs(static_cast<uint32_t>(sample.buried));
    request.set_from(v1::KICK_FROM_BURIED);
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::KickResponse response;
    const grpc::Status status = server->Kick(&context, request, &response);
    if (status.ok()) continue;
    return absl::InternalError(absl::StrCat("Kick ", sample.queue, ": ", status.error_message()));
  }
  return absl::OkStatus();
}

void DeleteAll(SharedState* shared, v1::Holdfast::StubInterface* server,
               const std::vector<HeldLease>& leases) {
  v1::DeleteRequest request;
  for (const HeldLease& held : leases) *request.add_leases() = held.lease;
  Operation operation = BeginSettling(OperationKind::kDelete, leases);
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::DeleteResponse response;
  const grpc::Status status = server->Delete(&context, request, &response);
  JudgeLeases(JudgeCall(status).ended, response.results(), &operation);
  operation.end_micros = NowMicros();
  shared->history.Add(std::move(operation));
}

}  // namespace

absl::Status MakeQueues(const SharedState& shared, v1::Holdfast::StubInterface* server) {
  for (const std::string& name : shared.queues) {
    v1::UpdateQueueRequest request;
    request.mutable_queue()->set_name(name);
    *request.mutable_queue()->mutable_default_lease() = TimeUtil::SecondsToDuration(30);
    request.mutable_update_mask()->add_paths("default_lease");
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::Queue queue;
    const grpc::Status status = server->UpdateQueue(&context, request, &queue);
    if (!status.ok()) {
      return absl::InternalError(absl::StrCat("UpdateQueue ", name, ": ", status.error_message()));
    }
  }
  return absl::OkStatus();
}

absl::Status SampleCounts(SharedState* shared, v1::Holdfast::StubInterface* server) {
  std::vector<CountsSample> samples;
  const absl::StatusOr<uint64_t> left = JobsLeft(*shared, server, &samples);
  for (CountsSample& sample : samples) shared->history.AddCounts(std::move(sample));
  return left.status();
}

absl::Status Drain(SharedState* shared, v1::Holdfast::StubInterface* server,
                   absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::vector<CountsSample> samples;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<HeldLease> leases, ReserveAll(shared, server));
    if (!leases.empty()) {
      DeleteAll(shared, server, leases);
      continue;
    }
    samples.clear();
    ASSIGN_OR_RETURN(const uint64_t left, JobsLeft(*shared, server, &samples));
    if (left == 0) return absl::OkStatus();
    RETURN_IF_ERROR(KickBuried(samples, server));
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat(left, " jobs do not come out"));
    }
  }
}

}  // namespace holdfast::testing
