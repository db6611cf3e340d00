// Judges what the replicas of one group do, as it happens, against Raft's promises.
//
// It is told of each thing that a replica does and knows them all, so it sees what no replica can:
// that two of them disagree. The first violation is kept; what comes after it is of no interest.
//
//   election safety       a term has one leader at most; a replica votes once in a term
//   leader completeness   a leader's log holds everything that was committed in earlier terms
//   log matching          an entry of one (term, index) is one entry, after one predecessor
//   state machine safety  what is committed or applied at an index is the same everywhere
//   durable first         a vote, or that an entry is stored, is told only when it is durable; who
//                         leads has durable votes of a majority; what is committed first is on the
//                         disks of a majority
//   commit by own term    a leader commits by counting only entries of its own term
//   what it has           a replica tells of its log as it has handed it out
//   commit                never goes backwards
//   reads                 an answered read reflects all that was committed when it was asked
//   configuration         equal everywhere at an equal index
//   state                 equal hashes at an equal applied index
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_RAFT_CHECKER_H_
#define HOLDFAST_TESTS_SIM_RAFT_CHECKER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.h"
#include "replication/raft/types.h"
#include "tests/sim/log_image.h"
#include "tests/sim/run_result.h"

namespace holdfast::sim {

class RaftChecker {
 public:
  // What is on the replicas' disks; of a wiped disk, what was.
  class Disks {
   public:
    virtual ~Disks() = default;
    // The entry, or something that stands for it.
    virtual bool HasEntry(ReplicaId replica, raft::EntryId entry) const = 0;
    virtual raft::HardState HardStateOf(ReplicaId replica) const = 0;
  };

  // `base` is where every log begins; its configuration is `configuration`.
  RaftChecker(raft::EntryId base, raft::Configuration configuration, const Disks* disks,
              RunStats* stats);

  const std::optional<Violation>& violation() const { return violation_; }
  void Fail(std::string_view rule, std::string what);

  // --- What a replica does. `log` is its log as it stands, written or not.

  // It leads.
  void OnLeader(ReplicaId replica, Term term, const LogImage& log,
                const raft::Configuration& configuration);
  // The same of a replica whose log is not at hand.
  void OnLeads(ReplicaId replica, Term term);
  // `message` leaves it, to itself too. `log`: nullptr if it has changed its term, or may have
  // changed its log, since it made the message.
  void OnSend(const raft::Message& message, const LogImage* log);
  // `log` has just got an entry at `index`.
  void OnEntry(ReplicaId replica, const LogImage& log, LogIndex index);
  // It holds for committed what is in (from, `commit`] of its log.
  struct Commit {
    LogIndex index;
    Term term;        // its own then
    raft::Role role;  // its own then
    raft::Configuration configuration;
  };
  void OnCommit(ReplicaId replica, LogIndex from, const Commit& commit, const LogImage& log);
  // Its state machine has applied `entry`, and now has that hash.
  void OnApplied(ReplicaId replica, const raft::Entry& entry, uint64_t state_hash);
  // The hash of its state as of `index`, which some replica has applied.
  void OnState(ReplicaId replica, LogIndex index, uint64_t state_hash) {
    CheckStateHash(replica, index, state_hash);
  }
  // Its configuration as of `index`.
  void OnConfiguration(ReplicaId replica, LogIndex index, const raft::Configuration& configuration);
  // It puts a snapshot in place of its state.
  void OnSnapshot(ReplicaId replica, const raft::SnapshotDescriptor& snapshot, uint64_t state_hash);
  // A read that was asked for when committed() was `asked` is answered as of `index`.
  void OnRead(ReplicaId replica, LogIndex asked, LogIndex index);
  // A client is told that the entry, whose hash is given, is committed.
  void OnAcknowledged(LogIndex index, uint64_t entry_hash);

  // --- What is so.

  // The last index that any replica holds for committed.
  LogIndex committed() const { return LogIndex(base_.index.value() + committed_.size()); }
  // The newest configuration that any replica has applied.
  const raft::Configuration& configuration() const { return configurations_.rbegin()->second; }
  LogIndex configuration_index() const { return configurations_.rbegin()->first; }

 private:
  struct Committed {
    Term term;
    Term when;            // it was committed: that of the replica that was first to say so
    uint64_t hash;        // of the entry
    uint64_t state_hash;  // after it; 0: nobody has applied it
  };
  struct Known {
    uint64_t hash;
    Term previous;
  };

  const Committed* CommittedAt(LogIndex index) const;
  void CheckStateHash(ReplicaId replica, LogIndex index, uint64_t state_hash);
  void CheckDurable(ReplicaId replica, raft::EntryId entry, const std::vector<ReplicaId>& voters);
  // False: it was known to lead in that term, or is not the only one.
  bool NoteLeader(ReplicaId replica, Term term);
  void CheckElected(ReplicaId replica, Term term, const std::vector<ReplicaId>& voters);
  void OnVote(ReplicaId voter, Term term, ReplicaId candidate);
  void CheckStored(const raft::Message& message, const LogImage& log);
  void CheckTold(const raft::Message& message, LogIndex index, Term term, const LogImage& log);

  const raft::EntryId base_;
  const Disks* const disks_;
  RunStats* const stats_;
  std::optional<Violation> violation_;
  std::vector<Committed> committed_;  // from base_.index + 1
  std::map<raft::EntryId, Known> known_;
  std::map<Term, ReplicaId> leaders_;
  std::map<std::pair<Term, ReplicaId>, ReplicaId> votes_;
  std::map<LogIndex, raft::Configuration> configurations_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_RAFT_CHECKER_H_
