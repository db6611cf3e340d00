// A small, sequential client that knows exactly what it was promised, for tests that do one thing
// to a server and then ask for everything back.

#ifndef HOLDFAST_TESTS_INTEGRATION_TRACKED_JOBS_H_
#define HOLDFAST_TESTS_INTEGRATION_TRACKED_JOBS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"
#include "tests/integration/rpc_outcome.h"
#include "tests/integration/workload.h"
#include "tests/support/checkers.h"

namespace holdfast::testing {

// What one command was answered with.
struct Answer {
  grpc::Status status;
  RpcOutcome outcome;
};

// Thread-safety: thread-compatible. Copyable, so that one past can have several futures.
class TrackedJobs {
 public:
  TrackedJobs() { queues_ = {"kelp", "limpet", "mussel"}; }

  // Enqueues one job.
  Answer Enqueue(v1::Holdfast::StubInterface* server);
  // Reserves up to `jobs_max` jobs and deletes them.
  absl::Status DeleteSome(v1::Holdfast::StubInterface* server, uint32_t jobs_max);

  // Drains the server and tells every promise that was broken: what was acknowledged and is
  // gone, changed, or back from the dead. An error when the server cannot be drained.
  absl::StatusOr<std::vector<Violation>> TakeBack(v1::Holdfast::StubInterface* server,
                                                  absl::Duration timeout) const;

  // How many enqueues were acknowledged.
  uint64_t acknowledged() const { return acknowledged_; }
  // Lets the bodies be of one size from now on; 0: of all sizes.
  void set_body_bytes(uint64_t bytes) { body_bytes_ = bytes; }

 private:
  std::vector<std::string> queues_;
  std::vector<Operation> operations_;
  uint64_t next_key_ = 1;
  uint64_t acknowledged_ = 0;
  uint64_t body_bytes_ = 0;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_TRACKED_JOBS_H_
