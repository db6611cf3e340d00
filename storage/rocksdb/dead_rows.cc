#include "storage/rocksdb/dead_rows.h"

#include "rocksdb/convenience.h"
#include "storage/rocksdb/table_options.h"

namespace holdfast {
namespace {

// Rows that one flush deletes at most.
constexpr size_t kLeftOverMax = 50'000;

}  // namespace

DeadRows::DeadRows(std::shared_ptr<Database> database, const std::set<uint32_t>& dead)
    : database_(std::move(database)) {
  Published(dead, 0);
}

void DeadRows::Published(const std::set<uint32_t>& dead, uint64_t sequence) {
  for (const uint32_t physical : dead) {
    if (!gone_.contains(physical)) dead_since_.emplace(physical, sequence);
  }
  std::erase_if(gone_, [&](uint32_t physical) { return !dead.contains(physical); });
  left_over_.clear();
}

void DeadRows::Drop(uint64_t oldest_in_use) {
  std::erase_if(dead_since_, [&](const auto& entry) {
    const auto& [physical, sequence] = entry;
    if (sequence > oldest_in_use || !left_over_.empty() || !DropPrefix(physical)) return false;
    gone_.insert(physical);
    return true;
  });
}

bool DeadRows::DropPrefix(uint32_t physical) {
  const std::string begin = PrefixBytes(physical);
  const std::string end = PrefixBytes(physical + 1);
  const rocksdb::Slice first(begin);
  const rocksdb::Slice after(end);
  if (unlinked_.insert(physical).second) {
    for (const Table table : kAllTables) {
      // What stays, because it is just being merged or for an error, is left over.
      rocksdb::DeleteFilesInRange(database_->db(), database_->family(table), &first, &after,
                                  /*include_end=*/false)
          .PermitUncheckedError();
    }
  }
  for (const Table table : kAllTables) {
    if (!NoteRowsOf(table, begin, end)) return false;
  }
  return left_over_.empty();
}

bool DeadRows::NoteRowsOf(Table table, const std::string& begin, const std::string& end) {
  const rocksdb::Slice lower(begin);
  const rocksdb::Slice upper(end);
  rocksdb::ReadOptions read = ReadOptions();
  read.fill_cache = false;
  read.iterate_lower_bound = &lower;
  read.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> it(
      database_->db()->NewIterator(read, database_->family(table)));
  for (it->Seek(lower); it->Valid() && left_over_.size() < kLeftOverMax; it->Next()) {
    left_over_.emplace_back(table, it->key().ToString());
  }
  return it->status().ok();
}

void DeadRows::AddDeletes(StateBatch* stored) {
  for (const auto& [table, key] : left_over_) stored->Delete(table, key);
}

void DeadRows::ForgetGone(PrefixMap* map) const {
  for (const uint32_t physical : gone_) map->Forget(physical);
}

}  // namespace holdfast
