// StateBatch: the rows put and deleted by one StateStore::Flush.
//
// Rows may be added in any order; of two operations on one key the later one counts. Adding them
// in key order is cheapest. A row costs its bytes plus about 10, so that a batch of half a
// million small rows is a few tens of megabytes.
//
// Bounds: 4 GiB per table of copied bytes (large values belong in PutReference, which copies only
// a pointer); CHECKed.
// Thread-safety: thread-compatible; const methods may run concurrently.
// Ownership: owns copied bytes; bytes given to PutReference stay the caller's.

#ifndef HOLDFAST_STORAGE_STATE_BATCH_H_
#define HOLDFAST_STORAGE_STATE_BATCH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace holdfast {

// The tables of a StateStore. The numbers are stored: never change or reuse one.
enum class Table : uint8_t {
  kMeta = 0,     // Few, small rows: positions, options, sessions.
  kJob = 1,      // Point lookups by id.
  kPayload = 2,  // Large values, point lookups by id.
  kIndex = 3,    // Ordered sets: scanned from the front and deleted there; mostly empty values.
};
inline constexpr size_t kTableCount = 4;
inline constexpr std::array<Table, kTableCount> kAllTables = {Table::kMeta, Table::kJob,
                                                              Table::kPayload, Table::kIndex};
const char* TableName(Table table);

class StateBatch {
 public:
  struct Row {
    std::string_view key;
    std::string_view value;  // Empty for a deletion.
    bool is_delete = false;
  };

  StateBatch() = default;
  StateBatch(StateBatch&&) = default;
  StateBatch& operator=(StateBatch&&) = default;

  // Copies both. REQUIRES: 1 <= key.size() <= 65535, value.size() < 2^32.
  void Put(Table table, std::string_view key, std::string_view value);
  // Copies the key; the value must stay valid until the batch is gone or cleared.
  void PutReference(Table table, std::string_view key, std::string_view value);
  // A key that has no row may be deleted.
  void Delete(Table table, std::string_view key);

  // Keys and values of all rows, referenced ones included.
  uint64_t bytes() const { return bytes_; }
  // Memory owned by the batch.
  uint64_t memory_bytes() const;
  uint64_t rows(Table table) const { return tables_[static_cast<size_t>(table)].rows.size(); }
  bool empty() const;
  // Forgets all rows and frees their memory.
  void Clear();

  // The positions of a table's rows in key order, one per key; for At().
  std::vector<uint32_t> Sorted(Table table) const;
  Row At(Table table, uint32_t position) const;

 private:
  // Rows are appended to chunks and found by position: chunk number, then offset within it.
  struct Rows {
    std::vector<std::unique_ptr<char[]>> chunks;
    std::vector<uint32_t> rows;
    uint32_t chunk_used = 0;
    uint32_t chunk_size = 0;
    uint64_t chunk_bytes = 0;
    bool sorted = true;  // The rows so far are in strictly rising key order.
  };
  char* Allocate(Table table, size_t size);
  void Added(Table table, std::string_view key, size_t value_size);

  std::array<Rows, kTableCount> tables_;
  uint64_t bytes_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_STATE_BATCH_H_
