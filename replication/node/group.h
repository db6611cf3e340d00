// One replica of one shard's Raft group: does the duties of raft::Ready (replication/raft/core.h)
// in their order, without I/O and threads of its own.
//
//              Propose, ReadBarrier, Applied, Flushed          Step
//                               │                               │
//                               ▼                               ▼
//   Executor ──ticks──▶ Group (raft::Core, ReplicaLog, PeerClocks)
//                         │ Write, Read          │ Send, SendSnapshot    │ OnAppended, OnCommitted,
//                         ▼                      ▼                       ▼ OnLeaderStart, Install
//                     GroupShell (disk)      GroupShell (peers)      StateMachine
//
// Start: an empty log of a group to be made gets entry 1 of term 1, the configuration of its
// initial voters, the same bytes on every one of them. Then entries after the state's position are
// read back and delivered as they are known to be committed. An only voter campaigns at once.
//
// Order of storage: what the state machine is given to apply is durable in this replica's own log,
// so that its flushed position never is beyond the log. The log is cut up to flushed positions,
// less a tail that is kept for slow followers. A snapshot is installed in the state first (marked
// `installing`), then the log is reset, then it is acknowledged; a start that finds the mark and a
// log that does not reach the state finishes the reset, and without the mark is DATA_LOSS.
//
// A failed write: leadership is given up, nothing of the write is acknowledged, and after a full
// disk (RESOURCE_EXHAUSTED) the replica starts anew, after a pause, from what is on the disk.
//
// Bounds: entries in memory: those in flight, Options::tail_bytes_max of later ones, and a few
// chunks read back. Thread-safety: loop-bound to the executor. Ownership: what it is given outlives
// it; the executor must have run, or dropped, all its tasks before it is destroyed.

#ifndef HOLDFAST_REPLICATION_NODE_GROUP_H_
#define HOLDFAST_REPLICATION_NODE_GROUP_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/prng.h"
#include "base/types.h"
#include "replication/node/group_shell.h"
#include "replication/node/peer_clocks.h"
#include "replication/node/replica_log.h"
#include "replication/node/state_machine.h"
#include "replication/raft/core.h"
#include "replication/raft/types.h"
#include "replication/replicated_log.h"
#include "storage/log_store.h"

namespace holdfast {

// The replica that a node is in every group of which it is a member.
ReplicaId ReplicaOf(NodeId node, DiskId disk);

class Group final : public ReplicatedLog {
 public:
  struct Options {
    ShardId shard;
    ReplicaId self;
    // Of a group that is to be made, ascending, the same on all of them. Empty: an empty log waits
    // for a leader. No matter if the log or the state is not empty.
    std::vector<ReplicaId> initial_voters;
    // This replica is the only voter, whatever the state says, and changes of the configuration in
    // the log as it is at the start are passed over: the other voters are lost for good, and what
    // they had agreed on without this replica with them.
    bool forced_alone = false;
    uint64_t seed = 0;
    // Of the node: another one at each start, so that no answer to a question of before a crash is
    // taken for one to a later question.
    uint64_t incarnation = 0;
    int64_t tick_micros = 100'000;
    // Ticks are at this moment of every tick_micros, [0, tick_micros): groups of a node that tick
    // together send together. nullopt: each has its own, by `seed`.
    std::optional<int64_t> tick_phase_micros = std::nullopt;
    uint32_t heartbeat_ticks = 1;
    uint32_t election_ticks = 10;
    uint64_t message_bytes_max = 1 << 20;
    uint32_t inflight_messages_max = 64;
    uint64_t inflight_bytes_max = 16 << 20;
    uint64_t tail_bytes_max = 4 << 20;        // newest entries in memory, for followers
    uint64_t keep_bytes = 64 << 20;           // of the node's log, kept for followers
    int64_t pin_micros = 60'000'000;          // how long a state stays pinned for further followers
    int64_t transfer_micros = 200'000;        // who is handed leadership leads by then, or does not
    int64_t retry_micros = 100'000;           // the pause after a full disk
    int64_t read_retry_micros = 300'000;      // a question to the leader may be lost
    int64_t read_timeout_micros = 5'000'000;  // then a read barrier is given up
  };

  Group(const Options& options, Executor* executor, const LogStore* store, GroupShell* shell,
        StateMachine* machine);
  ~Group() override;

  // --- ReplicatedLog.
  absl::Status Start(const AppliedState& applied) override;
  absl::StatusOr<LogPosition> Propose(std::shared_ptr<const std::string> data) override;
  void ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) override;
  // Ends the read barriers that wait.
  void RefuseReads(const absl::Status& why);
  void Applied(LogIndex index) override;
  void Flushed(LogIndex index) override;
  int64_t WallMicros() const override;

  // --- From the peers. What is addressed to another replica is ignored.
  void Step(PeerMessage message);
  // A kSnapshot message whose state is received whole.
  void StepSnapshot(PeerMessage message, std::shared_ptr<StagedState> staged);
  void ReportUnreachable(ReplicaId peer);
  // The connection to it is broken, which is how a process or machine that ends shows first. If it
  // led, this replica looks for another leader at once; a leader that lives says so meanwhile.
  void ReportBroken(ReplicaId peer);
  void ReportSnapshot(ReplicaId peer, raft::Core::SnapshotResult result);

