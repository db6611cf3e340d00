#include "storage/rocksdb/rocksdb_state_store.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/status_macros.h"
#include "rocksdb/experimental.h"
#include "storage/rocksdb/batch_files.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/flush_mark.h"
#include "storage/rocksdb/rocksdb_snapshot.h"
#include "storage/rocksdb/staged_files.h"
#include "storage/rocksdb/status.h"
#include "storage/rocksdb/table_options.h"
#include "storage/staging_check.h"

namespace holdfast {
namespace {

// The key of the store itself, in Table::kMeta; beyond the caller's, which begin with a shard.
constexpr std::string_view kFlushNumberKey =
    "\xff\xff\xff\xff"
    "flush";
// Fewer deletions than this in a file are left to RocksDB's ordinary compaction.
constexpr uint64_t kDeletesWorthCompacting = 4096;
// A range is compacted at once if at least one in this many of its rows has been deleted.
constexpr uint64_t kRowsPerDelete = 4;
// A range with more bytes than this for each deletion is not looked at file by file.
constexpr uint64_t kBytesPerDeleteMax = 16 << 10;

using TableFiles = std::array<std::vector<BatchFile>, kTableCount>;

class RocksDbStateStore final : public StateStore {
 public:
  RocksDbStateStore(const RocksDbStateStoreOptions& options, std::shared_ptr<Database> database,
                    std::unique_ptr<FlushMark> mark, uint64_t flush_number)
      : incoming_(options.directory + "/incoming"),
        staged_(options.directory + "/staged"),
        database_(std::move(database)),
        mark_(std::move(mark)),
        flush_number_(flush_number),
        published_(std::make_shared<RocksDbSnapshot>(database_)) {
    for (const Table table : kAllTables) {
      write_options_[static_cast<size_t>(table)] = rocksdb::Options(
          database_->db()->GetDBOptions(), database_->db()->GetOptions(database_->family(table)));
    }
  }

  absl::Status Flush(const StateBatch& batch) override;
  absl::StatusOr<std::unique_ptr<StateStaging>> Stage(std::string_view begin,
                                                      std::string_view end) override;
  // Flush, but first what is in the range of `staged` (if it is not null) gives way to its rows.
  absl::Status FlushOnto(StagedFiles* staged, const StateBatch& batch);
  std::shared_ptr<const StateSnapshot> Snapshot() const override {
    absl::MutexLock lock(&mutex_);
    return published_;
  }
  StateStats Stats() const override;

 private:
  absl::Status Health() const;
  absl::StatusOr<TableFiles> WriteFiles(const StateBatch& batch) const;
  absl::Status Apply(const StateBatch& batch, const TableFiles& files, StagedFiles* staged);
  absl::Status Ingest(const TableFiles& files, const StagedFiles* staged);
  void Publish(uint64_t row_bytes, uint64_t file_bytes);
  bool IsDense(Table table, const BatchFile& file) const;
  void ReclaimDeleted(const TableFiles& files) const;
  void ReclaimReplaced(const StagedFiles& staged) const;

  const std::string incoming_;         // Where files are written before RocksDB takes them over.
  const std::string staged_;           // The same for stagings.
  std::atomic<uint64_t> stagings_{0};  // Begun so far.
  const std::shared_ptr<Database> database_;
  const std::unique_ptr<FlushMark> mark_;  // Of the flushing thread.
  uint64_t flush_number_;                  // Of the flushing thread.
  StagedFiles::Options write_options_;     // Constant from the constructor on.

