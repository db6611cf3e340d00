// The service holdfast.v1.Admin.
//
// Thread-safety: thread-safe. Ownership: the engine outlives it.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_ADMIN_SERVICE_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_ADMIN_SERVICE_H_

#include <functional>
#include <utility>

#include "proto/holdfast/v1/admin.grpc.pb.h"
#include "server/engine/engine.h"

namespace holdfast {

class AdminService final : public v1::Admin::CallbackService {
 public:
  // `info` tells the node's state at each call; thread-safe, never blocks.
  AdminService(std::function<v1::NodeInfo()> info, Engine* engine)
      : info_(std::move(info)), engine_(engine) {}

  grpc::ServerUnaryReactor* GetNodeInfo(grpc::CallbackServerContext* context,
                                        const v1::GetNodeInfoRequest* request,
                                        v1::NodeInfo* response) override;
  grpc::ServerUnaryReactor* ListReplicas(grpc::CallbackServerContext* context,
                                         const v1::ListReplicasRequest* request,
                                         v1::ListReplicasResponse* response) override;

 private:
  const std::function<v1::NodeInfo()> info_;
  Engine* const engine_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_ADMIN_SERVICE_H_
