// The durable log of one replica, in memory: entries, hard state and the snapshots of its state
// machine. What is written here has survived a crash; what was not is gone.
//
// Invariants: those of LogReader. Thread-safety: thread-compatible. Ownership: outlives the Core
// that reads it.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_MEMORY_LOG_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_MEMORY_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "replication/raft/log_reader.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

class MemoryLog final : public LogReader {
 public:
  // A log that begins after `start`, with `start` as the first applied state.
  explicit MemoryLog(const SnapshotDescriptor& start);

  // --- Reading, as the core does.

  LogIndex First() const override { return Next(before_.index); }
  LogIndex Last() const override { return LogIndex(before_.index.value() + entries_.size()); }
  LogRead TermAt(LogIndex index, Term* term) const override;
  LogRead Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
               std::vector<Entry>* entries) const override;
  // The newest applied state.
  LogRead Snapshot(SnapshotDescriptor* snapshot) override;

  // Whether Read and Snapshot answer kNotYet.
  void SetFetching(bool fetching) { fetching_ = fetching; }

  // --- Writing.

  void SetHardState(const HardState& state) { hard_state_ = state; }
  // The first entry drops the one at its index and all after it. REQUIRES: it is at most one
  // beyond the last.
  void Append(const std::vector<Entry>& entries);
  // Drops the whole log: it goes on after `snapshot`, which is applied.
  void Reset(const SnapshotDescriptor& snapshot);
  // Drops the entries up to `index`. Returns what is wrong in words, and does nothing, if they are
  // gone already or do not exist.
  std::optional<std::string> CompactTo(LogIndex index);

  // The state machine has applied `entry`; `configuration` is as of then.
  void Applied(const Entry& entry, const Configuration& configuration);

  // --- What is stored.

  const HardState& hard_state() const { return hard_state_; }
  const std::vector<Entry>& entries() const { return entries_; }
  const SnapshotDescriptor& applied() const { return applied_; }

 private:
  const Entry& At(LogIndex index) const;

  EntryId before_;  // the entry before the first
  std::vector<Entry> entries_;
  HardState hard_state_;
  SnapshotDescriptor applied_;
  bool fetching_ = false;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_MEMORY_LOG_H_
