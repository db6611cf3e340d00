// One replica's disk: its hard state, its log, its durable state machine, and writes under way.
//
// What is read is what is durable. Writes complete in order, possibly long after they were queued;
// a crash lets any prefix of them survive, the last of them in part.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_REPLICA_DISK_H_
#define HOLDFAST_TESTS_SIM_REPLICA_DISK_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/types.h"
#include "replication/raft/core.h"
#include "replication/raft/log_reader.h"
#include "replication/raft/types.h"
#include "tests/sim/ledger.h"
#include "tests/sim/log_image.h"
#include "tests/sim/run_result.h"

namespace holdfast::sim {

// A state machine as of ledger.applied(), with the members as of there.
struct MachineState {
  Ledger ledger;
  raft::Configuration configuration;
};

// The write of one raft::Ready, and what waits for it.
struct DiskWrite {
  std::optional<raft::HardState> hard_state;
  std::shared_ptr<const MachineState> snapshot;  // nullptr: none; the log is reset to it
  std::vector<raft::Entry> entries;
  raft::WriteToken token;
  bool synced = true;  // false: it completes, yet a crash may lose it (the commit hint only)
  std::vector<raft::Message> messages;  // to be sent when it is durable
};

class ReplicaDisk final : public raft::LogReader {
 public:
  // As if a snapshot of `state` had been installed.
  ReplicaDisk(std::shared_ptr<const MachineState> state, uint32_t cached_entries);

  // --- What is durable.
  const raft::HardState& hard_state() const { return hard_state_; }
  const LogImage& log() const { return log_; }
  const std::shared_ptr<const MachineState>& state() const { return state_; }

  // --- Writes.
  void Queue(DiskWrite write) { pending_.push_back(std::move(write)); }
  size_t pending() const { return pending_.size(); }
  // The oldest becomes durable. REQUIRES: pending() > 0.
  DiskWrite Complete(RunStats* stats);
  // The process ends: of the writes under way some prefix is durable, the rest is gone.
  void Crash(Prng* random, RunStats* stats);
  // `state` becomes durable, unless a newer one is. REQUIRES: it is not beyond the log.
  void Flush(std::shared_ptr<const MachineState> state);
  // The log goes up to `index`, or to the durable state if that is less.
  void CutLog(LogIndex index, RunStats* stats);

  // --- Reading. What is older than the cached entries is fetched: `fetch` is told that reading
  // failed for want of it, and calls Fetched() later.
  void OnFetch(std::function<void()> fetch) { fetch_ = std::move(fetch); }
  void Fetched() { fetched_from_ = wanted_; }
  // Names the state that a descriptor of Snapshot() stands for. Before every third, `flush` is told
  // that a newer one is wanted, and may flush one: a replica that joined after the durable state
  // has no use for that.
  using Pin = std::function<std::string(std::shared_ptr<const MachineState>)>;
  void OnSnapshot(Pin pin, std::function<void()> flush) {
    pin_ = std::move(pin);
    flush_ = std::move(flush);
  }

  LogIndex First() const override { return log_.first(); }
  LogIndex Last() const override { return log_.last(); }
  raft::LogRead TermAt(LogIndex index, Term* term) const override;
  raft::LogRead Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                     std::vector<raft::Entry>* entries) const override;
  raft::LogRead Snapshot(raft::SnapshotDescriptor* snapshot) override;

 private:
  void Put(const DiskWrite& write, RunStats* stats);

  raft::HardState hard_state_;
  LogIndex synced_commit_;
  LogImage log_;
  std::shared_ptr<const MachineState> state_;
  std::deque<DiskWrite> pending_;
  const uint32_t cached_entries_;
  mutable LogIndex wanted_{UINT64_MAX};
  LogIndex fetched_from_{UINT64_MAX};
  uint64_t snapshots_asked_ = 0;
  std::function<void()> fetch_;
  std::function<void()> flush_;
  Pin pin_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_REPLICA_DISK_H_
