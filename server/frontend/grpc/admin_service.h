// The service holdfast.v1.Admin.
//
// Thread-safety: thread-safe. Ownership: engine and registry must outlive it.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_ADMIN_SERVICE_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_ADMIN_SERVICE_H_

#include <functional>

#include "proto/holdfast/v1/admin.grpc.pb.h"

namespace holdfast {

class AdminService final : public v1::Admin::CallbackService {
 public:
  // `info` tells the node's state at each call; thread-safe, never blocks.
  explicit AdminService(std::function<v1::NodeInfo()> info) : info_(std::move(info)) {}

  grpc::ServerUnaryReactor* GetNodeInfo(grpc::CallbackServerContext* context,
                                        const v1::GetNodeInfoRequest* request,
                                        v1::NodeInfo* response) override;

 private:
  const std::function<v1::NodeInfo()> info_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_ADMIN_SERVICE_H_
