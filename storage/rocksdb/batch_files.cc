#include "storage/rocksdb/batch_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "rocksdb/sst_file_writer.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/status.h"

namespace holdfast {
namespace {

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

absl::StatusOr<std::vector<BatchFile>> WriteBatchFiles(const rocksdb::Options& options,
                                                       const StateBatch& batch, Table table,
                                                       const StateBatch::Row* extra,
                                                       const FileEdges& there,
                                                       const std::string& path_prefix) {
  const std::vector<uint32_t> sorted = batch.Sorted(table);
  std::vector<BatchRun> runs = CutIntoRuns(batch, table, sorted, there);
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
