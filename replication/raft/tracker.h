// The participants of the present configuration, and what a majority of them has reached.
//
// Invariants: one Peer for each member of the configuration and no others, ascending by id.
// Bounds: nothing is allocated but by Restore and Reconfigure (and, for more than 16 voters, by
// the majorities). Thread-safety: thread-compatible; owned by the core.

#ifndef HOLDFAST_REPLICATION_RAFT_TRACKER_H_
#define HOLDFAST_REPLICATION_RAFT_TRACKER_H_

#include <cstdint>
#include <vector>

#include "base/types.h"
#include "replication/raft/peer.h"
#include "replication/raft/quorum.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

class Tracker {
 public:
  explicit Tracker(Inflights::Limits limits) : limits_(limits) {}

  // Forgets everything. `last`: of the own log.
  void Restore(Configuration configuration, LogIndex last);
  // Keeps what is known of those who stay.
  void Reconfigure(Configuration configuration, LogIndex last);

  const Configuration& configuration() const { return configuration_; }
  const Inflights::Limits& limits() const { return limits_; }
  std::vector<Peer>& peers() { return peers_; }
  const std::vector<Peer>& peers() const { return peers_; }
  // nullptr: not in the configuration. Valid until the next Restore or Reconfigure.
  Peer* Find(ReplicaId id);
  const Peer* Find(ReplicaId id) const;
  bool IsSingleVoter() const {
    return configuration_.voters.size() == 1 && configuration_.voters_outgoing.empty();
  }

  // The last index that is stored by a majority (of each half).
  LogIndex Committed() const;
  // The newest read that a majority has confirmed.
  uint64_t ConfirmedRead() const;
  // Whether a majority has been heard of since the last call of ForgetActivity.
  bool QuorumActive() const;
  void ForgetActivity(ReplicaId self);

  void ResetVotes();
  // The first vote of a peer counts.
  void RecordVote(ReplicaId id, Peer::Vote vote);
  VoteResult Votes() const;

 private:
  Inflights::Limits limits_;
  Configuration configuration_;
  std::vector<Peer> peers_;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TRACKER_H_
