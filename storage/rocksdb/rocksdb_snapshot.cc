#include "storage/rocksdb/rocksdb_snapshot.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "storage/rocksdb/table_options.h"

namespace holdfast {
namespace {

// RocksDB looks keys up in groups of 32; more at once only pins more blocks.
constexpr size_t kKeysAtOnce = 128;

}  // namespace

RocksDbSnapshot::RocksDbSnapshot(std::shared_ptr<Database> database,
                                 std::shared_ptr<const PrefixMap> map)
    : database_(std::move(database)),
      map_(std::move(map)),
      snapshot_(database_->db()->GetSnapshot()) {
  CHECK(snapshot_ != nullptr);
}

RocksDbSnapshot::~RocksDbSnapshot() { database_->db()->ReleaseSnapshot(snapshot_); }

absl::Status RocksDbSnapshot::ReadError(const rocksdb::Status& status, Table table) const {
  return database_->Error(status,
                          absl::StrCat("read table ", TableName(table), " of the state store"));
}

rocksdb::ReadOptions RocksDbSnapshot::Read() const {
  rocksdb::ReadOptions options = ReadOptions();
  options.snapshot = snapshot_;
  return options;
}

absl::StatusOr<std::optional<std::string>> RocksDbSnapshot::Get(Table table,
                                                                std::string_view key) const {
  std::string value;
  std::string buffer;
  const rocksdb::Status status = database_->db()->Get(
      Read(), database_->family(table), SliceOf(map_->PhysicalKey(key, &buffer)), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return ReadError(status, table);
  return std::optional<std::string>(std::move(value));
}

// With kBlockCacheTier RocksDB answers OK and an empty value where a file is not open, so an empty
// value says nothing. (Its MultiGet does so where a block is not in the cache, too.)
absl::StatusOr<std::string> RocksDbSnapshot::GetInMemory(Table table, std::string_view key) const {
  rocksdb::ReadOptions read = Read();
  read.read_tier = rocksdb::kBlockCacheTier;
  std::string value;
  std::string buffer;
  const rocksdb::Status status = database_->db()->Get(
      read, database_->family(table), SliceOf(map_->PhysicalKey(key, &buffer)), &value);
  // That there is no row, or an error, is for Get to say.
  if (!status.ok() || value.empty()) return absl::AbortedError("not in memory");
  return value;
}

absl::Status RocksDbSnapshot::MultiGet(
    Table table, absl::Span<const std::string_view> keys, Reach reach,
    absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) const {
  if (reach == Reach::kMemory) {
    for (size_t i = 0; i < keys.size(); ++i) {
      ASSIGN_OR_RETURN(const std::string value, GetInMemory(table, keys[i]));
      found(i, value);
    }
    return absl::OkStatus();
  }
  if (keys.size() == 1) {  // a third of the cost of setting a batch up
    ASSIGN_OR_RETURN(const std::optional<std::string> value, Get(table, keys[0]));
    found(0, value);
    return absl::OkStatus();
  }
  std::array<rocksdb::Slice, kKeysAtOnce> slices;
  std::array<rocksdb::PinnableSlice, kKeysAtOnce> values;
  std::array<rocksdb::Status, kKeysAtOnce> statuses;
  std::array<std::string, kKeysAtOnce> buffers;
  const rocksdb::ReadOptions read = Read();
  for (size_t begin = 0; begin < keys.size(); begin += kKeysAtOnce) {
    const size_t count = std::min(kKeysAtOnce, keys.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      slices[i] = SliceOf(map_->PhysicalKey(keys[begin + i], &buffers[i]));
    }
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

absl::StatusOr<bool> RocksDbSnapshot::ScanSegment(
    Table table, const PrefixMap::Segment& segment, const ScanRange& range, ScanEnd* end,
    absl::FunctionRef<bool(std::string_view, std::string_view)> visit) const {
  const rocksdb::Slice lower(segment.begin);
  const rocksdb::Slice upper(segment.end);
  rocksdb::ReadOptions read = Read();
  read.iterate_lower_bound = &lower;
  read.iterate_upper_bound = &upper;
  std::unique_ptr<rocksdb::Iterator> it(
      database_->db()->NewIterator(read, database_->family(table)));
  std::string logical = segment.logical;
  for (it->Seek(lower); it->Valid(); it->Next()) {
    std::string_view key = ViewOf(it->key());
    if (!segment.logical.empty()) {
      logical.replace(kShardPrefixSize, std::string::npos, key.substr(kShardPrefixSize));
      key = logical;
    }
    const std::string_view value = ViewOf(it->value());
    const uint64_t bytes = end->bytes + key.size() + value.size();
    if (end->rows > 0 && (end->rows >= range.rows_max || bytes > range.bytes_max)) {
      end->next.assign(key);
      return false;
    }
    ++end->rows;
    end->bytes = bytes;
    if (!visit(key, value)) {
      end->next.assign(key).push_back('\0');  // The first key after this one.
      return false;
    }
  }
  if (!it->status().ok()) return ReadError(it->status(), table);
  return true;
}

absl::StatusOr<ScanEnd> RocksDbSnapshot::Scan(
    Table table, const ScanRange& range,
    absl::FunctionRef<bool(std::string_view, std::string_view)> visit) const {
  CHECK(range.begin <= range.end);
  ScanEnd end;
  for (const PrefixMap::Segment& segment : map_->Segments(range.begin, range.end)) {
    ASSIGN_OR_RETURN(end.reached_end, ScanSegment(table, segment, range, &end, visit));
    if (!end.reached_end) break;
  }
  return end;
}

absl::StatusOr<uint64_t> RocksDbSnapshot::ApproximateSize(Table table, std::string_view begin,
                                                          std::string_view end) const {
  CHECK(begin <= end);
  rocksdb::SizeApproximationOptions options;
  options.include_files = true;
  uint64_t sum = 0;
  for (const PrefixMap::Segment& segment : map_->Segments(begin, end)) {
    const rocksdb::Range range(segment.begin, segment.end);
    uint64_t size = 0;
    const rocksdb::Status status =
        database_->db()->GetApproximateSizes(options, database_->family(table), &range, 1, &size);
    if (!status.ok()) return ReadError(status, table);
    sum += size;
  }
  return sum;
}

}  // namespace holdfast
