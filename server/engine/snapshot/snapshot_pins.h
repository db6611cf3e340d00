// Pinned states: a shard's durable rows as of one flush, kept as they are while they are read,
// chunk by chunk, for another replica.
//
// A pin keeps deleted rows on disk, so there are few of them and each ends by itself: when nothing
// has been read from it for a while, or when it is too old.

#ifndef HOLDFAST_SERVER_ENGINE_SNAPSHOT_SNAPSHOT_PINS_H_
#define HOLDFAST_SERVER_ENGINE_SNAPSHOT_SNAPSHOT_PINS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/prng.h"
#include "base/types.h"
#include "server/engine/snapshot/chunk_codec.h"
#include "storage/state_store.h"

namespace holdfast {

// A chunk, and the cursor of the one after it.
struct ExportedChunk {
  std::string data;
  std::string next;
  bool last = false;
};

// One pinned state. Thread-safety: thread-safe; Read blocks on the disk.
// Bounds: besides the chunk, at most one row in memory (the one that is being sent in pieces).
// Ownership: released before its store.
class PinnedSnapshot {
 public:
  PinnedSnapshot(ShardSnapshotDescriptor descriptor, std::shared_ptr<const StateSnapshot> rows,
                 int64_t now_micros);
  PinnedSnapshot(const PinnedSnapshot&) = delete;
  PinnedSnapshot& operator=(const PinnedSnapshot&) = delete;

  const ShardSnapshotDescriptor& descriptor() const { return descriptor_; }

  // The chunk at `cursor` ("": the first), of at most `bytes_max` bytes (kChunkBytesMin if that is
  // more). The same cursor gives the same rows again, whatever was read since.
  // Errors: FAILED_PRECONDITION: the pin has ended, or the cursor is of another snapshot: begin a
  // new one. DATA_LOSS: the cursor is malformed. Others: of the store.
  absl::StatusOr<ExportedChunk> Read(std::string_view cursor, uint64_t bytes_max) const;

 private:
  friend class SnapshotPins;
  // A row of which a part has been sent.
  struct CutRow {
    Table table = Table::kMeta;
    std::string key;
    std::string value;
  };
  struct Limits {
    int64_t unused_before;
    int64_t made_before;
  };

  // Ends the pin if it is over one of the limits; says whether it has ended.
  bool Expire(const Limits& limits, int64_t now_micros);
  absl::StatusOr<SnapshotCursor> CursorOf(std::string_view cursor) const;
  // Adds rows of a table until the chunk is full. True: all were added.
  absl::StatusOr<bool> AddTable(const StateSnapshot& rows, Table table, ChunkWriter* writer) const;
  absl::StatusOr<bool> AddRestOfRow(const StateSnapshot& rows, ChunkWriter* writer) const;
  bool AddRow(Table table, std::string_view key, std::string_view value, ChunkWriter* writer) const;

  const ShardSnapshotDescriptor descriptor_;
  const int64_t made_micros_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const StateSnapshot> rows_ ABSL_GUARDED_BY(mutex_);  // null: it has ended
  mutable std::shared_ptr<const CutRow> cut_row_ ABSL_GUARDED_BY(mutex_);
  mutable bool used_ ABSL_GUARDED_BY(mutex_) = true;  // since the last Expire()
  int64_t used_micros_ ABSL_GUARDED_BY(mutex_);
};

// Makes pins and ends them. Thread-safety: thread-safe.
class SnapshotPins {
 public:
  struct Options {
    size_t pins_max = 8;
    int64_t unused_micros_max = 60'000'000;  // since the last Read
    int64_t age_micros_max = int64_t{6} * 3600 * 1'000'000;
    uint64_t seed = 0;  // of the ids: another one at each start of each node
  };
  explicit SnapshotPins(const Options& options);

  // Pins the shard's rows as of the last flush. Blocks on the disk for two small reads.
  // Errors: UNAVAILABLE: the shard has no durable state; RESOURCE_EXHAUSTED: there are `pins_max`
  // pins; others of the store.
  absl::StatusOr<std::shared_ptr<const PinnedSnapshot>> Pin(const StateStore& store, ShardId shard,
                                                            int64_t now_micros);

  // Ends the pins whose time is over: the store is rid of them at once, whoever still has one.
  // To be called now and then; `now_micros` is a monotonic clock.
  void Expire(int64_t now_micros);

  // Pins that have neither ended nor been released.
  size_t size() const;

 private:
  const Options options_;
  mutable absl::Mutex mutex_;
  Prng prng_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<PinnedSnapshot>> pins_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_SNAPSHOT_SNAPSHOT_PINS_H_