  mutable absl::Mutex mutex_;
  std::shared_ptr<const StateSnapshot> published_ ABSL_GUARDED_BY(mutex_);
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);
  uint64_t flushes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t flushed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t file_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

absl::Status RocksDbStateStore::Health() const {
  absl::MutexLock lock(&mutex_);
  return failed_.ok() ? database_->background().health() : failed_;
}

absl::Status RocksDbStateStore::Flush(const StateBatch& batch) {
  return batch.empty() ? Health() : FlushOnto(nullptr, batch);
}

absl::Status RocksDbStateStore::FlushOnto(StagedFiles* staged, const StateBatch& batch) {
  RETURN_IF_ERROR(Health());
  absl::StatusOr<TableFiles> files = WriteFiles(batch);
  // Nothing but files of our own has been touched so far: with more room the same may succeed.
  const bool may_succeed_later = absl::IsResourceExhausted(files.status());
  absl::Status status = files.ok() ? Apply(batch, *files, staged) : files.status();
  if (!status.ok()) {
    std::error_code ignored;  // Best effort: the next open removes them too.
    for (const auto& entry : std::filesystem::directory_iterator(incoming_, ignored)) {
      std::filesystem::remove(entry.path(), ignored);
    }
    if (may_succeed_later) return status;
    absl::MutexLock lock(&mutex_);
    failed_ = status;
  }
  return status;
}

absl::Status RocksDbStateStore::Apply(const StateBatch& batch, const TableFiles& files,
                                      StagedFiles* staged) {
  RETURN_IF_ERROR(Ingest(files, staged));
  ++flush_number_;
  RETURN_IF_ERROR(mark_->Write(flush_number_));
  uint64_t row_bytes = batch.bytes();
  uint64_t file_bytes = 0;
  for (const std::vector<BatchFile>& table_files : files) {
    for (const BatchFile& file : table_files) file_bytes += file.size;
  }
  if (staged != nullptr) {
    staged->Taken();
    row_bytes += staged->row_bytes();
    file_bytes += staged->file_bytes();
  }
  Publish(row_bytes, file_bytes);
  ReclaimDeleted(files);
  if (staged != nullptr) ReclaimReplaced(*staged);
  return absl::OkStatus();
}

absl::StatusOr<TableFiles> RocksDbStateStore::WriteFiles(const StateBatch& batch) const {
  std::string number;
  PutFixed64(&number, flush_number_ + 1);
  const StateBatch::Row flush_row{.key = kFlushNumberKey, .value = number, .is_delete = false};
  TableFiles files;
  for (const Table table : kAllTables) {
    const auto i = static_cast<size_t>(table);
    ASSIGN_OR_RETURN(
        files[i], WriteBatchFiles(
                      write_options_[i], batch, table, table == Table::kMeta ? &flush_row : nullptr,
                      absl::StrCat(incoming_, "/", flush_number_ + 1, "-", TableName(table), "-")));
  }
  return files;
}

absl::Status RocksDbStateStore::Ingest(const TableFiles& files, const StagedFiles* staged) {
  std::vector<rocksdb::IngestExternalFileArg> arguments;
  for (const Table table : kAllTables) {
    rocksdb::IngestExternalFileArg argument;
    // Of files that overlap the later one counts: the batch is on top of what was staged.
    if (staged != nullptr) argument.external_files = staged->paths(table);
    for (const BatchFile& file : files[static_cast<size_t>(table)]) {
      argument.external_files.push_back(file.path);
    }
    if (argument.external_files.empty()) continue;
    argument.column_family = database_->family(table);
    argument.options.move_files = true;
    argument.options.failed_move_fall_back_to_copy = true;
    argument.options.snapshot_consistency = true;
    argument.options.write_global_seqno = false;
    arguments.push_back(std::move(argument));
  }
  return database_->Error(database_->db()->IngestExternalFiles(arguments),
                          "add a flush to the state store");
}

// Readers see the flush from here on. Until now `published_` pinned the state before it, which
// is also why RocksDB numbered the new rows as newer than every snapshot.
void RocksDbStateStore::Publish(uint64_t row_bytes, uint64_t file_bytes) {
  auto snapshot = std::make_shared<const RocksDbSnapshot>(database_);
  std::shared_ptr<const StateSnapshot> old;  // Released without the lock.
  absl::MutexLock lock(&mutex_);
  old = std::exchange(published_, std::move(snapshot));
  ++flushes_;
  flushed_bytes_ += row_bytes;
  file_bytes_ += file_bytes;
}

// True if so many of the rows in the range of `file` have been deleted that it pays to rewrite
// the rest now: a queue drained from the front then leaves nothing behind.
bool RocksDbStateStore::IsDense(Table table, const BatchFile& file) const {
  const rocksdb::Slice first(file.first);
  std::string after_last = file.last;
  after_last.push_back('\0');
  const rocksdb::Range range(first, after_last);
  rocksdb::SizeApproximationOptions size_options;
  size_options.include_files = true;
  size_options.files_size_error_margin = 0.1;
  uint64_t size = 0;
  if (!database_->db()
           ->GetApproximateSizes(size_options, database_->family(table), &range, 1, &size)
           .ok()) {
    return false;
  }
  if (size > file.deletes * kBytesPerDeleteMax) return false;  // Do not look at every file.
  rocksdb::TablePropertiesCollection properties;
  if (!database_->db()
           ->GetPropertiesOfTablesInRange(database_->family(table), &range, 1, &properties)
           .ok()) {
    return false;
  }
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t deletes = 0;
  for (const auto& [path, table_properties] : properties) {
    rows += table_properties->num_entries;
    deletes += table_properties->num_deletions;
    bytes += table_properties->data_size;
  }
  // Files reach beyond the range: count only the share of their rows that lies in it.
  const uint64_t rows_in_range = bytes <= size ? rows : rows * size / bytes;
  return std::max(file.deletes, std::min(deletes, rows_in_range)) * kRowsPerDelete >= rows_in_range;
}

void RocksDbStateStore::ReclaimDeleted(const TableFiles& files) const {
  for (const Table table : kAllTables) {
    for (const BatchFile& file : files[static_cast<size_t>(table)]) {
      if (file.deletes < kDeletesWorthCompacting || file.deletes < file.puts) continue;
      if (!IsDense(table, file)) continue;
      const rocksdb::Slice first(file.first);
      const rocksdb::Slice last(file.last);
      // Only a hint: if it fails, ordinary compaction reclaims the rows later.
      rocksdb::experimental::SuggestCompactRange(database_->db(), database_->family(table), &first,
                                                 &last)
          .PermitUncheckedError();
    }
  }
}

// The rows that were replaced lie below the files that replaced them, and go when those are merged
// down. Where there were none the files are at the bottom already and nothing happens.
void RocksDbStateStore::ReclaimReplaced(const StagedFiles& staged) const {
  const rocksdb::Slice begin(staged.begin());
  const rocksdb::Slice end(staged.end());
  for (const Table table : kAllTables) {
    // Only a hint, as above.
    rocksdb::experimental::SuggestCompactRange(database_->db(), database_->family(table), &begin,
                                               &end)
        .PermitUncheckedError();
  }
}

class RocksDbStaging final : public StateStaging {
 public:
  RocksDbStaging(RocksDbStateStore* store, const StagedFiles::Options* options,
                 std::string_view begin, std::string_view end, std::string path_prefix)
      : store_(store), check_(begin, end), files_(options, begin, end, std::move(path_prefix)) {}

