// Reclaimer: has the rows that flushes deleted removed from the files.
//
// RocksDB merges deletions with the rows that they delete when it is told to, and drops both
// if no snapshot shows the rows. Told too early it rewrites both for nothing, so what a flush
// deleted waits here until the snapshots from before it are gone.
//
// A snapshot of our own, the *pin*, is older than (nearly) all rows. Without it RocksDB would
// rewrite every file of new rows once, as soon as all snapshots show it, only to
// clear sequence numbers. Rows newer than the pin can be dropped in spite of it. Rows that the pin
// shows can not, so when many of them have been deleted or replaced the pin is taken anew.
//
// Bounds: remembers at most kWaitingMax ranges; of more, the oldest keep their space until
// something else is deleted beside them.
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

  std::vector<Range> TakeReady();
  bool PinShowsRowsOf(const std::vector<Range>& ranges) const;
  bool IsDense(const Range& range) const;

  const std::shared_ptr<Database> database_;
  std::deque<std::weak_ptr<const RocksDbSnapshot>> in_use_;  // What readers got, oldest first.
  std::unique_ptr<RocksDbSnapshot> pin_;
  std::deque<Range> waiting_;  // Rising by visible_from.
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_RECLAIMER_H_
