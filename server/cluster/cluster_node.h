// A node's place in its cluster: connects the engine's groups to those of the other nodes.
//
//   NodeEngine ◀──▶ PeerLoop, one for each loop ◀──▶ PeerTransport ◀──▶ the other nodes
//                              ▲
//                         Membership
//
// Order of use: NodeEngine, ClusterNode, NodeEngine::Start(this), a server with service(), Start,
// ... LeaveLeadership, Stop, the server's end, NodeEngine::Stop.
//
// Thread-safety: Start, LeaveLeadership and Stop from one thread; the rest as said.
// Ownership: engine and membership outlive it; the engine must have stopped before it is destroyed.

#ifndef HOLDFAST_SERVER_CLUSTER_CLUSTER_NODE_H_
#define HOLDFAST_SERVER_CLUSTER_CLUSTER_NODE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/types.h"
#include "replication/transport/peer_transport.h"
#include "server/cluster/membership.h"
#include "server/cluster/peer_loop.h"
#include "server/cluster/replicas_in_use.h"
#include "server/engine/node_engine.h"
#include "server/engine/node_peers.h"

namespace holdfast {

class ClusterNode final : public NodePeers {
 public:
  struct Options {
    uint64_t snapshot_bytes_per_second = 64 << 20;  // of the node; > 0
    PeerLoop::Options loop;                         // index, self and pace are filled in
    TransportOptions transport;                     // bounds and times; the rest is filled in
    PeerHooks hooks;
    // The table of members cannot be read: the node goes on with the one before. May be empty.
    std::function<void(const absl::Status&)> on_problem;
  };

  // Of the engine's node, disk, cluster, incarnation, shards.
  ClusterNode(Options options, NodeEngine* engine, Membership* membership);
  ~ClusterNode() override;

  // For the server that the other nodes dial; see PeerTransport::service.
  grpc::Service* service() { return transport_->service(); }
  // For forwarding and status. Thread-safe.
  PeerTransport* transport() { return transport_.get(); }
  PeerLoop* loop(size_t index) { return loops_[index].get(); }

  // Dials the others, and listens to them, from now on. `address`: where they reach this node.
  void Start(const std::string& address);
  // Hands over what this node leads and waits until others lead it, or until `deadline`: true if
  // nothing is left. At once if nobody can take over.
  bool LeaveLeadership(absl::Time deadline);
  // Hangs up. Nothing reaches the engine any more.
  void Stop();

  // --- NodePeers.
  void Send(ShardId shard, PeerMessage message, std::shared_ptr<const PinnedState> state) override;
  void Forward(ReplicaId to, ShardId shard, std::shared_ptr<const std::string> request,
               Done done) override;
  NodeId NodeOf(ReplicaId replica) const override;
  void OnClusterRecord(const ClusterRecordRow& record) override;

  // How far this node's copies of all shards are, ascending; those that are starting are left out.
  // `done` is called once, on a loop. Thread-safe.
  void AskReplicas(absl::AnyInvocable<void(std::vector<ReplicaProgress>) &&> done);
  // This node's clocks; the executor of shard 0. Thread-safe.
  Executor* executor() const { return engine_->loop(engine_->LoopIndexOf(ShardId(0))); }

  // The nodes that are connected, and this one. Thread-safe.
  std::set<NodeId> NodesUp() const;
  // All other members. Thread-safe.
  std::vector<PeerStatus> PeersStatus() const { return transport_->Status(); }
  // Whoever leads the shard hands over to the node, if it can. Thread-safe.
  void TransferLeadership(ShardId shard, NodeId to);

 private:
  // Told of the members, also after this object has gone.
  struct Audience {
    absl::Mutex mutex;
    ClusterNode* node ABSL_GUARDED_BY(mutex) = nullptr;
  };

  PeerLoop::Parts LoopParts(size_t index);
  TransportOptions MakeTransportOptions() const;
  void SetMembers(const Membership::View& view);
  bool OthersLead() const;

  const Options options_;
  NodeEngine* const engine_;
  Membership* const membership_;
  std::shared_ptr<Audience> audience_ = std::make_shared<Audience>();
  std::atomic<int64_t> next_balance_micros_{0};
  ReplicasInUse in_use_;
  std::vector<std::unique_ptr<PeerLoop>> loops_;
  std::unique_ptr<PeerTransport> transport_;
  absl::Mutex leaders_mutex_;  // OthersLead may have changed when it is released
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_CLUSTER_NODE_H_
