#include "storage/rocksdb/staged_files.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "storage/rocksdb/batch_files.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/status.h"

namespace holdfast {

StagedFiles::StagedFiles(const Options* options, std::string_view begin, std::string_view end,
                         std::string path_prefix)
    : options_(options), begin_(begin), end_(end), path_prefix_(std::move(path_prefix)) {}

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

absl::Status StagedFiles::Open(std::string_view begin) {
  const rocksdb::Options& options = (*options_)[static_cast<size_t>(table_)];
  std::vector<std::string>& paths = paths_[static_cast<size_t>(table_)];
  paths.push_back(absl::StrCat(path_prefix_, TableName(table_), "-", paths.size(), ".sst"));
  writer_ = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(options), options);
  share_begin_.assign(begin);
  share_bytes_ = 0;
  return Error(writer_->Open(paths.back()));
}

absl::Status StagedFiles::Close(std::string_view end) {
  rocksdb::Status status = writer_->DeleteRange(SliceOf(share_begin_), SliceOf(end));
  if (status.ok()) status = writer_->Finish();  // Syncs too.
  RETURN_IF_ERROR(Error(status));
  file_bytes_ += writer_->FileSize();
  writer_.reset();
  return absl::OkStatus();
}

absl::Status StagedFiles::GoTo(Table table) {
  if (writer_ == nullptr) RETURN_IF_ERROR(Open(begin_));
  while (table_ != table) {
    RETURN_IF_ERROR(Close(end_));
    table_ = static_cast<Table>(static_cast<uint8_t>(table_) + 1);
    RETURN_IF_ERROR(Open(begin_));
  }
  return absl::OkStatus();
}

absl::Status StagedFiles::Add(Table table, std::string_view key, std::string_view value) {
  RETURN_IF_ERROR(failed_);
  RETURN_IF_ERROR(GoTo(table));
  if (share_bytes_ >= kFileBytesMax) {
    RETURN_IF_ERROR(Close(key));
    RETURN_IF_ERROR(Open(key));
  }
  share_bytes_ += key.size() + value.size();
  row_bytes_ += key.size() + value.size();
  return Error(writer_->Put(SliceOf(key), SliceOf(value)));
}

absl::Status StagedFiles::Finish() {
  RETURN_IF_ERROR(failed_);
  RETURN_IF_ERROR(GoTo(kAllTables.back()));
  return Close(end_);
}

void StagedFiles::Taken() {
  for (std::vector<std::string>& paths : paths_) paths.clear();
}

}  // namespace holdfast
