// LogStore: the durable log of one node: entries and hard states of all its shards, one writer,
// one sync for everything that waits.
//
// Implementations: storage/log/segment_log_store.h (files), storage/memory_log (no files).

#ifndef HOLDFAST_STORAGE_LOG_STORE_H_
#define HOLDFAST_STORAGE_LOG_STORE_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"

namespace holdfast {

// Largest payload of one entry. A larger one is refused with INVALID_ARGUMENT.
inline constexpr uint64_t kLogEntryBytesMax = 80ull << 20;

// What Raft must never forget of a shard besides its entries. All zero before the first one.
struct HardState {
  Term term;
  ReplicaId vote;   // 0: voted for nobody in `term`
  LogIndex commit;  // known to be committed; a hint, may lag
  bool operator==(const HardState&) const = default;
};

// One record of a batch. Made by LogBatch; read by the implementations of LogStore.
struct LogRecord {
  enum class Kind : uint8_t { kEntry = 1, kHardState = 2, kCompact = 3, kReset = 4 };
  Kind kind = Kind::kEntry;
  uint8_t entry_type = 0;  // kEntry: the caller's own
  ShardId shard;
  Term term;       // of the entry, the hard state, the entry compacted through, the snapshot
  LogIndex index;  // of the entry; commit; compacted through; the snapshot's
  ReplicaId vote;  // kHardState only
  // kEntry only: the payload is pieces()[first_piece, first_piece + piece_count) concatenated.
  uint32_t first_piece = 0;
  uint32_t piece_count = 0;
  uint64_t payload_bytes = 0;
};

// Records to be written together, in order.
//
// Ownership: payloads are views; what they point to must live until Write() has returned.
// Thread-safety: thread-compatible. Keeps its memory over Clear().
class LogBatch {
 public:
  // The entry `index` of `shard`; its payload is the concatenation of `payload` (never copied
  // together). An index at or below the shard's last drops that entry and all after it first.
  // REQUIRES (checked by Write): FirstIndex(shard) <= index <= LastIndex(shard) + 1.
  void Append(ShardId shard, Term term, LogIndex index, uint8_t type,
              std::span<const std::string_view> payload) {
    LogRecord record{.kind = LogRecord::Kind::kEntry,
                     .entry_type = type,
                     .shard = shard,
                     .term = term,
                     .index = index,
                     .vote = ReplicaId(),
                     .first_piece = static_cast<uint32_t>(pieces_.size()),
                     .piece_count = static_cast<uint32_t>(payload.size()),
                     .payload_bytes = 0};
    for (std::string_view piece : payload) record.payload_bytes += piece.size();
    pieces_.insert(pieces_.end(), payload.begin(), payload.end());
    records_.push_back(record);
  }
  void Append(ShardId shard, Term term, LogIndex index, uint8_t type, std::string_view payload) {
    Append(shard, term, index, type, std::span<const std::string_view>(&payload, 1));
  }
  // Replaces the shard's hard state.
  void SetHardState(ShardId shard, const HardState& state) {
    Add(LogRecord::Kind::kHardState, shard, state.term, state.commit, state.vote);
  }
  // Entries up to and including `through`, whose term is `term`, are no longer needed. One at or
  // below the last compaction changes nothing. REQUIRES (checked): through <= LastIndex(shard).
  void Compact(ShardId shard, LogIndex through, Term term) {
    Add(LogRecord::Kind::kCompact, shard, term, through, ReplicaId());
  }
  // Drops every entry of the shard; its log goes on after the snapshot that ends with `index` of
  // `term`: FirstIndex = index + 1, LastIndex = index. The hard state stays.
  void Reset(ShardId shard, LogIndex index, Term term) {
    Add(LogRecord::Kind::kReset, shard, term, index, ReplicaId());
  }

  void Clear() {
    records_.clear();
    pieces_.clear();
  }
  bool empty() const { return records_.empty(); }
  const std::vector<LogRecord>& records() const { return records_; }
  std::span<const std::string_view> PayloadOf(const LogRecord& record) const {
    return std::span(pieces_).subspan(record.first_piece, record.piece_count);
  }

 private:
  void Add(LogRecord::Kind kind, ShardId shard, Term term, LogIndex index, ReplicaId vote) {
    records_.push_back({.kind = kind,
                        .entry_type = 0,
                        .shard = shard,
                        .term = term,
                        .index = index,
                        .vote = vote,
                        .first_piece = 0,
                        .piece_count = 0,
                        .payload_bytes = 0});
  }

