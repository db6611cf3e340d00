// One Reserve call: waits in the engine, and gives the jobs back if the caller is gone.
//
// Thread-safety: thread-safe (gRPC and engine threads meet here). Ownership: deletes itself when
// gRPC is done with it.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_RESERVE_CALL_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_RESERVE_CALL_H_

#include <grpcpp/support/server_callback.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/holdfast/v1/holdfast.pb.h"
#include "queue/command.h"
#include "server/engine/engine.h"
#include "server/frontend/grpc/call_registry.h"
#include "server/frontend/grpc/service.h"

namespace holdfast {

// Tells the engine that these grants never reached anybody. Fire and forget: if it fails, the
// leases expire.
void ReturnUndelivered(Engine* engine, LeaseRefs leases);

class ReserveCall final : public grpc::ServerUnaryReactor, private LastingCall {
 public:
  // What one answer carries at most, so that it fits into a client's default message limit.
  static constexpr size_t kPayloadBytesMax = 3 << 20;

  static grpc::ServerUnaryReactor* Start(const CallEnvironment& environment,
                                         const v1::ReserveRequest& request,
                                         v1::ReserveResponse* response);

 private:
  ReserveCall(const CallEnvironment& environment, v1::ReserveResponse* response)
      : environment_(environment), response_(response) {}

  void Begin(ReserveRequest request);
  void Answered(ExecuteResult result);
  // The grants as jobs of the response, as many as fit; the others are returned.
  absl::Status TellGrants(const ExecuteResult& result);

  void OnCancel() override;
  void OnDone() override;
  void Drain(absl::Time deadline) override;

  const CallEnvironment environment_;
  v1::ReserveResponse* const response_;
  bool entered_ = false;  // in the registry; set before the engine is asked
  LeaseRefs told_;        // leases in the response; written before Finish, read in OnDone

  absl::Mutex mutex_;
  ReserveId id_ ABSL_GUARDED_BY(mutex_);
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_RESERVE_CALL_H_
