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
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/types.h"
#include "replication/node/group_shell.h"
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
    uint64_t seed = 0;
    int64_t tick_micros = 100'000;
    uint32_t heartbeat_ticks = 1;
    uint32_t election_ticks = 10;
    uint64_t message_bytes_max = 1 << 20;
    uint32_t inflight_messages_max = 64;
    uint64_t inflight_bytes_max = 16 << 20;
    uint64_t tail_bytes_max = 4 << 20;  // newest entries in memory, for followers
    uint64_t keep_bytes = 8 << 20;      // entries kept after the flush, for followers
    int64_t pin_micros = 60'000'000;    // how long a state stays pinned for further followers
    int64_t retry_micros = 100'000;     // the pause after a full disk
  };

  Group(const Options& options, Executor* executor, const LogStore* store, GroupShell* shell,
        StateMachine* machine);
  ~Group() override;

  // --- ReplicatedLog.
  absl::Status Start(const AppliedState& applied) override;
  absl::StatusOr<LogPosition> Propose(std::shared_ptr<const std::string> data) override;
  void ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) override;
  void Applied(LogIndex index) override;
  void Flushed(LogIndex index) override;
  int64_t WallMicros() const override;

  // --- From the peers. What is addressed to another replica is ignored.
  void Step(PeerMessage message);
  // A kSnapshot message whose state is received whole.
  void StepSnapshot(PeerMessage message, std::shared_ptr<StagedState> staged);
  void ReportUnreachable(ReplicaId peer);
  void ReportSnapshot(ReplicaId peer, raft::Core::SnapshotResult result);

  // --- From the operator.
  // kOk: logged; it holds when Status().configuration says so.
  raft::ProposeResult ProposeConfigChange(const raft::ConfigChange& change);
  void TransferLeadership(ReplicaId to);

  // --- What is.
  // nullopt before Start and while the replica starts anew after a full disk.
  std::optional<raft::Status> GetStatus() const;
  // CHECKs what must hold at any time. For tests.
  void CheckInvariants() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_GROUP_H_
