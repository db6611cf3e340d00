// A replica's log as its Raft core reads it: the durable part, with the newest entries in memory
// and older ones read back when the core asks for them.
//
//     [first ... chunks read back ...  tail (in memory) ... last]     in flight: in the core
//
// The core's reads never wait: what is not in memory is noted (NextFetch) and fetched by the
// owner.
//
// Invariants: tail and chunks hold the very entries of the durable log, by (term, index).
// Bounds: the tail by TrimTail; kChunksMax chunks; kFetchesMax fetches asked for.
// Thread-safety: thread-compatible; owned by one Group.

#ifndef HOLDFAST_REPLICATION_NODE_REPLICA_LOG_H_
#define HOLDFAST_REPLICATION_NODE_REPLICA_LOG_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "base/types.h"
#include "replication/raft/log_reader.h"
#include "replication/raft/types.h"
#include "storage/log_store.h"

namespace holdfast {

class ReplicaLog final : public raft::LogReader {
 public:
  // What was asked for and is not in memory: entries of [begin, end).
  struct Fetch {
    LogIndex begin;
    LogIndex end;
    uint64_t bytes_max = 0;
  };

  // Starts anew with what `store` holds of `shard`; nothing is in memory. Reads terms only.
  void Load(const LogStore& store, ShardId shard);

  // --- What has become durable.
  // Consecutive; one at or below the last drops that entry and all after it first.
  // REQUIRES: first <= entries.front().index <= last + 1.
  void Append(absl::Span<const raft::Entry> entries);
  void Reset(raft::EntryId snapshot);
  // Forgets entries through `through`: those that the store is told to drop. REQUIRES: <= last.
  void Compact(LogIndex through);

  // Drops from memory the oldest of the tail while they are through `needless` or the tail holds
  // more than `bytes_max`.
  void TrimTail(LogIndex needless, uint64_t bytes_max);

  // --- Fetching.
  // The next fetch to be made; nullopt: none, or one is being made.
  std::optional<Fetch> NextFetch();
  // It ended: with these entries, of which those that are still in the log are kept, or none.
  void Fetched(std::vector<raft::Entry> entries);

  // --- Snapshots.
  // What Snapshot() answers with; nullopt: kNotYet.
  void OfferSnapshot(std::optional<raft::SnapshotDescriptor> snapshot);
  // Whether Snapshot() was asked for one since, and had none that will do.
  bool wants_snapshot() const { return wants_snapshot_; }

  // --- LogReader.
  LogIndex First() const override { return first_; }
  LogIndex Last() const override { return last_; }
  raft::LogRead TermAt(LogIndex index, Term* term) const override;
  raft::LogRead Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                     std::vector<raft::Entry>* entries) const override;
  raft::LogRead Snapshot(raft::SnapshotDescriptor* snapshot) override;

 private:
  // Entries from `from` on have `term`, up to the next run.
  struct TermRun {
    LogIndex from;
    Term term;
  };
  void AddTerm(LogIndex index, Term term);
  void Truncate(LogIndex from);
  LogIndex TailFirst() const { return LogIndex(last_.value() + 1 - tail_.size()); }
  // The chunk that has the entry; nullptr: none.
  const std::vector<raft::Entry>* ChunkOf(LogIndex index) const;
  void Want(const Fetch& fetch) const;

  LogIndex first_ = LogIndex(1);
  LogIndex last_;
  // Of [first - 1, last]; the first begins at or before first - 1.
  std::vector<TermRun> runs_ = {TermRun()};
  std::deque<raft::Entry> tail_;
  uint64_t tail_bytes_ = 0;

  // Changed by reads: what they ask for, and what they have read to its end.
  mutable std::deque<std::vector<raft::Entry>> chunks_;
  mutable std::deque<Fetch> wanted_;
  bool fetching_ = false;

  std::optional<raft::SnapshotDescriptor> snapshot_;
  bool wants_snapshot_ = false;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_REPLICA_LOG_H_
