// StateStore: durable rows in a few named tables, changed in atomic flushes, read by snapshots.
//
// It knows bytes, not jobs. Keys are byte strings ordered as memcmp orders them, built by the
// caller so that every key starts with its shard (big-endian): each shard is then one contiguous
// range of each table, and one store serves all shards of a node.
//
// There is no log below it and no other way to change it: after a crash the store is exactly as
// some completed Flush left it. The caller writes the log position that a flush stands for into
// the same batch (Table::kMeta) and replays its log from there.

#ifndef HOLDFAST_STORAGE_STATE_STORE_H_
#define HOLDFAST_STORAGE_STATE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/state_batch.h"

namespace holdfast {

// Where a scan stopped.
struct ScanEnd {
  // True: every row of [begin, end) was visited. False: a limit was reached or the visitor
  // returned false, and `next` is the key to begin at to go on (it need not exist).
  bool reached_end = true;
  std::string next;
  uint64_t rows = 0;
  uint64_t bytes = 0;  // Keys and values visited.
};

// A range of rows to visit, [begin, end) in key order. Both bounds are always given: a scan never
// looks at what lies before `begin` or after `end`, however many deleted rows are there. Callers
// that consume from the front remember where they stopped and begin there.
struct ScanRange {
  std::string_view begin;
  std::string_view end;  // Not included. REQUIRES: begin <= end.
  // The scan stops before the row that would exceed a limit, but always visits one row.
  uint64_t rows_max = 1024;
  uint64_t bytes_max = 1 << 20;
};

// How far a read may go.
enum class Reach : uint8_t {
  kMemory = 0,  // kAborted rather than a wait for the device: for callers that must not wait
  kDevice = 1,
};

// The rows as one completed Flush left them, whatever is flushed later.
//
// Bounds: a snapshot keeps deleted rows from being reclaimed while it lives: hold it for one read
// batch, or for a state transfer that has a time limit.
// Thread-safety: thread-safe; may outlive nothing of its store (release it before the store).
//
// Every read verifies checksums. Errors of all reads: kDataLoss (stored bytes are damaged; names
// the file and the place in it), kUnavailable or kInternal (the device failed). No error is ever
// "not found".
class StateSnapshot {
 public:
  virtual ~StateSnapshot() = default;

  // The value under `key`; nullopt if there is no such row.
  virtual absl::StatusOr<std::optional<std::string>> Get(Table table,
                                                         std::string_view key) const = 0;

  // Calls `found(i, value)` once for each i in [0, keys.size()), in order of i; nullopt if there
  // is no such row. The value is valid during the call only. On an error some or all calls are
  // missing. Much cheaper than single Gets; cheapest when `keys` is sorted.
  virtual absl::Status MultiGet(
      Table table, absl::Span<const std::string_view> keys, Reach reach,
      absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) const = 0;

  // Visits the rows of `range` in key order until a limit is reached or `visit(key, value)`
  // returns false (that row counts as visited). Views are valid during the call only.
  virtual absl::StatusOr<ScanEnd> Scan(
      Table table, const ScanRange& range,
      absl::FunctionRef<bool(std::string_view key, std::string_view value)> visit) const = 0;

