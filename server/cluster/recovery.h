// A cluster whose majority is lost for good, made anew of what one node has: what
// `holdfast cluster recover` does to the stores of a node that does not run.
//
//   Positions    how far the node's copies of the shards are; changes nothing
//   GoOnAlone    each shard: the log here counts as agreed on, to its end ─▶ applied
//                ─▶ this node is the only voter, what other nodes' connections held is nobody's
//                ─▶ in the state store ─▶ the log before it is cut
//                shard 0: this node is the only member
//
// What the others agreed on without this node is lost, and what nobody ever agreed on, but is in
// the log here, has happened. The log is cut since whoever joins later must begin with the state,
// in which the new configuration is: by the log's changes it would come to the old one.
//
// A crash at any moment leaves stores with which GoOnAlone can begin again; until it has ended they
// must not be used otherwise: see DataDir::BeginRecovery.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CLUSTER_RECOVERY_H_
#define HOLDFAST_SERVER_CLUSTER_RECOVERY_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "replication/raft/types.h"
#include "server/cluster/membership.h"
#include "server/engine/node_engine.h"
#include "storage/log_store.h"
#include "storage/state_store.h"

namespace holdfast {

// A node's copy of one shard. Of two copies the one with the larger (term, last) has everything
// that was agreed on and is in either.
struct CopyPosition {
  ShardId shard;
  Term term;           // of the entry `last`
  LogIndex last;       // 0: there is no copy
  LogIndex committed;  // known to be agreed on; what follows may be too
  LogIndex flushed;    // in the state store
  LogTime time;        // of the last commands that the log has; 0: it has none
  // The replicas as of `last`, whether that was agreed on or not.
  raft::Configuration configuration;
};

// Of shards [0, shards). Errors: DATA_LOSS (what is stored is damaged), others of the stores.
absl::StatusOr<std::vector<CopyPosition>> Positions(uint32_t shards, const LogStore& log,
                                                    const StateStore& state);

// `options`: of the node's engine. `self`: as which the node is the only member from now on.
// Returns the table of members. Blocks for as long as a start and a stop of the node take.
// Errors: those of NodeEngine::Start; INTERNAL: not everything came into the state store (the disk
// may be full): to be repeated. REQUIRES: a copy of each shard.
absl::StatusOr<MembersView> GoOnAlone(NodeEngine::Options options, const ClusterMember& self,
                                      LogStore* log, StateStore* state,
                                      NodeEngine::OnFatal on_fatal);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_RECOVERY_H_
