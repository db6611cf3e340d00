// StagedFiles: the rows of a StateStaging as table files, under a physical prefix of their own
// (prefix_map.h): nothing that RocksDB has overlaps them, so they go straight to the bottom of its
// tree when it takes them in.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_STORAGE_ROCKSDB_STAGED_FILES_H_
#define HOLDFAST_STORAGE_ROCKSDB_STAGED_FILES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rocksdb/options.h"
#include "rocksdb/sst_file_writer.h"
#include "storage/state_batch.h"

namespace holdfast {

class StagedFiles {
 public:
  using Options = std::array<rocksdb::Options, kTableCount>;  // By table.

  // Files are named `path_prefix`TABLE-N.sst. `options` outlives this.
  StagedFiles(const Options* options, uint32_t logical, uint32_t physical, std::string path_prefix);
  // Removes the files that RocksDB has not taken.
  ~StagedFiles();
  StagedFiles(const StagedFiles&) = delete;
  StagedFiles& operator=(const StagedFiles&) = delete;

  // As in StateStaging, whose order the caller has checked.
  absl::Status Add(Table table, std::string_view key, std::string_view value);
  // Closes and syncs the last file.
  absl::Status Finish();

  uint32_t logical() const { return logical_; }
  uint32_t physical() const { return physical_; }
  // After Finish.
  const std::vector<std::string>& paths(Table table) const {
    return paths_[static_cast<size_t>(table)];
  }
  uint64_t row_bytes() const { return row_bytes_; }    // Keys and values.
  uint64_t file_bytes() const { return file_bytes_; }  // Sizes of the files.

  // RocksDB has the files now.
  void Taken();

 private:
  absl::Status Open(Table table);
  absl::Status Close();
  absl::Status Error(const rocksdb::Status& status);

  const Options* const options_;
  const uint32_t logical_;
  const uint32_t physical_;
  const std::string path_prefix_;
  absl::Status failed_;  // The sticky error.

  Table table_ = Table::kMeta;
  std::unique_ptr<rocksdb::SstFileWriter> writer_;  // Of `table_`; null: no file is open.
  uint64_t open_bytes_ = 0;                         // Of rows in the open file.
  std::string key_;                                 // As stored.

  std::array<std::vector<std::string>, kTableCount> paths_;
  uint64_t row_bytes_ = 0;
  uint64_t file_bytes_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_STAGED_FILES_H_
