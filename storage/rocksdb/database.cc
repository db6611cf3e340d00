#include "storage/rocksdb/database.h"

#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "rocksdb/env.h"
#include "storage/rocksdb/status.h"
#include "storage/rocksdb/table_options.h"

namespace holdfast {
namespace {

// RocksDB's errors about its manifest do not name it.
std::string ManifestPath(const std::string& directory) {
  std::string name;
  std::ifstream current(directory + "/CURRENT");
  std::getline(current, name);
  return absl::StrCat(directory, "/", name.empty() ? "CURRENT" : name);
}

}  // namespace

void BackgroundWork::OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& info) {
  compacted_bytes_.fetch_add(info.stats.total_output_bytes, std::memory_order_relaxed);
}

void BackgroundWork::OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) {
  absl::MutexLock lock(&mutex_);
  if (health_.ok()) health_ = FromRocksDb(*status, "compact the state store");
}

absl::Status BackgroundWork::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

absl::StatusOr<std::shared_ptr<Database>> Database::Open(const RocksDbStateStoreOptions& options,
                                                         Missing missing) {
  std::shared_ptr<Database> database(new Database());
  rocksdb::LRUCacheOptions cache;
  cache.capacity = options.block_cache_bytes;
  cache.num_shard_bits = 4;
  cache.high_pri_pool_ratio = 0.4;
  database->cache_ = rocksdb::NewLRUCache(cache);
  database->background_ = std::make_shared<BackgroundWork>();

  rocksdb::DBOptions db_options = DatabaseOptions(options.open_files_max);
  db_options.create_if_missing = missing == Missing::kCreate;
  db_options.create_missing_column_families = missing == Missing::kCreate;
  db_options.listeners.push_back(database->background_);
  if (options.env != nullptr) db_options.env = options.env;
  db_options.env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW, rocksdb::CpuPriority::kLow);

  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName,
                        TableOptions(Table::kMeta, database->cache_));
  for (const Table table : kAllTables) {
    families.emplace_back(TableName(table), TableOptions(table, database->cache_));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(db_options, options.directory, families, &handles, &db);
  if (!status.ok()) {
    return FromRocksDb(status, absl::StrCat("open the state store (manifest ",
                                            ManifestPath(options.directory), ")"));
  }
  database->db_.reset(db);
  CHECK_EQ(handles.size(), kTableCount + 1);
  database->default_family_ = handles[0];
  for (size_t i = 0; i < kTableCount; ++i) database->families_[i] = handles[i + 1];
  return database;
}

Database::~Database() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family);
  db_->DestroyColumnFamilyHandle(default_family_);
}

}  // namespace holdfast
