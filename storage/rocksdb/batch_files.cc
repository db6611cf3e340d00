#include "storage/rocksdb/batch_files.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "rocksdb/sst_file_writer.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/status.h"

namespace holdfast {
namespace {

// A run shorter than both of these is not worth a file of its own.
constexpr uint64_t kLongRunBytes = 256 << 10;
constexpr size_t kLongRunRows = 4096;

struct Run {
  BatchRun rows;
  uint64_t bytes = 0;
  bool is_delete = false;
  std::string_view shard;

  bool IsLong() const { return bytes >= kLongRunBytes || rows.end - rows.begin >= kLongRunRows; }
};

class FileWriter {
 public:
  FileWriter(const rocksdb::Options& options, std::string path)
      : writer_(rocksdb::EnvOptions(options), options) {
    file_.path = std::move(path);
  }

  rocksdb::Status Open() { return writer_.Open(file_.path); }
  rocksdb::Status Add(const StateBatch::Row& row) {
    if (file_.puts + file_.deletes == 0) file_.first = row.key;
    last_ = row.key;
    ++(row.is_delete ? file_.deletes : file_.puts);
    if (row.is_delete) return writer_.Delete(SliceOf(row.key));
    return writer_.Put(SliceOf(row.key), SliceOf(row.value));
  }
  // Syncs too.
  rocksdb::Status Finish() {
    file_.last = last_;
    return writer_.Finish();
  }
  BatchFile Take() {
    file_.size = writer_.FileSize();
    return std::move(file_);
  }

 private:
  rocksdb::SstFileWriter writer_;
  BatchFile file_;
  std::string_view last_;
};

}  // namespace

std::vector<BatchRun> CutIntoRuns(const StateBatch& batch, Table table,
                                  const std::vector<uint32_t>& sorted) {
  std::vector<BatchRun> result;
  BatchRun current;  // What the next file will hold: one long run, or short ones together.
  Run tail;          // The run being read.
  bool has_long = false;
  const auto close_current = [&](size_t end) {
    if (end > current.begin) result.push_back({current.begin, end});
    current = {end, end};
    has_long = false;
  };
  // `tail` is complete: keep it with what came before, or begin a file with it.
  const auto close_tail = [&] {
    if (tail.IsLong()) {
      if (has_long || tail.rows.begin > current.begin) close_current(tail.rows.begin);
      has_long = true;
    } else if (has_long) {
      close_current(tail.rows.begin);
    }
    current.end = tail.rows.end;
  };
  for (size_t i = 0; i < sorted.size(); ++i) {
    const StateBatch::Row row = batch.At(table, sorted[i]);
    const std::string_view shard = row.key.substr(0, kShardPrefixSize);
    const bool same = i > 0 && row.is_delete == tail.is_delete && shard == tail.shard &&
                      tail.bytes < kFileBytesMax;
    if (!same) {
      if (i > 0) close_tail();
      tail = Run{.rows = {i, i}, .bytes = 0, .is_delete = row.is_delete, .shard = shard};
    }
    tail.rows.end = i + 1;
    tail.bytes += row.key.size() + row.value.size();
  }
  if (!sorted.empty()) close_tail();
  close_current(sorted.size());
  return result;
}

absl::StatusOr<std::vector<BatchFile>> WriteBatchFiles(const rocksdb::Options& options,
                                                       const StateBatch& batch, Table table,
                                                       const StateBatch::Row* extra,
                                                       const std::string& path_prefix) {
  const std::vector<uint32_t> sorted = batch.Sorted(table);
  std::vector<BatchRun> runs = CutIntoRuns(batch, table, sorted);
  if (extra != nullptr) {
    if (runs.empty()) runs.push_back({0, 0});
    CHECK(sorted.empty() || batch.At(table, sorted.back()).key < extra->key);
  }
  std::vector<BatchFile> files;
  for (const BatchRun& run : runs) {
    FileWriter writer(options, absl::StrCat(path_prefix, files.size(), ".sst"));
    rocksdb::Status status = writer.Open();
    for (size_t i = run.begin; status.ok() && i < run.end; ++i) {
      status = writer.Add(batch.At(table, sorted[i]));
    }
    if (status.ok() && run.end == sorted.size() && extra != nullptr) status = writer.Add(*extra);
    if (status.ok()) status = writer.Finish();
    if (!status.ok()) {
      return FromRocksDb(status, absl::StrCat("write rows of table ", TableName(table)));
    }
    files.push_back(writer.Take());
  }
  return files;
}

}  // namespace holdfast
