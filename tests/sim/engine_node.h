// One node of the engine profiles: the daemon's Group, Shard and Router over a simulated disk.
//
//   clients ─▶ Router ─▶ Shard ─▶ (watched) ─▶ Group ─▶ GroupShell: this node's disk and links
//
// A crash drops the process; the log keeps some prefix of the writes under way, the state store its
// last completed flush. What passes between shard, group, disk and network is told to the checker.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_ENGINE_NODE_H_
#define HOLDFAST_TESTS_SIM_ENGINE_NODE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/executor.h"
#include "base/prng.h"
#include "base/testing/simulated_executor.h"
#include "base/types.h"
#include "replication/node/group.h"
#include "replication/node/group_shell.h"
#include "replication/node/state_machine.h"
#include "replication/raft/types.h"
#include "server/engine/engine.h"
#include "server/engine/relay.h"
#include "server/engine/shard.h"
#include "storage/faulty/faulty_state_store.h"
#include "storage/memory_log/memory_log_store.h"
#include "tests/sim/log_image.h"
#include "tests/sim/network.h"
#include "tests/sim/raft_checker.h"
#include "tests/sim/run_result.h"
#include "tests/sim/schedule.h"
#include "tests/sim/timeline.h"
#include "tests/sim/trace.h"

namespace holdfast::sim {

class EngineNode;

class EngineHost {
 public:
  virtual ~EngineHost() = default;
  // nullptr: nobody has that disk (any more).
  virtual EngineNode* NodeOf(ReplicaId replica) = 0;
};

struct EngineSurroundings {
  const Setup* setup;
  holdfast::EventQueue* events;  // of the executors
  Timeline* timeline;            // of everything else, on the same time
  Network* network;
  RaftChecker* checker;
  RunStats* stats;
  Trace* trace;
  EngineHost* host;
  uint64_t* hash;  // of the run
  uint64_t seed;
};

class EngineNode final : public GroupShell, private Forwarder {
 public:
  EngineNode(Slot slot, DiskId disk, const EngineSurroundings& around);
  ~EngineNode() override;

  // --- What is done to it.

  // `initial_voters`: as Group::Options. REQUIRES: !up().
  void Start(const std::vector<ReplicaId>& initial_voters);
  void Crash();
  // REQUIRES: !up(). An empty disk in place of the present one.
  void ReplaceDisk(DiskId disk);
  void Pause(SimTime until);
  void FailNextWrite(absl::Status with) { fail_next_write_ = std::move(with); }
  void SlowDisk(SimTime until, uint64_t micros);
  void StepClock(int64_t micros);
  void Flush();
  void Transfer(ReplicaId to);
  raft::ProposeResult ChangeMembers(const raft::ConfigChange& change);
  void Heal();

  // --- What is so.

  Slot slot() const { return slot_; }
  ReplicaId replica() const { return replica_; }
  bool up() const { return run_ != nullptr; }
  // It has said that it cannot go on.
  const absl::Status& fatal() const { return fatal_; }
  // REQUIRES: up().
  Engine& engine();
  std::optional<raft::Status> GetStatus() const;
  bool leads() const;
  LogIndex applied() const;
  const LogImage& log() const { return log_; }
  // Its log, written or not, has a change of members after `index`, or one is about to be proposed.
  bool ChangesMembersAfter(LogIndex index) const;
  const raft::HardState& hard_state() const { return hard_state_; }

  // --- GroupShell.
  void Write(LogWrite write, GroupShell::Done done) override;
  void Resume(GroupShell::Done done) override;
  void Read(LogIndex begin, LogIndex end, uint64_t bytes_max, ReadDone done) override;
  void Send(PeerMessage message) override;
  void SendSnapshot(PeerMessage message, std::shared_ptr<const PinnedState> state) override;
  void OnView(const GroupView& view) override;
  void OnFatal(const absl::Status& status) override;

 private:
  struct Run;
  class WatchedMachine;
  class WatchedLog;
  struct QueuedWrite {
    LogWrite write;
    GroupShell::Done done;
    bool resumes = false;  // it is none, but the end of a failure
  };
  struct Sending;
  struct Piece;
  struct Forwarding;

  // --- Forwarder.
  void Forward(ReplicaId to, ShardId shard, std::shared_ptr<const std::string> request,
               Forwarder::Done done) override;
  void Execute(const std::shared_ptr<Forwarding>& forwarding);
  void EndForwarding(const std::shared_ptr<Forwarding>& forwarding, Result result,
                     std::shared_ptr<const std::string> reply);

  // On the world's time, unless the process ends before.
  void Later(SimTime span, std::function<void()> what);
  void OnLoop(std::function<void()> what);
  void WriteNext();
  void Put(const LogWrite& write);
  void FlushAgain();
  void EndFlush(const Shard::Frozen& frozen);
  void RunBetweenFlushes();
  SimTime DrawWrite();
  void SendChunk(const std::shared_ptr<Sending>& sending, std::string cursor);
  // At the receiver, as a task of its loop.
  void ReceiveChunk(const std::shared_ptr<Sending>& sending, const Piece& piece);
  void EndSending(const std::shared_ptr<Sending>& sending, raft::Core::SnapshotResult result);
  void OnLeaderStart(Term term);
  void OnDelivered(absl::Span<const raft::Entry> entries);
  void OnApplied(LogIndex index);
  void OnFlushed(LogIndex index);
  SimTime Draw(SimTime bound) {
    return SimTime(random_.Below(static_cast<uint64_t>(bound.count()) + 1));
  }
  std::string Name() const;

  const Slot slot_;
  const EngineSurroundings around_;
  Prng random_;
  ReplicaId replica_;
  DiskId disk_id_;

  // The disk.
  std::unique_ptr<MemoryLogStore> store_;
  std::unique_ptr<FaultyStateDisk> state_disk_;
  LogImage log_;                // what store_ holds
  raft::HardState hard_state_;  // what store_ holds
  uint64_t incarnation_ = 0;

  // The process.
  std::unique_ptr<Run> run_;
  std::deque<QueuedWrite> writes_;
  absl::Status failed_;  // until Resume
  absl::Status fatal_;
  LogIndex delivered_;
  uint32_t changes_posted_ = 0;  // of members, that the loop has not come to
  SimTime disk_free_{0};
  bool flushing_ = false;
  std::deque<Task> between_flushes_;  // wait for the end of the flush
  std::map<ReplicaId, std::shared_ptr<Sending>> sending_;
  int64_t wall_offset_ = 0;

  std::optional<absl::Status> fail_next_write_;
  SimTime slow_disk_until_{0};
  uint64_t slow_disk_ = 0;
  bool healed_ = false;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_ENGINE_NODE_H_
