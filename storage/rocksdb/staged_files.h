// StagedFiles: writes the rows of a StateStaging into table files that replace a range of keys when
// RocksDB takes them in.
//
// The files of a table share the range out among them, without a gap, and each begins with one
// range deletion over its share:
//
//   range    [begin ............................................. end)
//   files    [deletion 1 + rows )[deletion 2 + rows )[deletion 3 + rows )
//
// RocksDB gives a file one number for all that is in it. A deletion hides only what has a smaller
// number: every older row of its share, and none of the rows beside it. So old rows vanish without
// being read or named, and since no two files overlap each lands as deep in the tree as the old
// rows let it (at the bottom, if there are none).
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
  StagedFiles(const Options* options, std::string_view begin, std::string_view end,
              std::string path_prefix);
  // Removes the files that RocksDB has not taken.
  ~StagedFiles();
  StagedFiles(const StagedFiles&) = delete;
  StagedFiles& operator=(const StagedFiles&) = delete;

  // As in StateStaging, whose order the caller has checked.
  absl::Status Add(Table table, std::string_view key, std::string_view value);
  // Closes and syncs the last file. Tables without rows get a file too: their old rows must go.
  absl::Status Finish();

  // After Finish.
  const std::vector<std::string>& paths(Table table) const {
    return paths_[static_cast<size_t>(table)];
  }
  const std::string& begin() const { return begin_; }
  const std::string& end() const { return end_; }
  uint64_t row_bytes() const { return row_bytes_; }    // Keys and values.
  uint64_t file_bytes() const { return file_bytes_; }  // Sizes of the files.

  // RocksDB has the files now.
  void Taken();

 private:
  absl::Status Open(std::string_view begin);
  absl::Status Close(std::string_view end);
  // Closes the files of the tables before `table` and opens the first of `table`.
  absl::Status GoTo(Table table);
  absl::Status Error(const rocksdb::Status& status);

  const Options* const options_;
  const std::string begin_;
  const std::string end_;
  const std::string path_prefix_;
  absl::Status failed_;  // The sticky error.

  Table table_ = Table::kMeta;
  std::unique_ptr<rocksdb::SstFileWriter> writer_;  // Null: no file of `table_` is open.
  std::string share_begin_;                         // Of the open file.
  uint64_t share_bytes_ = 0;

  std::array<std::vector<std::string>, kTableCount> paths_;
  uint64_t row_bytes_ = 0;
  uint64_t file_bytes_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_STAGED_FILES_H_