  absl::Status Add(Table table, std::string_view key, std::string_view value) override {
    check_.OnAdd(table, key);
    return files_.Add(table, key, value);
  }
  absl::Status Finish() override {
    check_.OnFinish();
    return files_.Finish();
  }
  absl::Status Install(const StateBatch& batch) override {
    check_.OnInstall();
    RETURN_IF_ERROR(store_->FlushOnto(&files_, batch));
    check_.OnInstalled();
    return absl::OkStatus();
  }

 private:
  RocksDbStateStore* const store_;
  StagingCheck check_;
  StagedFiles files_;
};

absl::StatusOr<std::unique_ptr<StateStaging>> RocksDbStateStore::Stage(std::string_view begin,
                                                                       std::string_view end) {
  RETURN_IF_ERROR(Health());
  return std::make_unique<RocksDbStaging>(this, &write_options_, begin, end,
                                          absl::StrCat(staged_, "/", ++stagings_, "-"));
}

uint64_t Property(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, const std::string& name) {
  uint64_t value = 0;
  return db->GetIntProperty(family, name, &value) ? value : 0;
}

uint64_t FilesAtLevel(rocksdb::DB* db, rocksdb::ColumnFamilyHandle* family, int level) {
  std::string text;
  if (!db->GetProperty(family, absl::StrCat(rocksdb::DB::Properties::kNumFilesAtLevelPrefix, level),
                       &text)) {
    return 0;
  }
  return std::strtoull(text.c_str(), nullptr, 10);
}

StateStats RocksDbStateStore::Stats() const {
  using Properties = rocksdb::DB::Properties;
  StateStats stats;
  rocksdb::DB* db = database_->db();
  for (const Table table : kAllTables) {
    rocksdb::ColumnFamilyHandle* family = database_->family(table);
    stats.disk_bytes += Property(db, family, Properties::kTotalSstFilesSize);
    stats.memtable_bytes += Property(db, family, Properties::kSizeAllMemTables);
    stats.table_reader_bytes += Property(db, family, Properties::kEstimateTableReadersMem);
    stats.compaction_debt_bytes +=
        Property(db, family, Properties::kEstimatePendingCompactionBytes);
    for (int level = 0; level < db->NumberLevels(family); ++level) {
      const uint64_t files = FilesAtLevel(db, family, level);
      stats.file_count += files;
      if (level == 0) stats.unmerged_files = std::max(stats.unmerged_files, files);
    }
  }
  stats.block_cache_bytes = database_->cache().GetUsage();
  stats.health = Health();
  absl::MutexLock lock(&mutex_);
  stats.flushes = flushes_;
  stats.flushed_bytes = flushed_bytes_;
  stats.written_bytes = file_bytes_ + database_->background().compacted_bytes();
  return stats;
}

// Files that a crash left between being written and being added.
absl::Status EmptyDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) std::filesystem::create_directory(path, error);
  if (error) return FromErrno(error.value(), "empty a directory of the state store", path);
  return absl::OkStatus();
}

