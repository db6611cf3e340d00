#include "server/frontend/grpc/admin_service.h"

namespace holdfast {

grpc::ServerUnaryReactor* AdminService::GetNodeInfo(grpc::CallbackServerContext* context,
                                                    const v1::GetNodeInfoRequest*,
                                                    v1::NodeInfo* response) {
  *response = info_();
  auto* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace holdfast
