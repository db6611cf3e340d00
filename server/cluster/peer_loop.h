// One loop's dealings with the other nodes, for all shards of that loop.
//
//   Group ──Send──▶ Outbox ──once a turn──▶ PeerTransport::Send
//         ──SendSnapshot──▶ SnapshotSender ──parts──▶ PeerTransport::SendSnapshot
//   PeerTransport ──OnMessages──▶ Group::Step, if the sender is who the stream says
//                 ──OnSnapshotPart──▶ SnapshotReceiver ──▶ Group::StepSnapshot
//                 ──OnForward──▶ ForwardServer
//                 ──OnPeerChange──▶ Group::ReportBroken
//
// Also, now and then, at the shards that this node leads: brings the group to what the table of
// members says (reconciler.h); spreads the leaders: hands over to the node whose turn the shard is;
// judges a node lost of which nothing was heard for long, so that what it holds is given to others.
//
// Bounds: the outbox holds what the groups said in one turn, and for some milliseconds what may
// wait. Thread-safety: loop-bound, except for the constructor. Ownership: what Parts points to
// outlives it.

#ifndef HOLDFAST_SERVER_CLUSTER_PEER_LOOP_H_
#define HOLDFAST_SERVER_CLUSTER_PEER_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/types.h"
#include "replication/node/group.h"
#include "replication/transport/peer_transport.h"
#include "server/cluster/leader_balancer.h"
#include "server/cluster/membership.h"
#include "server/cluster/outbox.h"
#include "server/cluster/replicas_in_use.h"
#include "server/cluster/silence.h"
#include "server/cluster/snapshot_receiver.h"
#include "server/cluster/snapshot_sender.h"
#include "server/engine/forward/forward_server.h"
#include "server/engine/shard.h"

namespace holdfast {

// What else is told of what comes from the other nodes. Each may be empty. Called on loops.
struct PeerHooks {
  // On each loop, in order.
  std::function<void(size_t loop, const PeerChange& change)> on_peer_change;
  // The table says that the member is leaving, and it is in no group any more: to be forgotten. At
  // the node that leads shard 0, again and again.
  std::function<void(const ClusterMember& member)> on_left;
};

// How far this node's copy of a shard is.
struct ReplicaProgress {
  ShardId shard;
  bool leading = false;
  bool votes = false;
  Term term;
  LogIndex applied;
  LogIndex commit;  // known here; >= applied
  LogIndex last;    // on this node's disk
};

class PeerLoop final : public PeerHandler {
 public:
  struct Options {
    size_t index = 0;  // among the node's loops
    NodeId self;
    SnapshotSender::Options send;
    SnapshotReceiver::Options receive;
    // Leaders are looked at this often, and hand over when they have led and the other has been up
    // for so long. Every 0: never.
    int64_t balance_every_micros = 250'000;
    int64_t balance_after_micros = 5'000'000;
    // A node of which this loop has heard nothing for so long, while it ran and led, is lost. > 0.
    int64_t lost_after_micros = 10'000'000;
  };
  struct ShardParts {
    Group* group = nullptr;
    Shard* shard = nullptr;
    Executor* reader = nullptr;
    ForwardServer* forwards = nullptr;  // takes what other nodes pass on
  };
  struct Parts {
    Executor* executor = nullptr;
    std::map<ShardId, ShardParts> shards;  // of this loop
    // Of the node.
    ReplicasInUse* in_use = nullptr;
    // A moment before which no leader of the node hands over for balance: one at a time.
    std::atomic<int64_t>* next_balance_micros = nullptr;
    PeerHooks hooks;
  };

  PeerLoop(const Options& options, Parts parts);

  // Before anything else that sends.
  void Attach(PeerTransport* transport) { transport_ = transport; }
  void SetMembers(Membership::View members);

  // --- From the groups.
  void Send(ShardId shard, PeerMessage message, std::shared_ptr<const PinnedState> state);

  // Each shard that this node leads is handed to whoever can take over best, and none is taken for
  // balance from now on. May be called again.
  void HandOver();

  // Of the loop's shards, but those that are starting.
  std::vector<ReplicaProgress> Replicas() const;

  // --- PeerHandler.
  void OnMessages(NodeId from, std::vector<PeerEnvelope> messages) override;
  void OnUnreachable(ShardId shard, ReplicaId replica) override;
  void OnPeerChange(const PeerChange& change) override;
  void OnForward(NodeId from, ShardId shard, std::shared_ptr<const std::string> request,
                 ForwardReply reply) override;
  void OnSnapshotPart(NodeId from, SnapshotPart part, std::shared_ptr<void> credit) override;
  void OnSnapshotAnswer(NodeId from, ShardId shard, std::string answer) override;
  void OnSnapshotStream(NodeId to, SnapshotStream event) override;

 private:
  bool IsSender(NodeId from, const raft::Message& message) const;
  SnapshotSender::Parts SenderParts();
  SnapshotReceiver::Parts ReceiverParts();
  void Flush(Outbox::Which which);
  void Balance();
  // Of shards that this node leads.
  void JudgeNodes(ShardId shard, Shard& machine);
  void BalanceShard(ShardId shard, Group& group, const raft::Status& status, int64_t now);
  // True if there was something to do.
  bool ReconcileShard(ShardId shard, Group& group, const raft::Status& status, int64_t now);
  void ForgetThoseWhoLeft(int64_t now);
  std::vector<Candidate> Candidates(const raft::Status& status, int64_t up_for_micros) const;
  ReplicaId Heir(const raft::Status& status, ReplicaId asked) const;

  const Options options_;
  const Parts parts_;
  PeerTransport* transport_ = nullptr;
  Membership::View members_;
  Outbox outbox_;
  bool flush_posted_ = false;
  bool flush_timed_ = false;  // of what may wait
  bool leaving_ = false;
  bool balancing_ = false;
  std::map<NodeId, int64_t> up_since_;  // nodes that are connected
  std::map<ShardId, ReplicaId> asked_;  // to take over, when this node leaves; 0: not again at once
  // Shards that this node was seen to lead, or tried to hand over.
  std::map<ShardId, int64_t> leads_since_;
  Silence silence_;
  std::map<ShardId, int64_t> listens_since_;  // leads_since_, as silence_ counts
  std::map<ShardId, int64_t> changed_at_;     // groups that were changed
  int64_t forgot_at_ = 0;
  SnapshotSender sender_;
  SnapshotReceiver receiver_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_PEER_LOOP_H_
