#include "server/cluster/cluster_service.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "replication/transport/peer_types.h"
#include "server/answer/failure.h"
#include "server/cluster/cluster_status.h"

namespace holdfast {
namespace {

using google::protobuf::util::TimeUtil;
using Kind = MemberChange::Kind;

v1::MemberState StateOf(MemberState state) {
  switch (state) {
    case MemberState::kVoter:
      return v1::MEMBER_STATE_VOTER;
    case MemberState::kLearner:
      return v1::MEMBER_STATE_LEARNER;
    case MemberState::kLeaving:
      return v1::MEMBER_STATE_LEAVING;
  }
  return v1::MEMBER_STATE_UNSPECIFIED;
}

}  // namespace

void ClusterService::Fill(const MembersView& members, v1::ClusterView* out) const {
  const NodeEngine::Options& self = parts_.engine->options();
  std::map<NodeId, PeerStatus> peers;
  for (PeerStatus& peer : parts_.admin->cluster().PeersStatus()) peers[peer.node] = std::move(peer);
  out->set_cluster_id(self.cluster_id);
  out->set_node_id(self.node.value());
  out->set_version(members.version);
  for (const auto& [node, member] : members.members) {
    v1::Member* const told = out->add_members();
    told->set_node_id(node.value());
    told->set_address(member.address);
    told->set_state(StateOf(member.state));
    told->set_disk_id(member.disk.value());
    const auto peer = peers.find(node);
    told->set_connected(node == self.node || (peer != peers.end() && peer->second.up));
    if (peer == peers.end()) continue;
    if (!told->connected()) told->set_problem(peer->second.problem);
    *told->mutable_since() = TimeUtil::MicrosecondsToTimestamp(peer->second.since_micros);
  }
  for (uint32_t shard = 0; shard < self.shards; ++shard) {
    out->add_leaders(parts_.engine->leaders()->NodeOf(ShardId(shard)).value());
  }
}

ClusterService::Unary* ClusterService::Change(Context* context, const MemberChange& change,
                                              v1::ClusterView* response) {
  Unary* const reactor = context->DefaultReactor();
  parts_.admin->Change(change, [this, reactor, response](absl::StatusOr<MembersView> members) {
    if (!members.ok()) return reactor->Finish(FailureOf(members.status()).ToGrpc());
    Fill(*members, response);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

ClusterService::Unary* ClusterService::GetCluster(Context* context, const v1::GetClusterRequest*,
                                                  v1::ClusterView* response) {
  Unary* const reactor = context->DefaultReactor();
  parts_.reporter->Tell([this, reactor, response](peer::v1::NodeReport report) {
    parts_.monitor->Ask(
        [this, reactor, response, own = std::move(report)](const ClusterMonitor::Reports& others) {
          Fill(*parts_.admin->membership().Get(), response);
          FillStatus(own, others, response);
          reactor->Finish(grpc::Status::OK);
        });
  });
  return reactor;
}

ClusterService::Unary* ClusterService::AddMember(Context* context,
                                                 const v1::AddMemberRequest* request,
                                                 v1::ClusterView* response) {
  return Change(context,
                {.kind = Kind::kAdd,
                 .node = NodeId(request->node_id()),
                 .address = request->address(),
                 .as = request->learner() ? MemberState::kLearner : MemberState::kVoter},
                response);
}

ClusterService::Unary* ClusterService::RemoveMember(Context* context,
                                                    const v1::RemoveMemberRequest* request,
                                                    v1::ClusterView* response) {
  return Change(context, {.kind = Kind::kRemove, .node = NodeId(request->node_id())}, response);
}

ClusterService::Unary* ClusterService::ReplaceMember(Context* context,
                                                     const v1::ReplaceMemberRequest* request,
                                                     v1::ClusterView* response) {
  return Change(
      context,
      {.kind = Kind::kReplace, .node = NodeId(request->node_id()), .address = request->address()},
      response);
}

ClusterService::Unary* ClusterService::PromoteMember(Context* context,
                                                     const v1::PromoteMemberRequest* request,
                                                     v1::ClusterView* response) {
  return Change(context, {.kind = Kind::kPromote, .node = NodeId(request->node_id())}, response);
}

ClusterService::Unary* ClusterService::UpdateMemberAddress(
    Context* context, const v1::UpdateMemberAddressRequest* request, v1::ClusterView* response) {
  return Change(
      context,
      {.kind = Kind::kMove, .node = NodeId(request->node_id()), .address = request->address()},
      response);
}

ClusterService::Unary* ClusterService::TransferLeadership(
    Context* context, const v1::TransferLeadershipRequest* request, v1::ClusterView* response) {
  Unary* const reactor = context->DefaultReactor();
  const uint32_t count = parts_.engine->options().shards;
  std::vector<ShardId> shards;
  for (const uint32_t shard : request->shards()) {
    if (shard >= count) {
      const FieldError error{.field = "shards",
                             .description = absl::StrCat(shard, " is out of [0, ", count, ")")};
      reactor->Finish(FailureOf(error).ToGrpc());
      return reactor;
    }
    shards.push_back(ShardId(shard));
  }
  if (shards.empty()) {
    for (uint32_t shard = 0; shard < count; ++shard) shards.push_back(ShardId(shard));
  }
  const absl::Status status = parts_.admin->Transfer(shards, NodeId(request->node_id()));
  if (!status.ok()) {
    reactor->Finish(FailureOf(status).ToGrpc());
    return reactor;
  }
  Fill(*parts_.admin->membership().Get(), response);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace holdfast
