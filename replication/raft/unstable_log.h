// The end of the log that is not known to be stored: what must be written, and what is being
// written.
//
//        stored          being written        to be written
//   ──────────────────┬────────────────────┬─────────────────┐
//                  offset               writing            end
//
// The offset may be below the storage's last index: then the next write drops that entry and all
// after it. A snapshot, if there is one, stands for everything before the offset.
//
// Bounds: cost per entry does not depend on how many are outstanding; entries are shared, never
// copied. Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_UNSTABLE_LOG_H_
#define HOLDFAST_REPLICATION_RAFT_UNSTABLE_LOG_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"
#include "replication/raft/ring.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

class UnstableLog {
 public:
  // An empty one, after the storage's last index.
  explicit UnstableLog(LogIndex stored) : offset_(Next(stored)), writing_(offset_) {}

  LogIndex offset() const { return offset_; }
  LogIndex end() const { return LogIndex(offset_.value() + entries_.size()); }
  bool empty() const { return entries_.empty(); }
  // The term of the entry or of the snapshot at `index`; nullopt: neither is here.
  std::optional<Term> TermAt(LogIndex index) const;
  // REQUIRES: offset() <= index < end().
  const Entry& at(LogIndex index) const { return entries_[index.value() - offset_.value()]; }

  // Drops what is at and after the first of them, then puts `entries`[from, ...) at the end.
  // REQUIRES: from < entries->size(); the first is not beyond end().
  void TruncateAndAppend(std::vector<Entry>* entries, size_t from);
  void Append(Entry entry);
  // Everything here is replaced by `snapshot`.
  void Restore(std::shared_ptr<const SnapshotDescriptor> snapshot);

  // Of the snapshot, also while it is being written; nullptr: there is none.
  const std::shared_ptr<const SnapshotDescriptor>& snapshot() const { return snapshot_; }
  bool HasSnapshotToWrite() const { return snapshot_ != nullptr && !snapshot_writing_; }
  bool HasEntriesToWrite() const { return writing_ < end(); }
  // Appends what is to be written; from now on it is being written.
  void TakeEntries(std::vector<Entry>* entries);
  void TakeSnapshot() { snapshot_writing_ = snapshot_ != nullptr; }

  // Entries up to `id` are stored and nothing that is still being written replaces them. Another
  // term at that index: the entry was replaced, and nothing is concluded.
  void OnStored(EntryId id);
  void OnSnapshotStored(LogIndex index);
  // Gives back memory that nothing is in.
  void ReleaseIfEmpty() { entries_.ReleaseIfEmpty(); }

 private:
  void Truncate(LogIndex from);

  LogIndex offset_;   // of entries_[0]
  LogIndex writing_;  // [offset_, writing_) are being written
  Ring<Entry> entries_;
  std::shared_ptr<const SnapshotDescriptor> snapshot_;
  bool snapshot_writing_ = false;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_UNSTABLE_LOG_H_
