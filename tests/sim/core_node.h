// One node of the bare-core profiles: a raft::Core, its disk, and the duties of its caller.
//
// Writes complete and entries are applied after a while and in order, each on a "thread" of its
// own, several under way at once (Setup::write_apart), or one Ready at a time. A crash drops what
// is not durable; a failed write leaves the node without a disk until it starts again.
//
// Everything that it does is told to the checker. Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_CORE_NODE_H_
#define HOLDFAST_TESTS_SIM_CORE_NODE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/types.h"
#include "replication/raft/core.h"
#include "tests/sim/flow_bounds.h"
#include "tests/sim/ledger.h"
#include "tests/sim/network.h"
#include "tests/sim/raft_checker.h"
#include "tests/sim/replica_disk.h"
#include "tests/sim/run_result.h"
#include "tests/sim/schedule.h"
#include "tests/sim/timeline.h"
#include "tests/sim/trace.h"

namespace holdfast::sim {

using ReadId = uint64_t;

class CoreNode;

// What a node needs of the others and of the clients.
class NodeHost {
 public:
  virtual ~NodeHost() = default;
  // nullptr: nobody has that disk (any more).
  virtual CoreNode* NodeOf(ReplicaId replica) = 0;
  virtual void OnAcknowledged(WriteId write, LogIndex index) = 0;
  virtual void OnReadAnswered(ReadId read) = 0;
  // A snapshot that is kept for the rest of the run, and its name.
  virtual std::string Pin(std::shared_ptr<const MachineState> state) = 0;
  virtual std::shared_ptr<const MachineState> Pinned(const std::string& source) = 0;
};

struct Surroundings {
  const Setup* setup;
  Timeline* queue;
  Network* network;
  RaftChecker* checker;
  RunStats* stats;
  Trace* trace;
  NodeHost* host;
  uint64_t* hash;  // of the run
};

class CoreNode {
 public:
  // A node whose disk holds `state` and nothing else. It is down.
  CoreNode(Slot slot, ReplicaId replica, std::shared_ptr<const MachineState> state, uint64_t seed,
           const Surroundings& around);
  ~CoreNode();
  CoreNode(const CoreNode&) = delete;
  CoreNode& operator=(const CoreNode&) = delete;

  // --- What is done to it.

  // REQUIRES: !up().
  void Start();
  // Nothing if it is down.
  void Crash();
  // REQUIRES: !up(). The disk is `replica`'s, and empty but for `state`.
  void ReplaceDisk(ReplicaId replica, std::shared_ptr<const MachineState> state);
  void Pause(SimTime until) { paused_until_ = std::max(paused_until_, until); }
  void FailNextWrite() { fail_next_write_ = true; }
  void SlowDisk(SimTime until, uint64_t micros);
  void SlowApply(SimTime until, uint64_t micros);
  // Nothing is paused or about to fail any more, and its disk is fast from now on.
  void Heal();
  void Receive(const raft::Message& message);
  // kOk: it is acknowledged, or never heard of again.
  raft::ProposeResult Write(WriteId write, size_t bytes);
  void Read(ReadId read);
  void Campaign();
  void Transfer(ReplicaId to);
  void ForgetLeader();
  raft::ProposeResult ChangeMembers(const raft::ConfigChange& change);
  void Flush();
  void CutLog(uint64_t keep);

  // --- What is so.

  Slot slot() const { return slot_; }
  ReplicaId replica() const { return replica_; }
  bool up() const { return core_ != nullptr; }
  // A write has failed and it has not been started again.
  bool disk_failed() const { return disk_failed_; }
  bool paused() const { return paused_until_ > around_.queue->now(); }
  // REQUIRES: up().
  const raft::Core& core() const { return *core_; }
  const MachineState& machine() const { return machine_; }
  const ReplicaDisk& disk() const { return *disk_; }
  // Its log, written or not.
  const LogImage& log() const { return log_; }

 private:
  // Runs `what` unless the node crashes before; after its pause, if it is paused then.
  void Later(SimTime when, std::function<void()> what);
  void Resume(uint64_t incarnation, const std::function<void()>& what);
  void TickLater();
  // Handles Readys until there are none, and looks at what has become of the core.
  void Pump();
  void Awake();
  void Observe();
  void NoteCommit();
  void Take(raft::Ready ready);
  void FlushThen(std::function<void()> what);
  SimTime DrawWrite();
  void TakeApart(raft::Ready ready);
  void TakeTogether(raft::Ready ready);
  void CheckReady(const raft::Ready& ready);
  void NoteProgress();
  void NoteLog(const raft::Ready& ready);
  DiskWrite MakeWrite(raft::Ready* ready);
  void Written(bool together);
  void FailWrite();
  void InstallSnapshot(const std::shared_ptr<const MachineState>& state);
  void ApplyLater(std::vector<raft::Entry> committed);
  void Apply(const std::vector<raft::Entry>& committed);
  void ApplyOne(const raft::Entry& entry);
  void AnswerReads();
  void Send(const raft::Message& message);
  // False: it is certainly lost.
  bool Carry(const raft::Message& message, SimTime extra);
  void SendSnapshot(const raft::Message& message);
  void NoteAnswer(const raft::Message& message);
  // Looks at what leaves, to itself too.
  void Leaves(const raft::Message& message);
  SimTime Draw(SimTime bound) {
    return SimTime(random_.Below(static_cast<uint64_t>(bound.count()) + 1));
  }
  std::string Name() const;

  const Slot slot_;
  const Surroundings around_;
  Prng random_;
  ReplicaId replica_;
  std::unique_ptr<ReplicaDisk> disk_;
  uint64_t incarnation_ = 0;

  // Of the process: gone with a crash.
  std::unique_ptr<raft::Core> core_;
  MachineState machine_;
  LogImage log_;
  LogIndex checked_commit_;
  LogIndex last_commit_;
  // How commit has moved since a Ready was taken last, and the configuration that moved it.
  std::vector<RaftChecker::Commit> commits_;
  bool together_busy_ = false;
  bool disk_failed_ = false;
  SimTime disk_free_{0};
  SimTime apply_free_{0};
  uint64_t apply_epoch_ = 0;  // applying that was queued in an earlier one is void
  struct Proposed {
    Term term;
    WriteId write;
  };
  std::map<LogIndex, Proposed> proposed_;
  std::map<ReadId, LogIndex> reads_asked_;  // what was committed when it was asked
  std::vector<raft::ReadState> reads_ready_;
  FlowBounds flow_;

  // What is done to it.
  bool healed_ = false;
  std::deque<std::function<void()>> deferred_;  // came during a pause
  SimTime paused_until_{0};
  bool fail_next_write_ = false;
  SimTime slow_disk_until_{0};
  uint64_t slow_disk_ = 0;
  SimTime slow_apply_until_{0};
  uint64_t slow_apply_ = 0;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_CORE_NODE_H_
