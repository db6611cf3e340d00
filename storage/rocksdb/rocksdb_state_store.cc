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
#include "storage/rocksdb/dead_rows.h"
#include "storage/rocksdb/flush_mark.h"
#include "storage/rocksdb/prefix_map.h"
#include "storage/rocksdb/reclaimer.h"
#include "storage/rocksdb/rocksdb_snapshot.h"
#include "storage/rocksdb/staged_files.h"
#include "storage/rocksdb/status.h"
#include "storage/rocksdb/table_options.h"
#include "storage/staging_check.h"

namespace holdfast {
namespace {

// The keys of the store itself, in Table::kMeta; beyond all others.
constexpr std::string_view kFlushNumberKey =
    "\xff\xff\xff\xff"
    "flush";
constexpr std::string_view kAddressesKey =
    "\xff\xff\xff\xff"
    "addresses";

// The rows of `batch` under the keys that they are stored by, and the map itself. Large values stay
// where they are.
StateBatch Addressed(const StateBatch& batch, const PrefixMap& map) {
  StateBatch stored;
  std::string buffer;
  for (const Table table : kAllTables) {
    for (const uint32_t position : batch.Sorted(table)) {
      const StateBatch::Row row = batch.At(table, position);
      const std::string_view key = map.PhysicalKey(row.key, &buffer);
      if (row.is_delete) {
        stored.Delete(table, key);
      } else {
        stored.PutReference(table, key, row.value);
      }
    }
  }
  stored.Put(Table::kMeta, kAddressesKey, map.Encode());
  return stored;
}

class RocksDbStateStore final : public StateStore {
 public:
  RocksDbStateStore(const RocksDbStateStoreOptions& options, std::shared_ptr<Database> database,
                    std::unique_ptr<FlushMark> mark, uint64_t flush_number, PrefixMap map)
      : incoming_(options.directory + "/incoming"),
        staged_(options.directory + "/staged"),
        database_(std::move(database)),
        mark_(std::move(mark)),
        flush_number_(flush_number),
        map_(std::make_shared<const PrefixMap>(std::move(map))),
        next_physical_(map_->next()),
        published_(std::make_shared<RocksDbSnapshot>(database_, map_)),
        reclaimer_(database_, published_),
        dead_rows_(database_, map_->dead()) {
    for (const Table table : kAllTables) {
      write_options_[static_cast<size_t>(table)] = rocksdb::Options(
          database_->db()->GetDBOptions(), database_->db()->GetOptions(database_->family(table)));
    }
  }

  absl::Status Flush(const StateBatch& batch) override;
  absl::StatusOr<std::unique_ptr<StateStaging>> Stage(std::string_view begin,
                                                      std::string_view end) override;
  // Flush, but first the shard of `staged`, if it is not null, has the staged rows for all it had.
  absl::Status FlushOnto(StagedFiles* staged, const StateBatch& batch);
  std::shared_ptr<const StateSnapshot> Snapshot() const override {
    absl::MutexLock lock(&mutex_);
    return published_;
  }
  void Reclaim() override;
  StateStats Stats() const override;

 private:
  absl::Status Health() const;
  absl::StatusOr<TableFiles> WriteFiles(const StateBatch& batch) const;
  absl::Status WriteAndApply(const StateBatch& stored, StagedFiles* staged, PrefixMap map);
  absl::Status Apply(const TableFiles& files, StagedFiles* staged, PrefixMap map);
  absl::Status Ingest(const TableFiles& files, const StagedFiles* staged);
  void Publish(const TableFiles& files);
  void Count(const StateBatch& batch, const StagedFiles* staged);

  const std::string incoming_;  // Where files are written before RocksDB takes them over.
  const std::string staged_;    // The same for stagings.
  const std::shared_ptr<Database> database_;
  const std::unique_ptr<FlushMark> mark_;  // Of the flushing thread.
  uint64_t flush_number_;                  // Of the flushing thread.
  std::shared_ptr<const PrefixMap> map_;   // Of the flushing thread; what is published.
  std::atomic<uint32_t> next_physical_;    // For the next staging.
  StagedFiles::Options write_options_;     // Constant from the constructor on.

  mutable absl::Mutex mutex_;
  std::shared_ptr<const RocksDbSnapshot> published_ ABSL_GUARDED_BY(mutex_);
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);
  uint64_t flushes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t flushed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t file_bytes_ ABSL_GUARDED_BY(mutex_) = 0;