// The number of the last flush that the tables have. Refuses tables older than `least`.
absl::StatusOr<uint64_t> ReadFlushNumber(const RocksDbStateStoreOptions& options, uint64_t least) {
  const std::string manifest = Database::ManifestPath(options.directory);
  ASSIGN_OR_RETURN(const std::optional<std::string> value,
                   Database::ReadMetaUnopened(options, kFlushNumberKey));
  uint64_t number = 0;
  if (value.has_value()) {
    ByteReader reader(*value);
    if (!reader.Fixed64(&number) || !reader.Done()) {
      return absl::DataLossError(
          absl::StrCat("the flush number of the state store is malformed in ", options.directory));
    }
  }
  if (number < least) {
    return absl::DataLossError(
        absl::StrCat("the state store has lost flushes: its tables are as of flush ", number,
                     ", but ", options.directory, "/FLUSHED says that flush ", least,
                     " was complete: the end of ", manifest, " is damaged"));
  }
  return number;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateStore>> OpenRocksDbStateStore(
    const RocksDbStateStoreOptions& options) {
  std::error_code error;
  std::filesystem::create_directory(options.directory, error);
  if (error) {
    return FromErrno(error.value(), "create the directory of the state store", options.directory);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<FlushMark> mark, FlushMark::Open(options.directory));
  // Before the first flush there is nothing to lose, and a crash may have left half a database.
  const bool is_new = mark->flush_number() == 0;
  uint64_t flush_number = 0;
  if (!is_new) {
    ASSIGN_OR_RETURN(flush_number, ReadFlushNumber(options, mark->flush_number()));
  }
  ASSIGN_OR_RETURN(
      std::shared_ptr<Database> database,
      Database::Open(options, is_new ? Database::Missing::kCreate : Database::Missing::kRefuse));
  if (is_new) {
    // A flush may have been completed but for its mark.
    ASSIGN_OR_RETURN(flush_number, ReadFlushNumber(options, 0));
  }
  RETURN_IF_ERROR(EmptyDirectory(options.directory + "/incoming"));
  RETURN_IF_ERROR(EmptyDirectory(options.directory + "/staged"));
  return std::make_unique<RocksDbStateStore>(options, std::move(database), std::move(mark),
                                             flush_number);
}

}  // namespace holdfast
