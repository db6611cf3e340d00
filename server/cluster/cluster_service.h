// The service holdfast.v1.Cluster (proto/holdfast/v1/admin.proto).
//
// Thread-safety: thread-safe. Ownership: what Parts points to outlives it.

#ifndef HOLDFAST_SERVER_CLUSTER_CLUSTER_SERVICE_H_
#define HOLDFAST_SERVER_CLUSTER_CLUSTER_SERVICE_H_

#include "proto/holdfast/v1/admin.grpc.pb.h"
#include "server/cluster/cluster_admin.h"
#include "server/cluster/cluster_monitor.h"
#include "server/cluster/membership.h"
#include "server/cluster/node_report.h"
#include "server/engine/node_engine.h"

namespace holdfast {

class ClusterService final : public v1::Cluster::CallbackService {
 public:
  struct Parts {
    ClusterAdmin* admin = nullptr;
    NodeEngine* engine = nullptr;
    NodeReporter* reporter = nullptr;
    ClusterMonitor* monitor = nullptr;
  };
  explicit ClusterService(const Parts& parts) : parts_(parts) {}

  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* GetCluster(Context*, const v1::GetClusterRequest*, v1::ClusterView*) override;
  Unary* AddMember(Context*, const v1::AddMemberRequest*, v1::ClusterView*) override;
  Unary* RemoveMember(Context*, const v1::RemoveMemberRequest*, v1::ClusterView*) override;
  Unary* ReplaceMember(Context*, const v1::ReplaceMemberRequest*, v1::ClusterView*) override;
  Unary* PromoteMember(Context*, const v1::PromoteMemberRequest*, v1::ClusterView*) override;
  Unary* UpdateMemberAddress(Context*, const v1::UpdateMemberAddressRequest*,
                             v1::ClusterView*) override;
  Unary* TransferLeadership(Context*, const v1::TransferLeadershipRequest*,
                            v1::ClusterView*) override;

 private:
  Unary* Change(Context* context, const MemberChange& change, v1::ClusterView* response);
  void Fill(const MembersView& members, v1::ClusterView* out) const;

  const Parts parts_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_CLUSTER_SERVICE_H_
