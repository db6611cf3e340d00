#include "storage/rocksdb/staged_files.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "storage/rocksdb/batch_runs.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/prefix_map.h"
#include "storage/rocksdb/status.h"

namespace holdfast {

StagedFiles::StagedFiles(const Options* options, uint32_t logical, uint32_t physical,
                         std::string path_prefix)
    : options_(options),
      logical_(logical),
      physical_(physical),
      path_prefix_(std::move(path_prefix)) {}

StagedFiles::~StagedFiles() {
  writer_.reset();
  for (const std::vector<std::string>& paths : paths_) {
    for (const std::string& path : paths) {
      std::error_code ignored;  // Best effort: the next open removes them too.
      std::filesystem::remove(path, ignored);
    }
  }
}

absl::Status StagedFiles::Error(const rocksdb::Status& status) {
  if (failed_.ok()) {
    failed_ = FromRocksDb(status, absl::StrCat("stage rows of table ", TableName(table_)));
  }
  return failed_;
}

absl::Status StagedFiles::Open(Table table) {
  table_ = table;
  const rocksdb::Options& options = (*options_)[static_cast<size_t>(table)];
  std::vector<std::string>& paths = paths_[static_cast<size_t>(table)];
  paths.push_back(absl::StrCat(path_prefix_, TableName(table), "-", paths.size(), ".sst"));
  writer_ = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(options), options);
  open_bytes_ = 0;
  return Error(writer_->Open(paths.back()));
}

absl::Status StagedFiles::Close() {
  if (writer_ == nullptr) return absl::OkStatus();
  RETURN_IF_ERROR(Error(writer_->Finish()));  // Syncs too.
  file_bytes_ += writer_->FileSize();
  writer_.reset();
  return absl::OkStatus();
}

absl::Status StagedFiles::Add(Table table, std::string_view key, std::string_view value) {
  RETURN_IF_ERROR(failed_);
  if (table != table_ || open_bytes_ >= kRunBytesMax) RETURN_IF_ERROR(Close());
  if (writer_ == nullptr) RETURN_IF_ERROR(Open(table));
  open_bytes_ += key.size() + value.size();
  row_bytes_ += key.size() + value.size();
  key_ = PrefixBytes(physical_);
  key_.append(key.substr(kShardPrefixSize));
  return Error(writer_->Put(key_, SliceOf(value)));
}

absl::Status StagedFiles::Finish() {
  RETURN_IF_ERROR(failed_);
  return Close();
}

void StagedFiles::Taken() {
  for (std::vector<std::string>& paths : paths_) paths.clear();
}

}  // namespace holdfast
