// Hands what comes from other nodes to the loops that own the shards.
//
// Bounds: at a loop at which control_pending_max messages without a credit wait, more are dropped;
// everything else is bounded by whoever gives the credit. Thread-safety: thread-safe. Ownership:
// the loops outlive every task posted to them.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_DISPATCHER_H_
#define HOLDFAST_REPLICATION_TRANSPORT_DISPATCHER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/types.h"
#include "replication/transport/peer_transport.h"
#include "replication/transport/peer_types.h"
#include "replication/transport/record.h"

namespace holdfast {

// Room that something received takes up until the last reference to it is gone. nullptr: none.
using Credit = std::shared_ptr<void>;

class Dispatcher {
 public:
  explicit Dispatcher(const TransportOptions& options);

  // In order. Without a credit, messages for a loop that has too many waiting are dropped.
  void Messages(NodeId from, std::vector<PeerEnvelope> messages, const Credit& credit);
  void Unreachable(ShardId shard, ReplicaId replica);
  void Change(const PeerChange& change);
  void Forward(NodeId from, ShardId shard, SharedBytes request, ForwardReply reply, Credit credit);
  void SnapshotPartCame(NodeId from, SnapshotPart part, Credit credit);
  void SnapshotAnswerCame(NodeId from, ShardId shard, std::string answer, Credit credit);
  void SnapshotStreamChanged(NodeId to, SnapshotStream event);

  // Runs `task` on the shard's loop.
  void Run(ShardId shard, Task task);
  // Runs `task` on some loop, not before the time has passed.
  void After(int64_t micros, Task task);

 private:
  size_t LoopOf(ShardId shard) const { return loop_of_shard_[shard.value()]; }

  const std::vector<TransportLoop> loops_;
  const std::vector<size_t> loop_of_shard_;
  const size_t control_pending_max_;
  // Messages without a credit that wait at each loop. Shared with the tasks that lower them.
  std::vector<std::shared_ptr<std::atomic<size_t>>> control_pending_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_DISPATCHER_H_
