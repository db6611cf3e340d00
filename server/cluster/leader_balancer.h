// Which node should lead each shard, so that the leaders are spread over the cluster, and handing
// leadership over to it.
//
// Pure. Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CLUSTER_LEADER_BALANCER_H_
#define HOLDFAST_SERVER_CLUSTER_LEADER_BALANCER_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/types.h"
#include "replication/raft/core.h"

namespace holdfast {

// A voter of a shard as its leader sees it.
struct Candidate {
  NodeId node;
  ReplicaId replica;
  bool up = false;         // connected, for long enough to be trusted; the leader itself always is
  bool caught_up = false;  // stores nearly everything that the leader does
  LogIndex match;
  bool operator==(const Candidate&) const = default;
};

// Entries that a replica may lack and still take over without a noticeable pause. Nothing new is
// proposed until it has them, so this is not much more than what is always on its way: a node that
// just started and works through 1000 entries is a second behind.
inline constexpr uint64_t kCaughtUpEntries = 32;

// The voters in the status of a leader, but those whose node is not known. `node_of` and `is_up`
// are asked for each. Empty while the configuration is joint.
template <class NodeOf, class IsUp>
std::vector<Candidate> CandidatesOf(const raft::Status& status, const NodeOf& node_of,
                                    const IsUp& is_up) {
  std::vector<Candidate> candidates;
  if (!status.configuration.voters_outgoing.empty()) return candidates;
  LogIndex last;
  for (const auto& [replica, progress] : status.progress) last = std::max(last, progress.match);
  for (const auto& [replica, progress] : status.progress) {
    const NodeId node = node_of(replica);
    if (progress.learner || node == NodeId()) continue;
    const bool self = replica == status.id;
    candidates.push_back(
        {.node = node,
         .replica = replica,
         .up = self || is_up(node),
         .caught_up = self || (progress.state == raft::ProgressState::kReplicate &&
                               progress.match.value() + kCaughtUpEntries >= last.value()),
         .match = progress.match});
  }
  return candidates;
}

// Of those that are up, by node id, the one in the shard's turn. ReplicaId(): it is not caught up
// yet, so that leadership should stay where it is, or nobody is up.
ReplicaId PreferredLeader(ShardId shard, std::vector<Candidate> candidates);

// Who takes over best when `self` wants to leave: up, caught up if anybody is, and has the most.
// ReplicaId(): nobody.
ReplicaId Successor(ReplicaId self, const std::vector<Candidate>& candidates);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_LEADER_BALANCER_H_
