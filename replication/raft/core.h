// The Raft core: one replica of one group, as a pure state machine.
//
//            Step(message)  Tick  Propose  ReadIndex            OnWritten  OnApplied
//                    │                                              ▲
//                    ▼                                              │
//                  Core ───TakeReady()──▶ Ready ──▶ caller: write, send, apply
//
// No clock, thread, lock or I/O: ticks are the only time, the seed is given, what is durable is
// read through LogReader and written by the caller. The same calls give the same results.
//
// ## The duties of the caller
//
// Everything that the core promises holds if, and only if, the caller does these:
//
//  1. Calls are made one at a time. After any call that may change something, asks HasReady() and
//     takes the Ready; handles Readys in the order in which it took them.
//  2. Writes to stable storage, in this order and as one atomic step or so that a crash leaves a
//     prefix: `snapshot` (the log is reset to it), then `entries` (an entry at or below the log's
//     last index first drops that entry and all after it), then `hard_state`. Writes of later
//     Readys come after it in storage too.
//  3. `messages` may be sent at once, also before the write. `messages_after_write` may be sent
//     only when the write of this Ready *and of all Readys before it* is durable (`must_sync`
//     says whether a sync is needed for that). Those addressed to this replica itself are handed
//     to Step() then, before OnWritten.
//  4. When the write is durable, calls OnWritten(ready.write). Readys may be written together:
//     then in order, one call each. Never for a write that failed.
//  5. A failed write is final for this Core: nothing of it is acknowledged, StopLeading() is
//     called, and the replica starts anew from what is on disk, or ends.
//  6. Applies `committed`, each exactly once and in order, after a `snapshot` that came before, and
//     calls OnApplied(last index) then. A snapshot is installed when OnWritten is called for it.
//     For each committed kConfiguration entry calls ApplyConfigChange with its decoded change, in
//     its place in that order, before OnApplied; a change that the application vetoes is not
//     applied, but OnApplied still covers its index.
//  7. Messages may be lost, repeated, delayed and reordered. A message of another group, to
//     another replica, or from a replica that is no longer who it was (another disk) is not
//     stepped.
//  8. Tick() is called at a steady pace. Told of it by the transport: ReportUnreachable,
//     ReportSnapshot.
//  9. A restart gives the hard state, the log and the applied position and configuration that
//     were durable, not older ones. If the log's last term is above the hard state's, the write of
//     the latter was cut short: then that term is given, with a vote for nobody.
// 10. The log is cut (in storage) only up to what is applied and durable in the state machine, and
//     LogReader::Snapshot can stand for what was cut.
// 11. A replica that has been removed is kept running until another one leads by a configuration
//     without it: the others learn that its removal is committed later than it does, and until
//     then they need its vote. (So a leader is best removed after it has handed over.) One change
//     does not replace all voters: those who are new have no configuration until a leader tells
//     them what is committed, and cannot begin an election if it ends before.
//
// With Options::write_mode kTogether the caller instead handles each Ready wholly (write, send,
// apply) before the next one, and calls Advance() in place of Step-to-itself, OnWritten, OnApplied.
//
// Bounds: memory is that of the entries that are not yet known to be stored, plus O(replicas *
// max_inflight_messages). Thread-safety: thread-compatible. Ownership: the LogReader outlives it.

#ifndef HOLDFAST_REPLICATION_RAFT_CORE_H_
#define HOLDFAST_REPLICATION_RAFT_CORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "replication/raft/log_reader.h"
#include "replication/raft/progress.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

// Names the write of one Ready. Opaque to the caller.
struct WriteToken {
  Term term;          // the replica's term when the Ready was taken
  EntryId last;       // of the unstored entries then; 0: there were none
  LogIndex snapshot;  // 0: the Ready had none
  bool empty() const { return last.index == LogIndex() && snapshot == LogIndex(); }
};

struct Ready {
  std::optional<SoftState> soft_state;                 // set if it has changed
  std::optional<HardState> hard_state;                 // set if it has changed
  std::shared_ptr<const SnapshotDescriptor> snapshot;  // to install; nullptr: none
  std::vector<Entry> entries;                          // to write
  std::vector<Entry> committed;                        // to apply
  std::vector<Message> messages;
  std::vector<Message> messages_after_write;
  std::vector<ReadState> read_states;  // usable once their index is applied
  WriteToken write;
  // False: nothing here needs a sync before it counts (only the commit hint has moved).
  bool must_sync = false;

  // Whether the storage has anything to do or to wait for.
  bool needs_write() const {
    return hard_state.has_value() || snapshot != nullptr || !entries.empty() ||
           !messages_after_write.empty();
  }
};

enum class ProposeResult : uint8_t {
  kOk,
  kNotLeader,      // nothing was done; Status().leader may be the right one
  kTransferring,   // leadership is being handed over: nothing was done
  kTooMuch,        // Options::uncommitted_bytes_max is reached: nothing was done
  kConfigPending,  // configuration changes only: an earlier one is not applied yet, or it does not
                   // fit the present configuration (not joint / joint): an empty entry was logged
                   // in its place
  kRemoved,        // this replica is not in the configuration
};

struct Status {
  ReplicaId id;
  HardState hard_state;
  SoftState soft_state;
  LogIndex applied;
  ReplicaId transferee;  // 0: no transfer under way
  Configuration configuration;
  // Leader only: ascending by id, learners and itself included.
  std::vector<std::pair<ReplicaId, Progress>> progress;
};

