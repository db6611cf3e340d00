// Known defects, one at a time, switched on by tests only: the yardstick that shows that the
// simulator and the scripts can see.
//
// Each place that a defect would sit at asks `MutantIs(Mutant::kName)`. Without HOLDFAST_MUTANTS
// (every build that is shipped) the answer is a constant false and the code is gone; with it
// (`bazel ... --define=mutants=on`) the process has at most one active mutant. The table of what
// each is and what must catch it: tests/sim/mutants.txt (row letters: the list of defects that
// Raft libraries shipped, docs/adr on the Raft core).
//
// Pure. Thread-safety: SetMutant before any thread starts; MutantIs from any thread.

#ifndef HOLDFAST_BASE_MUTANT_H_
#define HOLDFAST_BASE_MUTANT_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast {

enum class Mutant : uint8_t {
  kNone = 0,
  // --- replication/raft
  kCommitOldTermByCounting,      // A: an old-term entry is committed by counting replicas
  kAckUncheckedTail,             // B: a follower acknowledges its whole log
  kSecondVoteForTransferee,      // C: who began a transfer votes again in the term
  kCommitOnlyAtOwnLast,          // D: commit is tried at the leader's last stored index only
  kVoteBeforeDurable,            // E: votes and terms leave before they are durable
  kElectionByUnstoredEntries,    // E: elections count entries that are not on disk
  kCampaignDuringWrite,          // F: responses of writes of an earlier term still count
  kConfigurationAtWrongIndex,    // G: a configuration survives the truncation of its entry
  kUncommittedConfigInSnapshot,  // H
  kConfigChangeBeforeOwnCommit,  // I: a new leader changes members before a commit of its term
  kCommitGoesBack,               // J: a stale append lowers the commit index
  kCommitBeyondChecked,          // K: commit = min(leader's, own last)
  kSnapshotAckBeforeDurable,     // L
  kSnapshotIgnoredAtHigherTerm,  // L
  kSnapshotOverNewerEntries,     // L
  kLeadAfterFailedWrite,         // M
  kMemoryAheadOfFailedAppend,    // N: after a failed append memory and disk differ
  kStoredByIndexOnly,            // O: ABA, stored by index without term
  kElectionTwoConfigsBehind,     // I: a candidate counts by a configuration two changes old
  kReadWithoutOwnCommit,         // P: ReadIndex before a commit in the term
  kReadWithoutQuorum,            // P: ReadIndex without confirming leadership
  kStickinessForever,            // Q
  kProbeOneByOne,                // R: probing steps back one entry per heartbeat
  kAppendUnbounded,              // R: no limit on append size and messages in flight
  // --- replication/node, server/engine
  kWipedDiskVotes,       // S
  kLogCutBeyondFlushed,  // T
  kReplayFlushed,        // T: state replayed over a flushed index
  kFlushAheadOfLog,      // T: state flushed ahead of the node's own durable log
  kLogTimeFromOwnClock,  // U: an hour fast expires every lease
  kLogTimeFrozen,        // U: the successor freezes log time
  // --- queue, server/engine
  kLeaseSurvivesToken,  // a stale token still settles
  kExpiryBeforeTime,    // a lease ends early
  kOrderByWrongKey,     // by id without priority
  kDedupForgottenAtSnapshot,
  kDeleteRepliesBeforeCommit,
  kCountersNotConserved,
  kWaiterGrantedTwice,
  kFlushMarksTooHigh,  // the flush mark names a later index than was flushed
  kDelayIgnoredAfterRestart,
  kHolderForgotten,  // a late reserve of a closed holder is granted
  kCount,
};

#ifdef HOLDFAST_MUTANTS
void SetMutant(Mutant mutant);
bool MutantIs(Mutant mutant);
// The name without its k: "CommitOldTermByCounting".
std::string_view MutantName(Mutant mutant);
std::optional<Mutant> MutantNamed(std::string_view name);
#else
constexpr bool MutantIs(Mutant) { return false; }
#endif

}  // namespace holdfast

#endif  // HOLDFAST_BASE_MUTANT_H_
