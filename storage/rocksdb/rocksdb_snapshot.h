// StateSnapshot on a RocksDB snapshot. See storage/state_store.h for the contract.

#ifndef HOLDFAST_STORAGE_ROCKSDB_ROCKSDB_SNAPSHOT_H_
#define HOLDFAST_STORAGE_ROCKSDB_ROCKSDB_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "rocksdb/options.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/prefix_map.h"
#include "storage/state_store.h"

namespace holdfast {

class RocksDbSnapshot final : public StateSnapshot {
 public:
  // A view of the database as it is now. REQUIRES: no flush is running (RocksDB installs the
  // tables of a flush one after the other; only between flushes do they agree).
  // `map`: where the rows lie now; null: nothing is read through this snapshot.
  RocksDbSnapshot(std::shared_ptr<Database> database, std::shared_ptr<const PrefixMap> map);
  RocksDbSnapshot(const RocksDbSnapshot&) = delete;
  RocksDbSnapshot& operator=(const RocksDbSnapshot&) = delete;
  ~RocksDbSnapshot() override;

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override;
  absl::Status MultiGet(
      Table table, absl::Span<const std::string_view> keys, Reach reach,
      absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) const override;
  absl::StatusOr<ScanEnd> Scan(
      Table table, const ScanRange& range,
      absl::FunctionRef<bool(std::string_view, std::string_view)> visit) const override;
  absl::StatusOr<uint64_t> ApproximateSize(Table table, std::string_view begin,
                                           std::string_view end) const override;

  // RocksDB's number of the last change that it shows.
  uint64_t sequence() const { return snapshot_->GetSequenceNumber(); }

 private:
  rocksdb::ReadOptions Read() const;
  absl::StatusOr<std::string> GetInMemory(Table table, std::string_view key) const;
  // Visits the rows of a segment and adds them to `end`; false if a limit of `range` was reached.
  absl::StatusOr<bool> ScanSegment(
      Table table, const PrefixMap::Segment& segment, const ScanRange& range, ScanEnd* end,
      absl::FunctionRef<bool(std::string_view, std::string_view)> visit) const;
  absl::Status ReadError(const rocksdb::Status& status, Table table) const;

  const std::shared_ptr<Database> database_;
  const std::shared_ptr<const PrefixMap> map_;
  const rocksdb::Snapshot* const snapshot_;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_ROCKSDB_SNAPSHOT_H_