class Core {
 public:
  enum class WriteMode : uint8_t {
    kApart,     // Ready after Ready while earlier writes are still under way
    kTogether,  // one at a time, by Advance()
  };
  struct Options {
    ReplicaId id;  // not 0
    // A follower that hears nothing for [election_ticks, 2 * election_ticks) campaigns. At least
    // 2 * heartbeat_ticks.
    uint32_t election_ticks = 10;
    uint32_t heartbeat_ticks = 1;
    uint64_t seed = 0;
    // What was durable. `configuration` is as of `applied`.
    HardState hard_state;
    LogIndex applied;
    Configuration configuration;

    WriteMode write_mode = WriteMode::kApart;
    bool pre_vote = true;
    // A leader that hears of no majority for election_ticks steps down; and who has heard of a
    // leader within election_ticks does not listen to candidates.
    bool check_quorum = true;
    // A leader that is no voter any more when its removal is applied steps down.
    bool step_down_on_removal = true;
    // Followers pass proposals to the leader. Off: kNotLeader.
    bool forward_proposals = false;
    // Accept changes of members that do not fit the present configuration or that come while
    // another is pending. Only for comparing with published scenarios.
    bool validate_config_changes = true;
    uint64_t message_bytes_max = 1 << 20;    // data of one kAppend; one larger entry goes alone
    uint64_t committed_bytes_max = 4 << 20;  // data of committed entries handed out, not applied
    uint64_t uncommitted_bytes_max = UINT64_MAX;  // data proposed here and not yet committed
    uint32_t inflight_messages_max = 256;         // kAppend messages per follower
    uint64_t inflight_bytes_max = UINT64_MAX;     // their data; at least message_bytes_max

    // Told of what happens, for a readable trace. Empty: nothing is formatted.
    enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
    std::function<void(LogLevel, std::string_view)> log;
  };

  Core(Options options, LogReader* log);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // --- What happens.

  void Tick();
  // Handles a message of another replica (or of a Ready to itself). A response of a replica that
  // is not in the configuration is ignored. What is not understood is ignored.
  void Step(Message message);
  ProposeResult Propose(EntryType type, std::shared_ptr<const std::string> data,
                        EntryId* where = nullptr);
  ProposeResult ProposeConfigChange(const ConfigChange& change, EntryId* where = nullptr);
  // Answered by a ReadState with `context`, or, when there is no leader or leadership is lost,
  // never: the caller has a time limit. `context` is unique among all reads of this replica, those
  // of before a restart too, whose answers may still be on their way; who asks again keeps it.
  void ReadIndex(uint64_t context);
  // Begins an election now.
  void Campaign();
  // Asks the leader to hand leadership to `to`. Nothing is accepted until it leads; given up after
  // election_ticks, when ReportUnreachable says that it cannot hear of it, and by GiveUpTransfer.
  void TransferLeadership(ReplicaId to);
  // A leader that hands over accepts proposals again. Who was asked may still campaign.
  void GiveUpTransfer();
  // A follower forgets who leads, so that it may pre-vote at once. Nothing on a leader.
  void ForgetLeader();
  // A follower has not heard of the leader that it knows for election_ticks.
  bool IsLeaderSilent() const;
  // Stops leading without a successor, after a failed write. The replica votes for nobody until it
  // is restarted.
  void StopLeading();
  void ReportUnreachable(ReplicaId peer);
  enum class SnapshotResult : uint8_t { kInstalled, kFailed };
  void ReportSnapshot(ReplicaId peer, SnapshotResult result);
  // What LogReader answered kNotYet for may be there now.
  void LogFetched();

  // --- What is to be done (duties 1-6).

  bool HasReady() const;
  // REQUIRES: HasReady(); with kTogether, Advance() was called for the one before.
  Ready TakeReady();
  void OnWritten(const WriteToken& write);
  // Entries up to `applied` are applied. (Of a snapshot, OnWritten says that it is installed.)
  void OnApplied(LogIndex applied);
  void Advance();
  // Applies a committed change and returns the configuration from here on. A change that does not
  // fit (a bug of the proposer) changes nothing.
  Configuration ApplyConfigChange(const ConfigChange& change);

  // --- What is.

  Status GetStatus() const;
  ReplicaId id() const;
  ReplicaId leader() const;
  Role role() const;
  ReplicaId transferee() const;  // as in Status
  Term term() const;
  LogIndex commit() const;
  LogIndex last_index() const;
  const Configuration& configuration() const;
  // Whether an entry of the own term is committed: reads are answered from then on.
  bool committed_in_term() const;
  // CHECKs what must hold at any time (LogCabin's RaftConsensusInvariants and ours). For tests.
  void CheckInvariants() const;

  // --- For searches over many states.

  // A core that will do what this one would, over its own reader of the same log.
  std::unique_ptr<Core> Clone(LogReader* log) const;
  // Appends bytes that are equal for cores of one id that answer all future calls alike: where
  // there are no ticks, reads and snapshots and no window of appends is ever full. REQUIRES: no
  // Ready is waiting to be taken.
  void AppendState(std::string* bytes) const;

  // For scripts: the election timeout of the present role, in ticks.
  void SetRandomizedElectionTicks(uint32_t ticks);

 private:
  class Impl;
  explicit Core(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_CORE_H_
