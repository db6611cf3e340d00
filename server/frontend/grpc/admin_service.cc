#include "server/frontend/grpc/admin_service.h"

#include "server/answer/failure.h"

namespace holdfast {

grpc::ServerUnaryReactor* AdminService::GetNodeInfo(grpc::CallbackServerContext* context,
                                                    const v1::GetNodeInfoRequest*,
                                                    v1::NodeInfo* response) {
  *response = info_();
  auto* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::ListReplicas(grpc::CallbackServerContext* context,
                                                     const v1::ListReplicasRequest*,
                                                     v1::ListReplicasResponse* response) {
  auto* reactor = context->DefaultReactor();
  engine_->Ask(ReplicasQuery(), [reactor, response](QueryResult result) {
    if (!result.status.ok()) return reactor->Finish(FailureOf(result.status).ToGrpc());
    for (const ReplicaView& replica : result.replicas) {
      v1::Replica* const told = response->add_replicas();
      told->set_shard(replica.shard.value());
      told->set_leading(replica.leading);
      told->set_applied_index(replica.applied.value());
      told->set_state_hash(replica.state_hash);
    }
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace holdfast
