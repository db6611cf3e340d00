// BatchFiles: turns a StateBatch into sorted table files that RocksDB can take in as they are, one
// for each run of its rows (batch_runs.h).

#ifndef HOLDFAST_STORAGE_ROCKSDB_BATCH_FILES_H_
#define HOLDFAST_STORAGE_ROCKSDB_BATCH_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rocksdb/options.h"
#include "storage/rocksdb/batch_runs.h"
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

// Writes the rows of `table`, and after them the row `extra` unless it is null, into synced files
// named `path_prefix`N.sst. `there`: the files that the table has.
// REQUIRES: the key of `extra` is beyond all keys of the batch.
absl::StatusOr<std::vector<BatchFile>> WriteBatchFiles(const rocksdb::Options& options,
                                                       const StateBatch& batch, Table table,
                                                       const StateBatch::Row* extra,
                                                       const FileEdges& there,
                                                       const std::string& path_prefix);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_BATCH_FILES_H_
