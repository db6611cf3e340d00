#include "storage/rocksdb/rocksdb_snapshot.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast {
namespace {

// RocksDB looks keys up in groups of 32; more at once only pins more blocks.
constexpr size_t kKeysAtOnce = 128;

}  // namespace

RocksDbSnapshot::RocksDbSnapshot(std::shared_ptr<Database> database)
    : database_(std::move(database)), snapshot_(database_->db()->GetSnapshot()) {
  CHECK(snapshot_ != nullptr);
}

RocksDbSnapshot::~RocksDbSnapshot() { database_->db()->ReleaseSnapshot(snapshot_); }

absl::Status RocksDbSnapshot::ReadError(const rocksdb::Status& status, Table table) const {
  return database_->Error(status,
                          absl::StrCat("read table ", TableName(table), " of the state store"));
}

rocksdb::ReadOptions RocksDbSnapshot::Read() const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  options.verify_checksums = true;
  return options;
}

absl::StatusOr<std::optional<std::string>> RocksDbSnapshot::Get(Table table,
                                                                std::string_view key) const {
  std::string value;
  const rocksdb::Status status =
      database_->db()->Get(Read(), database_->family(table), SliceOf(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return ReadError(status, table);
  return std::optional<std::string>(std::move(value));
}

absl::Status RocksDbSnapshot::MultiGet(
    Table table, absl::Span<const std::string_view> keys,
    absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) const {
  std::array<rocksdb::Slice, kKeysAtOnce> slices;
  std::array<rocksdb::PinnableSlice, kKeysAtOnce> values;
  std::array<rocksdb::Status, kKeysAtOnce> statuses;
  const rocksdb::ReadOptions read = Read();
  for (size_t begin = 0; begin < keys.size(); begin += kKeysAtOnce) {
    const size_t count = std::min(kKeysAtOnce, keys.size() - begin);
    for (size_t i = 0; i < count; ++i) slices[i] = SliceOf(keys[begin + i]);
    database_->db()->MultiGet(read, database_->family(table), count, slices.data(), values.data(),
                              statuses.data());
    for (size_t i = 0; i < count; ++i) {
      if (statuses[i].IsNotFound()) {
        found(begin + i, std::nullopt);
      } else if (statuses[i].ok()) {
        found(begin + i, ViewOf(values[i]));
      } else {
        return ReadError(statuses[i], table);
      }
      values[i].Reset();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ScanEnd> RocksDbSnapshot::Scan(
    Table table, const ScanRange& range,
    absl::FunctionRef<bool(std::string_view, std::string_view)> visit) const {
  CHECK(range.begin <= range.end);
  ScanEnd end;
  if (range.begin == range.end) return end;
  const rocksdb::Slice lower = SliceOf(range.begin);
  const rocksdb::Slice upper = SliceOf(range.end);
  rocksdb::ReadOptions read = Read();
  read.iterate_lower_bound = &lower;
  read.iterate_upper_bound = &upper;
  std::unique_ptr<rocksdb::Iterator> it(
      database_->db()->NewIterator(read, database_->family(table)));
  for (it->Seek(lower); it->Valid(); it->Next()) {
    const std::string_view key = ViewOf(it->key());
    const std::string_view value = ViewOf(it->value());
    const uint64_t bytes = end.bytes + key.size() + value.size();
    if (end.rows > 0 && (end.rows >= range.rows_max || bytes > range.bytes_max)) {
      end.reached_end = false;
      end.next.assign(key);
      return end;
    }
    ++end.rows;
    end.bytes = bytes;
    if (!visit(key, value)) {
      end.reached_end = false;
      end.next.assign(key).push_back('\0');  // The first key after this one.
      return end;
    }
  }
  if (!it->status().ok()) return ReadError(it->status(), table);
  return end;
}

absl::StatusOr<uint64_t> RocksDbSnapshot::ApproximateSize(Table table, std::string_view begin,
                                                          std::string_view end) const {
  CHECK(begin <= end);
  const rocksdb::Range range(SliceOf(begin), SliceOf(end));
  uint64_t size = 0;
  rocksdb::SizeApproximationOptions options;
  options.include_files = true;
  const rocksdb::Status status =
      database_->db()->GetApproximateSizes(options, database_->family(table), &range, 1, &size);
  if (!status.ok()) return ReadError(status, table);
  return size;
}

}  // namespace holdfast
