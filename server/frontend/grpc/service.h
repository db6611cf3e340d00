// The service holdfast.v1.Holdfast: each method checks its request, makes one command or query of
// it, and answers when the engine has.
//
// No thread ever waits: a call's answer is sent from the engine's callback. Methods are in files
// by duty: service_enqueue.cc, service_settle.cc, service_reserve.cc, service_inspect.cc,
// service_queues.cc.
//
// Thread-safety: thread-safe (gRPC calls it from many threads). Ownership: engine and registry
// must outlive it.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_SERVICE_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_SERVICE_H_

#include <cstddef>

#include "proto/holdfast/v1/holdfast.grpc.pb.h"
#include "server/engine/engine.h"
#include "server/frontend/grpc/call_registry.h"

namespace holdfast {

// What every call works with.
struct CallEnvironment {
  Engine* engine = nullptr;
  CallRegistry* calls = nullptr;
  size_t body_bytes_max = 1 << 20;
};

class HoldfastService final : public v1::Holdfast::CallbackService {
 public:
  explicit HoldfastService(const CallEnvironment& environment) : environment_(environment) {}

  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;

  Unary* Enqueue(Context*, const v1::EnqueueRequest*, v1::EnqueueResponse*) override;
  Unary* Reserve(Context*, const v1::ReserveRequest*, v1::ReserveResponse*) override;
  Unary* Delete(Context*, const v1::DeleteRequest*, v1::DeleteResponse*) override;
  Unary* Release(Context*, const v1::ReleaseRequest*, v1::ReleaseResponse*) override;
  Unary* Touch(Context*, const v1::TouchRequest*, v1::TouchResponse*) override;
  Unary* Bury(Context*, const v1::BuryRequest*, v1::BuryResponse*) override;
  Unary* Kick(Context*, const v1::KickRequest*, v1::KickResponse*) override;
  Unary* KickJobs(Context*, const v1::KickJobsRequest*, v1::KickJobsResponse*) override;
  Unary* Peek(Context*, const v1::PeekRequest*, v1::PeekResponse*) override;
  Unary* ListJobs(Context*, const v1::ListJobsRequest*, v1::ListJobsResponse*) override;
  Unary* DeleteJobs(Context*, const v1::DeleteJobsRequest*, v1::DeleteJobsResponse*) override;
  Unary* PurgeQueue(Context*, const v1::PurgeQueueRequest*, v1::PurgeQueueResponse*) override;
  Unary* PauseQueue(Context*, const v1::PauseQueueRequest*, v1::PauseQueueResponse*) override;
  Unary* ResumeQueue(Context*, const v1::ResumeQueueRequest*, v1::ResumeQueueResponse*) override;
  Unary* GetQueue(Context*, const v1::GetQueueRequest*, v1::Queue*) override;
  Unary* UpdateQueue(Context*, const v1::UpdateQueueRequest*, v1::Queue*) override;
  Unary* ListQueues(Context*, const v1::ListQueuesRequest*, v1::ListQueuesResponse*) override;
  Unary* DeleteQueue(Context*, const v1::DeleteQueueRequest*, v1::DeleteQueueResponse*) override;
  grpc::ServerBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>* EnqueueStream(
      Context*) override;
  grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>* Work(Context*) override;

 private:
  const CallEnvironment environment_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_SERVICE_H_
