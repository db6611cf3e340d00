// Database: an open RocksDB with one column family for each table, and what RocksDB tells us
// about its background work.
//
// Thread-safety: thread-safe. Ownership: shared by the store and its snapshots, so that a
// snapshot released late is harmless.

#ifndef HOLDFAST_STORAGE_ROCKSDB_DATABASE_H_
#define HOLDFAST_STORAGE_ROCKSDB_DATABASE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/cache.h"
#include "rocksdb/db.h"
#include "rocksdb/listener.h"
#include "storage/rocksdb/batch_runs.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/state_batch.h"

namespace holdfast {

inline rocksdb::Slice SliceOf(std::string_view s) { return rocksdb::Slice(s.data(), s.size()); }
inline std::string_view ViewOf(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

// Notes errors and bytes of background work. Thread-safe.
class BackgroundWork final : public rocksdb::EventListener {
 public:
  explicit BackgroundWork(std::string directory) : directory_(std::move(directory)) {}
  void OnCompactionCompleted(rocksdb::DB* db, const rocksdb::CompactionJobInfo& info) override;
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override;

  uint64_t compacted_bytes() const { return compacted_bytes_.load(std::memory_order_relaxed); }
  // The first background error; OK if there was none. A compaction without room is none.
  absl::Status health() const;

 private:
  const std::string directory_;  // Of the database.
  std::atomic<uint64_t> compacted_bytes_{0};
  mutable absl::Mutex mutex_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
};

class Database {
 public:
  enum class Missing { kCreate, kRefuse };
  enum class Access { kReadOnly, kReadWrite };
  // Missing: what to do when there is no database, or not all tables, in the directory.
  static absl::StatusOr<std::shared_ptr<Database>> Open(const RocksDbStateStoreOptions& options,
                                                        Missing missing);

  // The row under `key` of Table::kMeta, or nullopt, read without changing the directory in any
  // way: an open for writing starts by deleting the files that the MANIFEST does not name.
  static absl::StatusOr<std::optional<std::string>> ReadMetaUnopened(
      const RocksDbStateStoreOptions& options, std::string_view key);

  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // The manifest that CURRENT names (RocksDB's errors about it do not); CURRENT itself if none.
  static std::string ManifestPath(const std::string& directory);

  // Where the table's files begin and end at this moment.
  FileEdges Edges(Table table) const;

  // FromRocksDb, and the message names the damaged files, and in them the offset or the part.
  absl::Status Error(const rocksdb::Status& status, const std::string& what) const;

  rocksdb::DB* db() const { return db_.get(); }
  rocksdb::ColumnFamilyHandle* family(Table table) const {
    return families_[static_cast<size_t>(table)];
  }
  const rocksdb::Cache& cache() const { return *cache_; }
  const BackgroundWork& background() const { return *background_; }

 private:
  Database() = default;
  absl::Status OpenWith(const RocksDbStateStoreOptions& options, rocksdb::DBOptions db_options,
                        Access access);

  std::string directory_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::shared_ptr<BackgroundWork> background_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* default_family_ = nullptr;  // RocksDB insists on it; empty.
  std::array<rocksdb::ColumnFamilyHandle*, kTableCount> families_{};
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_DATABASE_H_
