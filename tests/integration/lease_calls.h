// What workers and the drain share: turning leases and answers into parts of a history.
//
// Functions without state.

#ifndef HOLDFAST_TESTS_INTEGRATION_LEASE_CALLS_H_
#define HOLDFAST_TESTS_INTEGRATION_LEASE_CALLS_H_

#include <cstdint>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/util/time_util.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"
#include "tests/integration/job_body.h"
#include "tests/integration/rpc_outcome.h"
#include "tests/integration/workload.h"
#include "tests/support/history.h"

namespace holdfast::testing {

struct HeldLease {
  v1::Lease lease;
  uint64_t key = 0;
};

// Every call ends within ten seconds.
inline void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
}

// A job as it was handed out.
inline Grant GrantOf(const v1::Job& job) {
  Grant grant;
  grant.id = job.id();
  grant.key = KeyOf(job.body());
  grant.body_intact = grant.key != 0 && job.body() == MakeBody(grant.key);
  grant.token = job.lease().token();
  grant.expiry_micros =
      google::protobuf::util::TimeUtil::TimestampToMicroseconds(job.lease_expire_time());
  grant.granted_micros =
      grant.expiry_micros -
      google::protobuf::util::TimeUtil::DurationToMicroseconds(job.lease_duration());
  grant.created_micros =
      google::protobuf::util::TimeUtil::TimestampToMicroseconds(job.create_time());
  return grant;
}

// Fills in what became of each lease, by the call's outcome and the results.
template <class Results>
void JudgeLeases(Ended call, const Results& results, Operation* operation) {
  for (size_t i = 0; i < operation->settled.size(); ++i) {
    Settled& settled = operation->settled[i];
    settled.ended = call;
    if (call != Ended::kOk) continue;
    if (static_cast<int>(i) >= results.size()) {
      settled.ended = Ended::kUnknown;  // the contract is one result for each lease
      continue;
    }
    const v1::LeaseResult& result = results.Get(static_cast<int>(i));
    if (result.has_error()) {
      const RpcOutcome outcome = JudgeItem(result.error());
      settled.ended = outcome.ended;
      settled.not_found = outcome.reason == "JOB_NOT_FOUND";
    }
    settled.expiry_micros =
        google::protobuf::util::TimeUtil::TimestampToMicroseconds(result.lease_expire_time());
  }
}

// An operation on these leases that begins now.
inline Operation BeginSettling(OperationKind kind, const std::vector<HeldLease>& leases) {
  Operation operation;
  operation.kind = kind;
  operation.begin_micros = NowMicros();
  for (const HeldLease& held : leases) {
    operation.settled.push_back(
        {.id = held.lease.job_id(), .key = held.key, .token = held.lease.token()});
  }
  return operation;
}

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_LEASE_CALLS_H_
