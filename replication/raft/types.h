// The words of the Raft core: entries, hard state, configurations, messages.
//
// Plain values. Terms and rules: Ongaro, "Consensus: Bridging Theory and Practice" (2014); joint
// configurations, learners and flow control as in etcd-raft, whose design the core follows.

#ifndef HOLDFAST_REPLICATION_RAFT_TYPES_H_
#define HOLDFAST_REPLICATION_RAFT_TYPES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"

namespace holdfast::raft {

// Stored in the log, so the numbers are for good.
enum class EntryType : uint8_t {
  kNoOp = 0,           // the first entry of a term; no data
  kCommands = 1,       // opaque to Raft
  kConfiguration = 2,  // a ConfigChange (configuration.h)
};

struct Entry {
  Term term;
  LogIndex index;
  EntryType type = EntryType::kNoOp;
  std::shared_ptr<const std::string> data;  // nullptr: no bytes

  uint64_t size_bytes() const { return data == nullptr ? 0 : data->size(); }
};

// A place in the log: (term, index) names one entry for all time.
struct EntryId {
  Term term;
  LogIndex index;
  auto operator<=>(const EntryId&) const = default;  // by term, then index: "more up to date"
};

// What a replica must have on stable storage before anybody may rely on it.
struct HardState {
  Term term;
  ReplicaId vote;   // 0: nobody in `term`
  LogIndex commit;  // a hint: may lag what is committed
  bool operator==(const HardState&) const = default;
};

enum class Role : uint8_t { kFollower, kCandidate, kLeader, kPreCandidate };

// What is only of the moment, for showing and routing.
struct SoftState {
  ReplicaId leader;  // 0: unknown
  Role role = Role::kFollower;
  bool operator==(const SoftState&) const = default;
};

// The participants. Every list is ascending and without repeats.
//
// Invariants: no learner is a voter of either half; learners_next are voters of the outgoing half
// that become learners when the joint configuration is left; not joint: voters_outgoing and
// learners_next are empty and auto_leave is false.
struct Configuration {
  std::vector<ReplicaId> voters;           // the (incoming) voters
  std::vector<ReplicaId> voters_outgoing;  // joint only: the outgoing voters
  std::vector<ReplicaId> learners;
  std::vector<ReplicaId> learners_next;
  bool auto_leave = false;  // the leader leaves the joint configuration by itself
  bool operator==(const Configuration&) const = default;
};

// One step of a change. kUpdate changes nothing for Raft: it logs `context` only.
struct ConfigStep {
  enum class Kind : uint8_t { kAddVoter = 0, kRemove = 1, kUpdate = 2, kAddLearner = 3 };
  Kind kind = Kind::kAddVoter;
  ReplicaId replica;
  bool operator==(const ConfigStep&) const = default;
};

// A change of participants. With no steps it leaves a joint configuration.
struct ConfigChange {
  enum class Transition : uint8_t {
    kAuto = 0,      // a joint configuration only if there is more than one step; left by itself
    kImplicit = 1,  // joint, left by itself
    kExplicit = 2,  // joint, left by an empty change
  };
  Transition transition = Transition::kAuto;
  std::vector<ConfigStep> steps;
  std::string context;  // the application's own: node ids, addresses
  bool operator==(const ConfigChange&) const = default;
};

// What stands for all entries up to `index`. The data itself travels outside of Raft: `source`
// says, to the application alone, where it is to be had.
struct SnapshotDescriptor {
  LogIndex index;               // 0: none
  Term term;                    // of the entry at `index`
  Configuration configuration;  // as of `index`
  std::string source;
  bool empty() const { return index == LogIndex(); }
};

enum class MessageType : uint8_t {
  kHup = 0,   // local: campaign
  kBeat = 1,  // local: send heartbeats
  kPropose = 2,
  kAppend = 3,
  kAppendResponse = 4,
  kVote = 5,
  kVoteResponse = 6,
  kSnapshot = 7,
  kHeartbeat = 8,
  kHeartbeatResponse = 9,
  kUnreachable = 10,     // local: a message to `from` was probably lost
  kSnapshotStatus = 11,  // local: how the snapshot to `from` ended (reject: it failed)
  kCheckQuorum = 12,     // local
  kTransferLeader = 13,
  kTimeoutNow = 14,
  kReadIndex = 15,
  kReadIndexResponse = 16,
  kPreVote = 17,
  kPreVoteResponse = 18,
  kForgetLeader = 23,  // local
};

// One message between replicas; which fields mean something depends on the type:
//
//   kAppend             index/log_term: the entry before entries[0]; commit
//   kAppendResponse     index: the last that this append checked and is stored, or, with reject,
//                       the append's index; reject_hint/log_term: where to try next
//   kVote, kPreVote     index/log_term: the candidate's last; transfer: asked for by the leader
//   kVoteResponse, kPreVoteResponse
//                       reject, of one that is no voter: commit/log_term: a committed entry
//   kHeartbeat          commit: at most what the receiver is known to have; context: newest read
//   kHeartbeatResponse  context: as in the heartbeat
//   kSnapshot           snapshot
//   kReadIndex          context: the asker's own number of the read
//   kReadIndexResponse  index; context: of the question
//   kTransferLeader     from: who shall lead
struct Message {
  MessageType type = MessageType::kHup;
  ReplicaId to;
  ReplicaId from;
  Term term;  // 0: of no term (local messages, forwarded proposals)
  Term log_term;
  LogIndex index;
  LogIndex commit;
  LogIndex reject_hint;
  uint64_t context = 0;
  bool reject = false;
  bool transfer = false;
  // Of this side only: nobody waits for what it tells, so it may wait a few milliseconds for
  // another message to go along with.
  bool may_wait = false;
  std::vector<Entry> entries;
  std::shared_ptr<const SnapshotDescriptor> snapshot;  // kSnapshot only
};

// The answer to a ReadIndex: a state machine that has applied `index` reflects every entry that
// was committed when the read was asked for.
struct ReadState {
  uint64_t context = 0;
  LogIndex index;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TYPES_H_
