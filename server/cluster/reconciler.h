// How the leader of a shard brings its group to what the table of members says, one step at a time:
//
//   not in the group ──add──▶ learner ──caught up──▶ voter ──leaving, or another disk──▶ not in it
//
// Declarative: each step follows from the table and the group as they are, so that another leader
// goes on where the last one ended. A step is taken only if a majority of the voters that there
// will be is up; additions come before removals. A leader that is to go hands over first.
//
// Pure. Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CLUSTER_RECONCILER_H_
#define HOLDFAST_SERVER_CLUSTER_RECONCILER_H_

#include <optional>
#include <set>

#include "base/types.h"
#include "replication/raft/core.h"
#include "server/cluster/membership.h"

namespace holdfast {

struct GroupStep {
  std::optional<raft::ConfigStep> change;  // to be proposed
  ReplicaId hand_over_to;                  // else, if not 0: who is to lead
  bool operator==(const GroupStep&) const = default;
};

// `status`: of a leader. `up`: the nodes that are connected, this one among them.
GroupStep NextStep(const raft::Status& status, const MembersView& table,
                   const std::set<NodeId>& up);

// All replicas that take part in the group in any way.
std::set<ReplicaId> ReplicasIn(const raft::Configuration& configuration);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_RECONCILER_H_
