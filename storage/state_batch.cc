#include "storage/state_batch.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace holdfast {
namespace {

// A row in a chunk:
//
//   key size u16 | kind u8 | key | (kInline, kReference) value size u32 | value or pointer to it
enum class Kind : uint8_t { kDelete = 0, kInline = 1, kReference = 2 };

constexpr size_t kHeaderSize = 3;
constexpr uint32_t kOffsetBits = 20;
constexpr uint32_t kChunkSize = 1u << kOffsetBits;
constexpr uint32_t kFirstChunkSize = 4096;  // A small batch stays small.
constexpr size_t kChunksMax = size_t{1} << (32 - kOffsetBits);
constexpr size_t kKeySizeMax = 65535;

char* PutHeader(char* p, std::string_view key, Kind kind) {
  const auto size = static_cast<uint16_t>(key.size());
  std::memcpy(p, &size, sizeof(size));
  p[2] = static_cast<char>(kind);
  std::memcpy(p + kHeaderSize, key.data(), key.size());
  return p + kHeaderSize + key.size();
}

}  // namespace

const char* TableName(Table table) {
  switch (table) {
    case Table::kMeta:
      return "meta";
    case Table::kJob:
      return "job";
    case Table::kPayload:
      return "payload";
    case Table::kIndex:
      return "index";
  }
  return "unknown";
}

char* StateBatch::Allocate(Table table, size_t size) {
  Rows& t = tables_[static_cast<size_t>(table)];
  if (t.chunks.empty() || t.chunk_size - t.chunk_used < size) {
    const uint32_t usual = t.chunks.empty() ? kFirstChunkSize : kChunkSize;
    t.chunk_size = static_cast<uint32_t>(std::max<size_t>(usual, size));
    CHECK_LT(t.chunks.size(), kChunksMax);
    t.chunks.push_back(std::make_unique_for_overwrite<char[]>(t.chunk_size));
    t.chunk_used = 0;
    t.chunk_bytes += t.chunk_size;
  }
  // A row larger than a chunk has one to itself, so its offset is 0.
  CHECK_LT(t.chunk_used, kChunkSize);
  t.rows.push_back(static_cast<uint32_t>((t.chunks.size() - 1) << kOffsetBits) | t.chunk_used);
  char* p = t.chunks.back().get() + t.chunk_used;
  t.chunk_used += static_cast<uint32_t>(size);
  return p;
}

void StateBatch::Added(Table table, std::string_view key, size_t value_size) {
  Rows& t = tables_[static_cast<size_t>(table)];
  bytes_ += key.size() + value_size;
  const size_t n = t.rows.size();
  if (t.sorted && n > 1) t.sorted = At(table, t.rows[n - 2]).key < key;
}

void StateBatch::Put(Table table, std::string_view key, std::string_view value) {
  CHECK(!key.empty() && key.size() <= kKeySizeMax);
  CHECK_LT(value.size(), size_t{UINT32_MAX} - kKeySizeMax - 16);
  const auto value_size = static_cast<uint32_t>(value.size());
  char* p = Allocate(table, kHeaderSize + key.size() + sizeof(value_size) + value.size());
  p = PutHeader(p, key, Kind::kInline);
  std::memcpy(p, &value_size, sizeof(value_size));
  if (!value.empty()) std::memcpy(p + sizeof(value_size), value.data(), value.size());
  Added(table, key, value.size());
}

void StateBatch::PutReference(Table table, std::string_view key, std::string_view value) {
  CHECK(!key.empty() && key.size() <= kKeySizeMax);
  CHECK_LE(value.size(), size_t{UINT32_MAX});
  const auto value_size = static_cast<uint32_t>(value.size());
  const char* data = value.data();
  char* p = Allocate(table, kHeaderSize + key.size() + sizeof(value_size) + sizeof(data));
  p = PutHeader(p, key, Kind::kReference);
  std::memcpy(p, &value_size, sizeof(value_size));
  std::memcpy(p + sizeof(value_size), &data, sizeof(data));
  Added(table, key, value.size());
}

void StateBatch::Delete(Table table, std::string_view key) {
  CHECK(!key.empty() && key.size() <= kKeySizeMax);
  PutHeader(Allocate(table, kHeaderSize + key.size()), key, Kind::kDelete);
  Added(table, key, 0);
}

StateBatch::Row StateBatch::At(Table table, uint32_t position) const {
  const Rows& t = tables_[static_cast<size_t>(table)];
  const char* p = t.chunks[position >> kOffsetBits].get() + (position & (kChunkSize - 1));
  uint16_t key_size = 0;
  std::memcpy(&key_size, p, sizeof(key_size));
  const auto kind = static_cast<Kind>(p[2]);
  p += kHeaderSize;
  Row row{.key = std::string_view(p, key_size), .value = {}, .is_delete = kind == Kind::kDelete};
  if (kind == Kind::kDelete) return row;
  p += key_size;
  uint32_t value_size = 0;
  std::memcpy(&value_size, p, sizeof(value_size));
  p += sizeof(value_size);
  const char* data = p;
  if (kind == Kind::kReference) std::memcpy(static_cast<void*>(&data), p, sizeof(data));
  row.value = std::string_view(data, value_size);
  return row;
}

std::vector<uint32_t> StateBatch::Sorted(Table table) const {
  const Rows& t = tables_[static_cast<size_t>(table)];
  std::vector<uint32_t> rows = t.rows;
  if (t.sorted) return rows;
  // Positions rise in the order of adding, so they break ties: the last of equal keys counts.
  std::sort(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) {
    const int order = At(table, a).key.compare(At(table, b).key);
    return order != 0 ? order < 0 : a < b;
  });
  size_t kept = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i + 1 < rows.size() && At(table, rows[i]).key == At(table, rows[i + 1]).key) continue;
    rows[kept++] = rows[i];
  }
  rows.resize(kept);
  return rows;
}

uint64_t StateBatch::memory_bytes() const {
  uint64_t sum = 0;
  for (const Rows& t : tables_) {
    sum += t.chunk_bytes + t.rows.capacity() * sizeof(uint32_t) +
           t.chunks.capacity() * sizeof(t.chunks[0]);
  }
  return sum;
}

bool StateBatch::empty() const {
  for (const Rows& t : tables_) {
    if (!t.rows.empty()) return false;
  }
  return true;
}

void StateBatch::Clear() {
  tables_ = {};
  bytes_ = 0;
}

}  // namespace holdfast
