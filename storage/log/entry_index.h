// EntryIndex: what the log holds of each shard and where its entries are, in memory.
//
// Positions only, no payloads and no files. It is the same at recovery, when it is built from the
// records found, as while writing.

#ifndef HOLDFAST_STORAGE_LOG_ENTRY_INDEX_H_
#define HOLDFAST_STORAGE_LOG_ENTRY_INDEX_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/log/record_format.h"
#include "storage/log_store.h"

namespace holdfast {

// 12 bytes an entry.
struct EntryPosition {
  uint32_t segment = 0;  // its sequence
  uint32_t offset = 0;   // of the record in it
  uint32_t payload_bytes = 0;
};

// An entry found in the index.
struct LocatedEntry {
  LogIndex index;
  Term term;
  EntryPosition position;
};

// Invariants: (1) a shard's positions are those of [held_first, last], and after recovery
// held_first == first; (2) live(s) is the number of positions in segment s.
// Bounds: 12 bytes per entry held, 16 per change of term, 56 and a map node per shard.
// Thread-safety: thread-compatible.
class EntryIndex {
 public:
  // Takes a record into account. `position` counts for entries only, `vote` for hard states.
  // DATA_LOSS, and nothing changed, if it cannot follow what is there.
  absl::Status Apply(const RecordHeader& record, EntryPosition position, ReplicaId vote);

  // Starts from a checkpoint whose entries are in segments that are not there (any more): they
  // count as missing until they are compacted or overwritten. REQUIRES: nothing applied yet.
  void Load(const std::vector<ShardMark>& marks);
  // DATA_LOSS if an entry is still missing.
  absl::Status CheckComplete() const;

  std::vector<ShardMark> Marks() const;

  ShardLog Describe(ShardId shard) const;
  absl::StatusOr<Term> TermAt(ShardId shard, LogIndex index) const;
  // As LogStore::ReadEntries, but places.
  absl::Status Locate(ShardId shard, LogIndex begin, LogIndex end, uint64_t bytes_max,
                      std::vector<LocatedEntry>* found) const;

  size_t shard_count() const { return shards_.size(); }
  bool Knows(ShardId shard) const { return shards_.count(shard) != 0; }

  // Segments are added in rising order, without gaps, before the first position in them.
  void AddSegment(uint64_t sequence);
  // Entries whose position is in the oldest segment.
  uint64_t LiveInOldest() const;
  // REQUIRES: LiveInOldest() == 0.
  void RemoveOldest();

  // The last entry of the shard in this segment or an older one; 0: none.
  LogIndex LastThrough(ShardId shard, uint64_t segment) const;

  // retained_bytes and shards; not file_bytes.
  LogUsage Usage() const;

 private:
  struct TermRun {
    LogIndex from;
    Term term;
  };
  struct Shard {
    HardState hard_state;
    LogIndex first = LogIndex(1);
    LogIndex held_first = LogIndex(1);
    Term compacted_term;
    std::deque<EntryPosition> entries;
    std::vector<TermRun> runs;  // terms of `entries`
    uint64_t retained_bytes = 0;

    LogIndex Last() const { return LogIndex(held_first.value() + entries.size() - 1); }
    Term TermOf(LogIndex index) const;
  };

  absl::Status ApplyEntry(const RecordHeader& record, EntryPosition position);
  absl::Status ApplyCompact(const RecordHeader& record);
  void DropFront(Shard* shard);
  void DropBack(Shard* shard);
  void DropAll(Shard* shard);
  uint64_t& Live(uint32_t segment);

  std::map<ShardId, Shard> shards_;
  uint64_t oldest_segment_ = 0;  // 0: none
  std::deque<uint64_t> live_;    // by segment, from oldest_segment_
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_ENTRY_INDEX_H_
