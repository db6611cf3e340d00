#include "storage/rocksdb/database.h"

#include <algorithm>
#include <cstdarg>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "rocksdb/env.h"
#include "rocksdb/sst_file_reader.h"
#include "rocksdb/table_properties.h"
#include "storage/rocksdb/status.h"
#include "storage/rocksdb/table_options.h"

namespace holdfast {
namespace {

class SilentLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

bool GivesPlace(const std::string& message) { return absl::StrContains(message, " offset "); }

// The one place of a table that its checksums leave out: a number that older versions of RocksDB
// changed in place, and that is always 0 here. RocksDB refuses others when it opens the database.
rocksdb::Status CheckSequenceNumber(const rocksdb::TableProperties& properties) {
  const auto& collected = properties.user_collected_properties;
  const auto it = collected.find("rocksdb.external_sst_file.global_seqno");
  if (it == collected.end() || it->second == std::string(8, '\0')) return rocksdb::Status::OK();
  return rocksdb::Status::Corruption("global seqno is not 0");
}

// RocksDB says at which offset of which file a block is damaged. Of the parts that a table has once
// it says neither file nor offset. Names the tables that cannot be opened by themselves, and the
// part; empty if there are none.
std::string DamagedTables(const std::string& directory) {
  const rocksdb::Options options(rocksdb::DBOptions(), TableOptions(Table::kJob, nullptr));
  std::string damaged;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() != ".sst") continue;
    rocksdb::SstFileReader reader(options);
    rocksdb::Status status = reader.Open(entry.path().string());
    if (status.ok()) status = CheckSequenceNumber(*reader.GetTableProperties());
    if (status.ok()) continue;
    const std::string message = status.ToString();
    absl::StrAppend(&damaged, "; ", entry.path().string(), ": ", message);
    if (GivesPlace(message)) continue;
    absl::StrAppend(&damaged,
                    absl::StrContains(message, "seqno") || absl::StrContains(message, "propert")
                        ? ", in its properties"
                        : ", in its footer");
  }
  return damaged;
}

// FromRocksDb, and the message of kDataLoss names the damaged files and places.
absl::Status DamageNamed(const rocksdb::Status& status, const std::string& what,
                         const std::string& directory) {
  const absl::Status plain = FromRocksDb(status, what);
  if (plain.code() != absl::StatusCode::kDataLoss) return plain;
  // A missing table is looked for under a second name, which is the one that RocksDB tells.
  std::string message = absl::StrReplaceAll(std::string(plain.message()), {{".ldb", ".sst"}});
  if (!GivesPlace(message)) absl::StrAppend(&message, DamagedTables(directory));
  return absl::DataLossError(message);
}

}  // namespace

std::string Database::ManifestPath(const std::string& directory) {
  std::string name;
  std::ifstream current(directory + "/CURRENT");
  std::getline(current, name);
  return absl::StrCat(directory, "/", name.empty() ? "CURRENT" : name);
}

void BackgroundWork::OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& info) {
  compacted_bytes_.fetch_add(info.stats.total_output_bytes, std::memory_order_relaxed);
}

void BackgroundWork::OnBackgroundError(rocksdb::BackgroundErrorReason reason,
                                       rocksdb::Status* status) {
  const absl::Status error = DamageNamed(*status, "compact the state store", directory_);
  if (reason == rocksdb::BackgroundErrorReason::kCompaction && absl::IsResourceExhausted(error)) {
    // Nothing but new files of its own has been touched: RocksDB tries it again after a second.
    *status = rocksdb::Status::OK();
    return;
  }
  absl::MutexLock lock(&mutex_);
  if (health_.ok()) health_ = error;
}

absl::Status BackgroundWork::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

absl::Status Database::OpenWith(const RocksDbStateStoreOptions& options,
                                rocksdb::DBOptions db_options, Access access) {
  rocksdb::LRUCacheOptions cache;
  cache.capacity = options.block_cache_bytes;
  cache.num_shard_bits = 4;
  cache.high_pri_pool_ratio = 0.4;
  cache_ = rocksdb::NewLRUCache(cache);
  directory_ = options.directory;
  background_ = std::make_shared<BackgroundWork>(directory_);
  db_options.listeners.push_back(background_);
  if (options.env != nullptr) db_options.env = options.env;

  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, TableOptions(Table::kMeta, cache_));
  for (const Table table : kAllTables) {
    families.emplace_back(TableName(table), TableOptions(table, cache_));
  }
  const std::string manifest = ManifestPath(options.directory);  // Opening makes a new one.
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      access == Access::kReadWrite
          ? rocksdb::DB::Open(db_options, options.directory, families, &handles, &db)
          : rocksdb::DB::OpenForReadOnly(db_options, options.directory, families, &handles, &db);
  if (!status.ok()) {
    return Error(status, absl::StrCat("open the state store by ", manifest, ", which ",
                                      options.directory, "/CURRENT names"));
  }
  db_.reset(db);
  CHECK_EQ(handles.size(), kTableCount + 1);
  default_family_ = handles[0];
  for (size_t i = 0; i < kTableCount; ++i) families_[i] = handles[i + 1];
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Database>> Database::Open(const RocksDbStateStoreOptions& options,
                                                         Missing missing) {
  std::shared_ptr<Database> database(new Database());
  rocksdb::DBOptions db_options = DatabaseOptions(options.open_files_max);
  if (missing == Missing::kCreate && !std::filesystem::exists(options.directory + "/CURRENT")) {
    // What a crash left of the last attempt; RocksDB creates nothing over it.
    const rocksdb::Status status = rocksdb::DestroyDB(options.directory, rocksdb::Options());
    if (!status.ok()) return FromRocksDb(status, "clear " + options.directory);
  }
  db_options.create_if_missing = missing == Missing::kCreate;
  db_options.create_missing_column_families = missing == Missing::kCreate;
  RETURN_IF_ERROR(database->OpenWith(options, std::move(db_options), Access::kReadWrite));
  return database;
}

absl::StatusOr<std::optional<std::string>> Database::ReadMetaUnopened(
    const RocksDbStateStoreOptions& options, std::string_view key) {
  Database database;
  rocksdb::DBOptions db_options = DatabaseOptions(options.open_files_max);
  db_options.info_log = std::make_shared<SilentLogger>();
  RETURN_IF_ERROR(database.OpenWith(options, std::move(db_options), Access::kReadOnly));
  std::string value;
  const rocksdb::Status status =
      database.db()->Get(ReadOptions(), database.family(Table::kMeta), SliceOf(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return database.Error(status, "read the flush number of the state store");
  return std::optional<std::string>(std::move(value));
}

FileEdges Database::Edges(Table table) const {
  rocksdb::ColumnFamilyMetaData metadata;
  db_->GetColumnFamilyMetaData(family(table), &metadata);
  FileEdges edges;
  for (const rocksdb::LevelMetaData& level : metadata.levels) {
    for (const rocksdb::SstFileMetaData& file : level.files) {
      edges.begins.push_back(file.smallestkey);
      edges.ends.push_back(file.largestkey);
    }
  }
  std::sort(edges.begins.begin(), edges.begins.end());
  std::sort(edges.ends.begin(), edges.ends.end());
  return edges;
}

absl::Status Database::Error(const rocksdb::Status& status, const std::string& what) const {
  return DamageNamed(status, what, directory_);
}

Database::~Database() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family);
  db_->DestroyColumnFamilyHandle(default_family_);
}

}  // namespace holdfast

// Debian's RocksDB is not instrumented, so the thread sanitizer does not see the atomics by which
// it hands blocks and files from thread to thread. Called by the sanitizer only.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:rocksdb::\n"; }
