// The replica's log as the core sees it: what is stored, what is not yet, and how far it is
// committed, handed out and applied.
//
// Invariants: applied <= applying <= commit <= last. Bounds: memory is that of UnstableLog and of
// the batches handed out and not applied. Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_RAFT_LOG_H_
#define HOLDFAST_REPLICATION_RAFT_RAFT_LOG_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"
#include "replication/raft/log_reader.h"
#include "replication/raft/ring.h"
#include "replication/raft/types.h"
#include "replication/raft/unstable_log.h"

namespace holdfast::raft {

// What an entry counts for where data is limited: its data, and something for being an entry.
inline uint64_t CostOf(const Entry& entry) { return entry.size_bytes() + 8; }

class RaftLog {
 public:
  enum class ApplyFrom : uint8_t {
    kStored,   // hand out what is stored here
    kUnstored  // also what is only stored by others
  };
  struct Options {
    LogReader* reader;
    uint64_t applying_bytes_max;
    ApplyFrom apply_from;
  };

  explicit RaftLog(const Options& options);
  // Another reader of the same log.
  void SetReader(LogReader* reader) { reader_ = reader; }
  // What was durable at the start.
  void Load(LogIndex commit, LogIndex applied);

  // --- Reading.

  LogIndex first() const;
  LogIndex last() const;
  EntryId LastId() const;
  LogRead TermAt(LogIndex index, Term* term) const;
  bool Has(EntryId id) const;
  // Appends entries of [begin, end) until they cost more than `bytes_max`, but at least one.
  LogRead Read(LogIndex begin, LogIndex end, uint64_t bytes_max, std::vector<Entry>* out) const;
  // The largest place at or below `index` whose term is not above `term`, where another log that
  // has `term` at its place may agree with this one. Its term is 0 if it is not known.
  EntryId AgreementGuess(LogIndex index, Term term) const;
  // A snapshot to send.
  LogRead Snapshot(SnapshotDescriptor* snapshot) const;

  // --- Writing.

  void Append(Entry entry) { unstable_.Append(std::move(entry)); }
  // Makes the log agree with entries that another log has after `previous`. nullopt: it has
  // another entry at `previous`, and nothing is done. Else the last that is now known to agree.
  std::optional<LogIndex> Accept(EntryId previous, std::vector<Entry>* entries);
  void Restore(std::shared_ptr<const SnapshotDescriptor> snapshot);
  UnstableLog& unstable() { return unstable_; }
  const UnstableLog& unstable() const { return unstable_; }

  // --- Committing and applying.

  LogIndex commit() const { return commit_; }
  LogIndex applying() const { return applying_; }
  LogIndex applied() const { return applied_; }
  // Never goes back. REQUIRES: index <= last().
  void CommitTo(LogIndex index);
  bool HasCommitted() const;
  // Appends the next committed entries to apply, as far as the limit lets. kNotYet: they must be
  // fetched first.
  LogRead TakeCommitted(std::vector<Entry>* entries);
  // Returns the data bytes of the batches that are wholly applied now.
  // REQUIRES: applied() <= index <= commit().
  uint64_t OnApplied(LogIndex index);
  void OnSnapshotInstalled(LogIndex index);
  void ReleaseIfEmpty();

  // --- Configuration entries.

  // Searches the log after what is applied for configuration entries, `bytes_max` of data at a
  // time, from where the last search ended. kNotYet: it is not at its end, and to be called again.
  LogRead FindConfigChanges(uint64_t bytes_max);
  // Those that the search has found and that are not applied, ascending.
  const std::vector<LogIndex>& config_changes() const { return config_changes_; }

 private:
  struct Batch {
    LogIndex last;
    uint64_t cost = 0;
    uint64_t data_bytes = 0;
  };

  LogIndex Appliable() const;  // the last that may be handed out
  size_t FirstNew(const std::vector<Entry>& entries) const;
  void ForgetConfigChangesFrom(LogIndex index);

  LogReader* reader_;
  UnstableLog unstable_;
  LogIndex commit_;
  LogIndex applying_;
  LogIndex applied_;
  ApplyFrom apply_from_;
  bool applying_full_ = false;
  uint64_t applying_bytes_max_;
  uint64_t applying_bytes_ = 0;
  Ring<Batch> applying_batches_;
  LogIndex searched_;  // the last entry that was searched for configuration entries
  std::vector<LogIndex> config_changes_;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_RAFT_LOG_H_