  // Bytes on disk of the rows of [begin, end), from metadata alone: off by a block per end and by
  // whatever compaction has not yet reclaimed.
  virtual absl::StatusOr<uint64_t> ApproximateSize(Table table, std::string_view begin,
                                                   std::string_view end) const = 0;
};

// What the store uses at this moment. All sizes in bytes.
struct StateStats {
  uint64_t disk_bytes = 0;  // Files in use.
  uint64_t file_count = 0;
  uint64_t block_cache_bytes = 0;  // Cached data, index and filter blocks.
  uint64_t memtable_bytes = 0;
  uint64_t table_reader_bytes = 0;     // Outside the block cache.
  uint64_t compaction_debt_bytes = 0;  // Estimated bytes still to be rewritten.
  uint64_t unmerged_files = 0;         // Overlapping files that each read may have to consult.
  uint64_t flushes = 0;                // Completed since open.
  uint64_t flushed_bytes = 0;          // Keys and values of completed flushes since open.
  uint64_t written_bytes = 0;          // Written to disk since open, by flush and compaction.
  absl::Status health;                 // The sticky error, if there is one.
};

// How hard the caller should slow down its producers. The store itself never stalls a Flush.
enum class StatePressure : uint8_t {
  kNone = 0,
  kSlow = 1,  // Compaction is falling behind: admit less.
  kStop = 2,  // Far behind, or the store has failed: admit nothing that adds rows.
};
StatePressure PressureOf(const StateStats& stats);

// Rows that are to take the place of all rows of a range of keys, in every table: gathered on
// stable storage while the old rows are still there and read, then put in their place by one atomic
// step.
//
// Nothing of it is visible before Install. What is not installed is gone with the object, and
// after a crash with the next open of the store.
//
// Bounds: a staging in use takes some megabytes and the largest value, however many rows it has.
// Thread-safety: thread-compatible. Add and Finish may run beside a Flush; Install counts as one.
// Ownership: released before its store.
class StateStaging {
 public:
  virtual ~StateStaging() = default;

  // Adds a row. REQUIRES (checked): tables come in the order of kAllTables, the keys of a table
  // strictly rise and lie in the range, as those of StateBatch; Finish was not called.
  // Errors, of Finish too: kResourceExhausted (no space left), kUnavailable, kInternal. They are
  // sticky for this staging and harm nothing else.
  virtual absl::Status Add(Table table, std::string_view key, std::string_view value) = 0;

  // No rows follow. OK: all of them are on stable storage. Once.
  virtual absl::Status Finish() = 0;

  // Replaces all rows of the range by the added ones, then applies `batch` (which may be empty) on
  // top of that: all of it or nothing, and durable when it returns OK. Neither reads the old rows
  // nor writes anything for them; snapshots made before keep them. Cheapest if `batch` has few rows
  // in the range. Errors as Flush; after kResourceExhausted with Stats().health
  // still OK it may be called again. REQUIRES (checked): Finish returned OK, and Install has not.
  virtual absl::Status Install(const StateBatch& batch) = 0;
};

// Thread-safety: Flush and Reclaim are called by one thread at a time; all else from any thread at
// any time.
class StateStore {
 public:
  virtual ~StateStore() = default;

  // Applies `batch`, all tables or nothing, and returns OK when it is on stable storage. The
  // caller keeps the bytes behind PutReference alive until it returns. Snapshots made after it
  // returns see it; older ones do not. Costs several fsyncs and new files whatever the size, so
  // batches should be large (64 MiB is right, a few KiB is wasteful).
  //
  // Errors: kResourceExhausted (no space left), kUnavailable (read-only file system),
  // kInternal (the device failed), kDataLoss. After an error nothing of the batch is visible, and
  // reads go on. After kResourceExhausted with Stats().health still OK nothing of the batch is
  // there at all: flush it again when there may be room. Every other error is sticky: every
  // further Flush returns it, and whether the batch is there is known after a reopen.
  virtual absl::Status Flush(const StateBatch& batch) = 0;

  // Begins to gather rows for the range [begin, end) of one shard: `begin` is its four bytes, `end`
  // those of the next number. Several may be under way.
  // Errors: the sticky one of the store.
  virtual absl::StatusOr<std::unique_ptr<StateStaging>> Stage(std::string_view begin,
                                                              std::string_view end) = 0;

  // The rows as of the last completed Flush (or of the open). Cheap: a reference count.
  virtual std::shared_ptr<const StateSnapshot> Snapshot() const = 0;

  // Begins to give back the space of rows that completed flushes have deleted, as far as no
  // snapshot shows them any more; the work is done in the background. Without it deleted rows
  // may stay on disk. Call it when the snapshots from before a flush have been released, and now
  // and then: it costs next to nothing if there is nothing to do.
  virtual void Reclaim() = 0;

  virtual StateStats Stats() const = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_STATE_STORE_H_
