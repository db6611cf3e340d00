// BatchFiles: turns a StateBatch into sorted table files that RocksDB can take in as they are.
//
// The rows of a table are cut into files so that each lands as deep in RocksDB's tree as it can:
// a run of new rows beyond all older ones goes straight to the bottom and is never rewritten; a
// run of deletions goes right above the rows that it deletes. So a file never mixes a long run of
// deletions with a long run of puts, nor the long runs of two shards.

#ifndef HOLDFAST_STORAGE_ROCKSDB_BATCH_FILES_H_
#define HOLDFAST_STORAGE_ROCKSDB_BATCH_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rocksdb/options.h"
#include "storage/state_batch.h"

namespace holdfast {

// One written file; [first, last] are its keys.
struct BatchFile {
  std::string path;
  std::string first;
  std::string last;
  uint64_t size = 0;
  uint64_t puts = 0;
  uint64_t deletes = 0;
};

// A run of rows that becomes one file: [begin, end) of the sorted positions.
struct BatchRun {
  size_t begin = 0;
  size_t end = 0;
};

// The bytes at the front of a key that name the shard.
inline constexpr size_t kShardPrefixSize = 4;

// Files have no more bytes of rows than this and one row more, so that a drained front frees whole
// files early.
inline constexpr uint64_t kFileBytesMax = 32 << 20;

// Cuts `sorted` (StateBatch::Sorted) of `table` into runs. Pure.
std::vector<BatchRun> CutIntoRuns(const StateBatch& batch, Table table,
                                  const std::vector<uint32_t>& sorted);

// Writes the rows of `table`, and after them the row `extra` unless it is null, into synced files
// named `path_prefix`N.sst. REQUIRES: the key of `extra` is beyond all keys of the batch.
absl::StatusOr<std::vector<BatchFile>> WriteBatchFiles(const rocksdb::Options& options,
                                                       const StateBatch& batch, Table table,
                                                       const StateBatch::Row* extra,
                                                       const std::string& path_prefix);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_BATCH_FILES_H_
