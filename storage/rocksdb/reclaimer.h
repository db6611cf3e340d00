// Reclaimer: has the rows that flushes deleted removed from the files.
//
// RocksDB merges deletions with the rows that they delete when it is told to, and drops both
// if no snapshot shows the rows. Told too early it rewrites both for nothing, so what a flush
// deleted waits here until the snapshots from before it are gone.
//
// A snapshot of our own, the *pin*, is older than (nearly) all rows. Without it RocksDB would
// rewrite every file of new rows once, as soon as all snapshots show it, only to
// clear sequence numbers. Rows newer than the pin can be dropped in spite of it; rows that it shows
// can not. So it is taken anew when the files in which it keeps deleted rows are large beside
// the files that are then rewritten.
//
// Bounds: remembers at most kWaitingMax ranges; of more, the oldest keep their space until
// something else is deleted beside them. The pin is taken anew before more than kPinnedMax of them
// wait for that.
// Thread-safety: thread-compatible; of the flushing thread.

#ifndef HOLDFAST_STORAGE_ROCKSDB_RECLAIMER_H_
#define HOLDFAST_STORAGE_ROCKSDB_RECLAIMER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "storage/rocksdb/batch_files.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/rocksdb_snapshot.h"

namespace holdfast {

// The files of a flush, by table.
using TableFiles = std::array<std::vector<BatchFile>, kTableCount>;

class Reclaimer {
 public:
  static constexpr size_t kWaitingMax = 16384;
  static constexpr size_t kPinnedMax = 1024;

  // `current` is what readers have now; no older snapshot exists.
  Reclaimer(std::shared_ptr<Database> database, std::shared_ptr<const RocksDbSnapshot> current);

  // `files` have been added, and `current`, which shows them, is what readers get from now on.
  void Flushed(const TableFiles& files, const std::shared_ptr<const RocksDbSnapshot>& current);

  // The sequence number of the oldest snapshot that a reader has or can get.
  uint64_t OldestInUse();

  // Starts the removal of what nobody can see any more; RocksDB's threads do the work. Cheap if
  // there is nothing.
  void Run();

 private:
  // A range in which many rows were deleted or replaced.
  struct Range {
    Table table = Table::kMeta;
    std::string first;
    std::string last;  // Included.
    uint64_t puts = 0;
    uint64_t deletes = 0;
    uint64_t visible_from = 0;  // The first sequence number that shows it.
  };

  // A table file.
  struct File {
    std::string first;
    std::string last;  // Included.
    uint64_t bytes = 0;
    bool pinned = false;  // The pin shows rows of it.
  };
  using Files = std::array<std::vector<File>, kTableCount>;

  void TakeReady(const Files& files);
  Files FilesNow() const;
  bool PinIsInTheWay(const Files& files) const;
  bool IsDense(const Range& range) const;
  void Compact(const Range& range) const;

  const std::shared_ptr<Database> database_;
  std::deque<std::weak_ptr<const RocksDbSnapshot>> in_use_;  // What readers got, oldest first.
  std::unique_ptr<RocksDbSnapshot> pin_;
  std::deque<Range> waiting_;  // For snapshots to go; rising by visible_from.
  std::vector<Range> pinned_;  // For another pin.
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_RECLAIMER_H_