  std::vector<LogRecord> records_;
  std::vector<std::string_view> pieces_;
};

enum class SyncMode : uint8_t {
  kNow,    // durable when Write() returns ok
  kLater,  // durable when the next ok Write(kNow) or Sync() returns
};

// An entry read back.
struct StoredEntry {
  Term term;
  LogIndex index;
  uint8_t type = 0;
  std::string payload;
  bool operator==(const StoredEntry&) const = default;
};

// What the log holds of one shard. A shard never written is `ShardLog{}`.
struct ShardLog {
  HardState hard_state;
  // Entries [first, last] are held; none if last == first - 1.
  LogIndex first = LogIndex(1);
  LogIndex last;
  Term last_term;               // of `last`; if there is no entry, compacted_term
  Term compacted_term;          // of first - 1 (0 if that is index 0)
  uint64_t retained_bytes = 0;  // stored size of the entries [first, last]
  bool operator==(const ShardLog&) const = default;
};

struct LogUsage {
  uint64_t file_bytes = 0;      // space taken on disk, spares included (0 in memory)
  uint64_t retained_bytes = 0;  // entries of all shards
  std::vector<ShardId> shards;  // every shard with a record, ascending
};

// The log. Everything written is kept until compacted, over crashes and power loss.
//
// Invariants: (1) a shard's entries are contiguous, [first, last]; (2) when Write(kNow) or Sync()
// has returned ok, everything written until then is on stable storage; (3) after a crash what is
// there is a prefix, in the order written, that includes everything of (2); (4) nothing that was
// made durable is dropped quietly: damage is an error from the open or the read (DATA_LOSS).
// Bounds: payload <= kLogEntryBytesMax; memory per held entry <= 24 bytes (files).
// Thread-safety: Write, Sync and Seal belong to one writer thread at a time; all others may be
// called from any thread, also meanwhile, and see only what a finished Write has written.
// Errors of the disk are sticky: after a failed write or sync every later Write, Sync and Seal
// returns the same error (a failed sync is never retried: the kernel may have dropped the pages).
// Only a new open of the store, after the process has ended, finds out what is there.
class LogStore {
 public:
  virtual ~LogStore() = default;

  // Appends all records in order, with one sync (kNow) for all of them. Errors: INVALID_ARGUMENT
  // (payload too large) and RESOURCE_EXHAUSTED (no disk space for the next segment) leave the log
  // as it was, and it can be tried again; after any other error the store is stopped (see above)
  // and what of the batch is stored is unknown until the next open.
  // A batch without entries (hard states, compactions) can use space kept in reserve for it.
  virtual absl::Status Write(const LogBatch& batch, SyncMode sync) = 0;

  // Makes all that was written durable. Cheap if it is already.
  virtual absl::Status Sync() = 0;

  // Sync(), and then marks the log's end as known to be durable, so that damage to the last batch
  // is told from a torn write at the next open. For a quiet moment (nothing written for some
  // 100 ms) and before closing. Costs one small write and sync; nothing if nothing was written
  // since the last Seal.
  virtual absl::Status Seal() = 0;

  // Appends to `entries` those of [begin, end) in order, as many as fit into `bytes_max` of
  // payload but at least one if there is one. `end` may be beyond the last. Fewer than asked for
  // is not an error. Errors: OUT_OF_RANGE if begin < FirstIndex(shard), i.e. it is compacted (send
  // a snapshot); DATA_LOSS if a stored entry fails its checksum; UNAVAILABLE or others from the
  // disk. On error `entries` is as it was.
  virtual absl::Status ReadEntries(ShardId shard, LogIndex begin, LogIndex end, uint64_t bytes_max,
                                   std::vector<StoredEntry>* entries) const = 0;

  // Term of an entry in [first - 1, last]. OUT_OF_RANGE otherwise.
  virtual absl::StatusOr<Term> TermAt(ShardId shard, LogIndex index) const = 0;

  virtual ShardLog Describe(ShardId shard) const = 0;

  virtual LogUsage Usage() const = 0;

  // The last entry of the shard behind which the log has grown by `bytes` or more, whichever shards
  // that was for; 0: none. If all shards are compacted through theirs the log takes not much more
  // than `bytes`: one that is idle would else hold the space of all that came after its entries.
  virtual LogIndex LastBehind(ShardId shard, uint64_t bytes) const = 0;

  LogIndex FirstIndex(ShardId shard) const { return Describe(shard).first; }
  LogIndex LastIndex(ShardId shard) const { return Describe(shard).last; }
  HardState HardStateOf(ShardId shard) const { return Describe(shard).hard_state; }
  uint64_t RetainedBytes(ShardId shard) const { return Describe(shard).retained_bytes; }
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_STORE_H_