  Reclaimer reclaimer_;  // Of the flushing thread.
  DeadRows dead_rows_;   // Of the flushing thread.
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
  PrefixMap map = *map_;
  if (staged != nullptr) map.Replace(staged->logical(), staged->physical());
  absl::Status status;
  if (map.is_identity()) {
    status = WriteAndApply(batch, staged, std::move(map));
  } else {
    dead_rows_.ForgetGone(&map);
    StateBatch stored = Addressed(batch, map);
    dead_rows_.AddDeletes(&stored);
    status = WriteAndApply(stored, staged, std::move(map));
  }
  if (status.ok()) Count(batch, staged);
  return status;
}

absl::Status RocksDbStateStore::WriteAndApply(const StateBatch& stored, StagedFiles* staged,
                                              PrefixMap map) {
  absl::StatusOr<TableFiles> files = WriteFiles(stored);
  // Nothing but files of our own has been touched so far: with more room the same may succeed.
  const bool may_succeed_later = absl::IsResourceExhausted(files.status());
  absl::Status status = files.ok() ? Apply(*files, staged, std::move(map)) : files.status();
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

absl::Status RocksDbStateStore::Apply(const TableFiles& files, StagedFiles* staged, PrefixMap map) {
  RETURN_IF_ERROR(Ingest(files, staged));
  ++flush_number_;
  RETURN_IF_ERROR(mark_->Write(flush_number_));
  map_ = std::make_shared<const PrefixMap>(std::move(map));
  Publish(files);
  if (staged != nullptr) staged->Taken();
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
void RocksDbStateStore::Publish(const TableFiles& files) {
  auto snapshot = std::make_shared<const RocksDbSnapshot>(database_, map_);
  reclaimer_.Flushed(files, snapshot);
  dead_rows_.Published(map_->dead(), snapshot->sequence());
  std::shared_ptr<const RocksDbSnapshot> old;  // Released without the lock.
  absl::MutexLock lock(&mutex_);
  old = std::exchange(published_, std::move(snapshot));
  for (const std::vector<BatchFile>& table_files : files) {
    for (const BatchFile& file : table_files) file_bytes_ += file.size;
  }
}

void RocksDbStateStore::Count(const StateBatch& batch, const StagedFiles* staged) {
  absl::MutexLock lock(&mutex_);
  ++flushes_;
  flushed_bytes_ += batch.bytes();
  if (staged == nullptr) return;
  flushed_bytes_ += staged->row_bytes();
  file_bytes_ += staged->file_bytes();
}

void RocksDbStateStore::Reclaim() {
  if (!Health().ok()) return;
  reclaimer_.Run();
  dead_rows_.Drop(reclaimer_.OldestInUse());
}

class RocksDbStaging final : public StateStaging {
 public:
  RocksDbStaging(RocksDbStateStore* store, StagingCheck check, std::unique_ptr<StagedFiles> files)
      : store_(store), check_(std::move(check)), files_(std::move(files)) {}

  absl::Status Add(Table table, std::string_view key, std::string_view value) override {
    check_.OnAdd(table, key);
    return files_->Add(table, key, value);
  }
  absl::Status Finish() override {
    check_.OnFinish();
    return files_->Finish();
  }
  absl::Status Install(const StateBatch& batch) override {
    check_.OnInstall();
    RETURN_IF_ERROR(store_->FlushOnto(files_.get(), batch));
    check_.OnInstalled();
    return absl::OkStatus();
  }

 private:
  RocksDbStateStore* const store_;
  StagingCheck check_;
  const std::unique_ptr<StagedFiles> files_;
};

absl::StatusOr<std::unique_ptr<StateStaging>> RocksDbStateStore::Stage(std::string_view begin,
                                                                       std::string_view end) {
  StagingCheck check(begin, end);
  RETURN_IF_ERROR(Health());
  const uint32_t physical = next_physical_.fetch_add(1);
  CHECK_GE(physical, PrefixMap::kFirst);
  auto files = std::make_unique<StagedFiles>(&write_options_, check.shard(), physical,
                                             absl::StrCat(staged_, "/", physical, "-"));
  return std::make_unique<RocksDbStaging>(this, std::move(check), std::move(files));
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

// Where the shards' rows lie.
absl::StatusOr<PrefixMap> ReadAddresses(const Database& database, const std::string& directory) {
  std::string value;
  const rocksdb::Status status = database.db()->Get(ReadOptions(), database.family(Table::kMeta),
                                                    SliceOf(kAddressesKey), &value);
  if (status.IsNotFound()) return PrefixMap();
  if (!status.ok()) return database.Error(status, "read the addresses of the state store");
  std::optional<PrefixMap> map = PrefixMap::Decode(value);
  if (map.has_value()) return *std::move(map);
  return absl::DataLossError(
      absl::StrCat("the addresses of the state store are malformed in ", directory));
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
  ASSIGN_OR_RETURN(PrefixMap map, ReadAddresses(*database, options.directory));
  RETURN_IF_ERROR(EmptyDirectory(options.directory + "/incoming"));
  RETURN_IF_ERROR(EmptyDirectory(options.directory + "/staged"));
  return std::make_unique<RocksDbStateStore>(options, std::move(database), std::move(mark),
                                             flush_number, std::move(map));
}

}  // namespace holdfast
