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
#include "storage/rocksdb/batch_files.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/flush_mark.h"
#include "storage/rocksdb/reclaimer.h"
#include "storage/rocksdb/rocksdb_snapshot.h"
#include "storage/rocksdb/status.h"
#include "storage/rocksdb/table_options.h"

namespace holdfast {
namespace {

// The key of the store itself, in Table::kMeta; beyond the caller's, which begin with a shard.
constexpr std::string_view kFlushNumberKey =
    "\xff\xff\xff\xff"
    "flush";
class RocksDbStateStore final : public StateStore {
 public:
  RocksDbStateStore(const RocksDbStateStoreOptions& options, std::shared_ptr<Database> database,
                    std::unique_ptr<FlushMark> mark, uint64_t flush_number)
      : incoming_(options.directory + "/incoming"),
        database_(std::move(database)),
        mark_(std::move(mark)),
        flush_number_(flush_number),
        published_(std::make_shared<RocksDbSnapshot>(database_)),
        reclaimer_(database_, published_) {
    for (const Table table : kAllTables) {
      write_options_[static_cast<size_t>(table)] = rocksdb::Options(
          database_->db()->GetDBOptions(), database_->db()->GetOptions(database_->family(table)));
    }
  }

  absl::Status Flush(const StateBatch& batch) override;
  std::shared_ptr<const StateSnapshot> Snapshot() const override {
    absl::MutexLock lock(&mutex_);
    return published_;
  }
  void Reclaim() override {
    if (Health().ok()) reclaimer_.Run();
  }
  StateStats Stats() const override;

 private:
  absl::Status Health() const;
  absl::StatusOr<TableFiles> WriteFiles(const StateBatch& batch) const;
  absl::Status Apply(const StateBatch& batch, const TableFiles& files);
  absl::Status Ingest(const TableFiles& files);
  void Publish(const StateBatch& batch, const TableFiles& files);

  const std::string incoming_;  // Where files are written before RocksDB takes them over.
  const std::shared_ptr<Database> database_;
  const std::unique_ptr<FlushMark> mark_;  // Of the flushing thread.
  uint64_t flush_number_;                  // Of the flushing thread.
  std::array<rocksdb::Options, kTableCount> write_options_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const RocksDbSnapshot> published_ ABSL_GUARDED_BY(mutex_);
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);
  uint64_t flushes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t flushed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t file_bytes_ ABSL_GUARDED_BY(mutex_) = 0;

  Reclaimer reclaimer_;  // Of the flushing thread.
};

absl::Status RocksDbStateStore::Health() const {
  absl::MutexLock lock(&mutex_);
  return failed_.ok() ? database_->background().health() : failed_;
}

absl::Status RocksDbStateStore::Flush(const StateBatch& batch) {
  RETURN_IF_ERROR(Health());
  if (batch.empty()) return absl::OkStatus();
  absl::StatusOr<TableFiles> files = WriteFiles(batch);
  // Nothing but files of our own has been touched so far: with more room the same may succeed.
  const bool may_succeed_later = absl::IsResourceExhausted(files.status());
  absl::Status status = files.ok() ? Apply(batch, *files) : files.status();
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

absl::Status RocksDbStateStore::Apply(const StateBatch& batch, const TableFiles& files) {
  RETURN_IF_ERROR(Ingest(files));
  ++flush_number_;
  RETURN_IF_ERROR(mark_->Write(flush_number_));
  Publish(batch, files);
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
                      database_->Edges(table),
                      absl::StrCat(incoming_, "/", flush_number_ + 1, "-", TableName(table), "-")));
  }
  return files;
}

absl::Status RocksDbStateStore::Ingest(const TableFiles& files) {
  std::vector<rocksdb::IngestExternalFileArg> arguments;
  for (const Table table : kAllTables) {
    const std::vector<BatchFile>& table_files = files[static_cast<size_t>(table)];
    if (table_files.empty()) continue;
    rocksdb::IngestExternalFileArg argument;
    argument.column_family = database_->family(table);
    for (const BatchFile& file : table_files) argument.external_files.push_back(file.path);
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
void RocksDbStateStore::Publish(const StateBatch& batch, const TableFiles& files) {
  auto snapshot = std::make_shared<const RocksDbSnapshot>(database_);
  reclaimer_.Flushed(files, snapshot);
  std::shared_ptr<const RocksDbSnapshot> old;  // Released without the lock.
  absl::MutexLock lock(&mutex_);
  old = std::exchange(published_, std::move(snapshot));
  ++flushes_;
  flushed_bytes_ += batch.bytes();
  for (const std::vector<BatchFile>& table_files : files) {
    for (const BatchFile& file : table_files) file_bytes_ += file.size;
  }
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
absl::Status EmptyIncoming(const std::string& path) {
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
  RETURN_IF_ERROR(EmptyIncoming(options.directory + "/incoming"));
  return std::make_unique<RocksDbStateStore>(options, std::move(database), std::move(mark),
                                             flush_number);
}

}  // namespace holdfast
