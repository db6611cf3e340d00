// What must hold over all replicas of a group, whatever happens: the safety rules of the Raft paper
// (figure 3), as far as they can be seen from what replicas applied, wrote, sent and led.
//
//   one leader     at most one replica leads in a term
//   same entries   what was applied at an index is the same entry on every replica, for ever
//   in order       a replica applies each index once, in order, unless a snapshot takes it further
//   hard state     neither term nor commit of a replica goes back; one vote in a term
//   durable first  a vote, and an entry's acknowledgement, leave only when they are stored
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_SAFETY_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_SAFETY_H_

#include <map>
#include <string>
#include <vector>

#include "base/types.h"
#include "replication/raft/testing/memory_log.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

class Safety {
 public:
  // Each returns nothing, and remembers what it found wrong: TakeViolations has it.

  // A replica starts, or starts again, with what it has stored.
  void Starts(ReplicaId replica, const MemoryLog& stored);
  void Leads(ReplicaId replica, Term term);
  void Applies(ReplicaId replica, const Entry& entry);
  void Installs(ReplicaId replica, const SnapshotDescriptor& snapshot);
  void Writes(ReplicaId replica, const HardState& state);
  // `message` leaves `message.from`, which has `stored` on disk.
  void Sends(const Message& message, const MemoryLog& stored);

  // In words, in the order in which they were found; each is reported once.
  std::vector<std::string> TakeViolations();

 private:
  struct Replica {
    LogIndex applied;
    HardState state;
  };

  std::map<Term, ReplicaId> leaders_;
  std::map<LogIndex, Entry> applied_;
  std::map<ReplicaId, Replica> replicas_;
  std::vector<std::string> violations_;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_SAFETY_H_