  // --- From the operator.
  // kOk: logged; it holds when Status().configuration says so.
  raft::ProposeResult ProposeConfigChange(const raft::ConfigChange& change);
  // Hands leadership over if this replica leads; given up after Options::transfer_micros, or when
  // the connection breaks.
  void TransferLeadership(ReplicaId to);

  // --- What is.
  // nullopt before Start and while the replica starts anew after a full disk.
  std::optional<raft::Status> GetStatus() const;
  // Whether this replica leads and may propose.
  bool leading() const { return leading_; }
  // The last entry that is in this replica's durable log.
  LogIndex last_index() const { return log_.Last(); }
  // CHECKs what must hold at any time. For tests.
  void CheckInvariants() const;

 private:
  // A write that the shell has not reported, and what waits for it. `records` without any are not
  // given to the shell: they wait for those before.
  struct PendingWrite {
    LogWrite records;
    raft::WriteToken token;
    std::vector<raft::Message> messages;
  };
  // A snapshot between the end of its reception and its installation.
  struct Received {
    raft::SnapshotDescriptor snapshot;
    std::shared_ptr<StagedState> staged;
  };
  using BarrierDone = absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&>;

  // --- Start (group_start.cc).
  absl::Status CheckLog(const AppliedState& applied) const;
  // Makes the core from what is on disk, after whatever must be written first.
  void Begin();
  void BeginAfter(LogWrite write);
  void StartCore();
  void OnWriteFailed(const absl::Status& status);
  void WaitToStartAnew();

  // --- The duties.
  // Handles every Ready there is; the end of whatever may have changed something.
  void Process();
  void Handle(raft::Ready ready);
  void Store(raft::Ready* ready);
  void Submit(PendingWrite write);
  void OnWritten(const absl::Status& status);
  void Finish(PendingWrite write);
  void SendAll(std::vector<raft::Message> messages);
  void Send(raft::Message message);
  void Deliver(std::vector<raft::Entry> committed);
  void FollowRole();
  void StopLeading(const absl::Status& why);

  // --- Read barriers (group_reads.cc).
  void AskReads();
  void AskAgain();
  void AnswerReads(const std::vector<raft::ReadState>& states);
  void WatchReads();
  void Install(raft::Ready ready);
  void Installed(raft::Ready ready, const absl::Status& status);
  // What the core asked its log for.
  void Fetch();
  void PinState();
  void Unpin();
  void Fail(const absl::Status& status);
  // The only voter, and no learners: needs no ticks, no elections and nothing for followers.
  bool IsAlone() const;
  bool IsAloneAtRest() const;
  bool CampaignIfAlone();
  void KeepTicking();
  void Tick();
  int64_t NextTick(int64_t now) const;
  void TellView();

  // --- Fast elections (group_peers.cc).
  // The leader seems to be gone: its connection broke, or nothing came from it for a whole timeout.
  void LoseLeader();
  // Nobody leads, and why is known: an election, or a step up to a term, is under way.
  void AwaitLeader();
  void HurryElection();
  void WatchTransfer();

  const Options options_;
  Executor* const executor_;
  const LogStore* const store_;
  GroupShell* const shell_;
  StateMachine* const machine_;

  ReplicaLog log_;
  mutable PeerClocks clocks_;
  std::unique_ptr<raft::Core> core_;  // nullptr: starting, or starting anew
  bool processing_ = false;
  bool dead_ = false;
  bool ticking_ = false;
  bool restarting_ = false;  // core_ is to come again, after a failed write

  GroupView told_;        // to the shell
  uint32_t hurried_ = 0;  // elections begun since the leader was lost
  Term hurried_term_;     // the newest in which votes were waited for
  bool hurrying_ = false;
  ReplicaId transferee_;    // as the core was last seen to say
  uint64_t transfers_ = 0;  // how often it changed
  Prng random_;

  std::deque<PendingWrite> writes_;      // submitted, in order
  absl::Status write_failure_;           // of the first that failed; those behind it fail too
  std::optional<raft::HardState> hint_;  // a newer commit index, for the next write
  std::optional<Received> received_;
  bool installing_ = false;

  // What the state machine was given, and what it has done with it.
  LogPosition delivered_;
  raft::Configuration configuration_;  // as of delivered_
  LogIndex forced_through_;            // changes up to here are passed over
  LogIndex applied_;
  LogIndex core_from_;        // what the core was started from: it knows what is applied up to here
  bool state_ahead_ = false;  // of the log, by the installation of delivered_

  bool leading_ = false;
  LogPosition lead_from_;  // leading begins when this, of the present term, is applied; 0: unknown
  absl::Status not_leading_ = absl::UnavailableError("the shard is starting");
  // Reads that came while others were under way wait for the next question to the leader.
  struct Read {
    int64_t deadline_micros = 0;
    BarrierDone done;
  };
  std::deque<Read> reads_waiting_;
  std::deque<Read> reads_asked_;
  ReplicaId reads_leader_;
  uint64_t reads_made_;  // the last question's number: that of reads_asked_
  int64_t reads_asked_micros_ = 0;

  std::shared_ptr<const PinnedState> pin_;
  std::string pin_source_;
  int64_t pin_expires_micros_ = 0;
  bool pinning_ = false;
  uint64_t pins_made_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_GROUP_H_
