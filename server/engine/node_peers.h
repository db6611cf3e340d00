// The other nodes of the cluster, as the engine of a node needs them: somebody who takes messages
// and commands to them.
//
// Thread-safety: called on the shards' loops. Ownership: outlives the engine's run.

#ifndef HOLDFAST_SERVER_ENGINE_NODE_PEERS_H_
#define HOLDFAST_SERVER_ENGINE_NODE_PEERS_H_

#include <memory>

#include "base/types.h"
#include "queue/records.h"
#include "replication/node/group_shell.h"
#include "replication/node/state_machine.h"
#include "server/engine/relay.h"

namespace holdfast {

class NodePeers : public Forwarder {
 public:
  // Takes a message to the replica message.to; may lose it. `state`: what a kSnapshot message
  // stands for, else nullptr; how its transfer ended is told to Group::ReportSnapshot.
  virtual void Send(ShardId shard, PeerMessage message,
                    std::shared_ptr<const PinnedState> state) = 0;
  // The node that the replica is; 0: none that is known.
  virtual NodeId NodeOf(ReplicaId replica) const = 0;
  // The cluster's record as this node's replica of shard 0 has it, at the start and when it is
  // another one. On that shard's loop, before anything that reflects it is answered.
  virtual void OnClusterRecord(const ClusterRecordRow& record) = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_NODE_PEERS_H_
