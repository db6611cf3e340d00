// SegmentLogStore: the LogStore in append-only segment files.
//
// Start with storage/FORMAT.md (what is on disk and why) and storage/README.md (the parts).

#ifndef HOLDFAST_STORAGE_LOG_SEGMENT_LOG_STORE_H_
#define HOLDFAST_STORAGE_LOG_SEGMENT_LOG_STORE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/file_system.h"
#include "storage/log/entry_index.h"
#include "storage/log/recovery.h"
#include "storage/log/segment_pool.h"
#include "storage/log/segment_writer.h"
#include "storage/log_store.h"

namespace holdfast {

struct SegmentLogOptions {
  // Size of a segment file, from 4 KiB to 1 GiB. A larger one is made for an entry that needs it.
  uint64_t segment_bytes = 64ull << 20;
  // Files kept for reuse. At least 1: one is always held ready, and its space is what a batch
  // without entries (a compaction, say) may use when the disk is full.
  size_t spare_segments_max = 4;
  // A secret number for the log's records when the log is first made; 0: drawn from the system.
  uint64_t salt = 0;
};

// See LogStore for the contract.
//
// Bounds: memory 12 bytes per entry held, 1 MiB at recovery, 64 KiB for writing. Disk: the
// segments from the oldest entry held on, and the spares; an open adds one segment (and shortens
// the one before it to what is used).
// Errors besides LogStore's: a Write after ENOSPC from a file system that cannot set space aside
// (copy on write) stops the store like any failed write.
class SegmentLogStore final : public LogStore {
 public:
  // Opens the log in `directory` (made if it is not there) and holds its lock. Everything found is
  // verified. Errors: DATA_LOSS (damage below what was synced; names file, offset and what),
  // FAILED_PRECONDITION (another format version), UNAVAILABLE (in use), RESOURCE_EXHAUSTED (no
  // space), others from the disk. No error changes what is stored.
  // `files` must outlive the store.
  static absl::StatusOr<std::unique_ptr<SegmentLogStore>> Open(FileSystem* files,
                                                               const std::string& directory,
                                                               const SegmentLogOptions& options);

  // Syncs nothing: call Sync() or Seal() first.
  ~SegmentLogStore() override = default;

  // What the open found.
  const LogRecovery& recovery() const { return recovery_; }

  absl::Status Write(const LogBatch& batch, SyncMode sync) override;
  absl::Status Sync() override;
  absl::Status Seal() override;
  absl::Status ReadEntries(ShardId shard, LogIndex begin, LogIndex end, uint64_t bytes_max,
                           std::vector<StoredEntry>* entries) const override;
  absl::StatusOr<Term> TermAt(ShardId shard, LogIndex index) const override;
  ShardLog Describe(ShardId shard) const override;
  LogUsage Usage() const override;
  // To whole segments; what is in the one that is being written does not count.
  LogIndex LastBehind(ShardId shard, uint64_t bytes) const override;

 private:
  struct Segment {
    uint64_t sequence = 0;
    std::string path;
    std::shared_ptr<File> file;
    uint64_t file_bytes = 0;
  };
  // Before record `record` of the batch a segment of that size must be begun.
  struct PlannedSwitch {
    size_t record = 0;
    uint64_t capacity_bytes = 0;
  };

  SegmentLogStore(FileSystem* files, std::string directory, const SegmentLogOptions& options,
                  std::unique_ptr<FileLock> lock);

  absl::Status TakeOver(RecoveredLog log);
  absl::StatusOr<std::vector<PlannedSwitch>> PlanAndReserve(const LogBatch& batch);
  absl::Status WriteRecords(const LogBatch& batch, const std::vector<PlannedSwitch>& switches,
                            SyncMode sync);
  absl::StatusOr<EntryPosition> AddRecord(const LogBatch& batch, const LogRecord& record);
  // Makes records [begin, begin + positions_.size()) of the batch visible.
  void Publish(const LogBatch& batch, size_t begin);
  absl::Status BeginSegment(uint64_t capacity_bytes, uint64_t previous_end);
  // Frees segments that nothing needs. REQUIRES: all that was written is synced.
  absl::Status Reclaim();
  absl::Status Stop(const absl::Status& why);

  FileSystem* const files_;
  const std::string directory_;
  const SegmentLogOptions options_;
  const std::unique_ptr<FileLock> lock_;
  uint64_t salt_ = 0;
  LogRecovery recovery_;

  // The writer's.
  absl::Status stopped_;  // not ok: why nothing can be written any more
  SegmentPool pool_;
  std::unique_ptr<SegmentWriter> writer_;
  std::vector<EntryPosition> positions_;  // of records written but not yet published

  // Changed by the writer, read by everyone.
  mutable absl::Mutex mutex_;
  EntryIndex index_ ABSL_GUARDED_BY(mutex_);
  std::deque<Segment> segments_ ABSL_GUARDED_BY(mutex_);  // without gaps; the last is written to
  uint64_t spare_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_SEGMENT_LOG_STORE_H_
