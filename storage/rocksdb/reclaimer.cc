#include "storage/rocksdb/reclaimer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "rocksdb/experimental.h"
#include "rocksdb/metadata.h"

namespace holdfast {
namespace {

// Fewer rows than this in a file are left to RocksDB's ordinary compaction.
constexpr uint64_t kRowsWorthCompacting = 4096;
// A range is compacted at once if at least one in this many of its rows has been deleted.
constexpr uint64_t kRowsPerDelete = 4;
// A range with more bytes than this for each deletion is not looked at file by file.
constexpr uint64_t kBytesPerDeleteMax = 16 << 10;
// The pin is taken anew if files with deleted rows that it shows are this part of the newer ones.
constexpr uint64_t kNewerPerPinned = 8;

}  // namespace

Reclaimer::Reclaimer(std::shared_ptr<Database> database,
                     std::shared_ptr<const RocksDbSnapshot> current)
    : database_(std::move(database)),
      in_use_({current}),
      pin_(std::make_unique<RocksDbSnapshot>(database_, nullptr)) {}

void Reclaimer::Flushed(const TableFiles& files,
                        const std::shared_ptr<const RocksDbSnapshot>& current) {
  in_use_.push_back(current);
  for (const Table table : kAllTables) {
    for (const BatchFile& file : files[static_cast<size_t>(table)]) {
      if (std::max(file.puts, file.deletes) < kRowsWorthCompacting) continue;
      waiting_.push_back({.table = table,
                          .first = file.first,
                          .last = file.last,
                          .puts = file.puts,
                          .deletes = file.deletes,
                          .visible_from = current->sequence()});
    }
  }
  while (waiting_.size() > kWaitingMax) waiting_.pop_front();
}

uint64_t Reclaimer::OldestInUse() {
  for (;;) {
    CHECK(!in_use_.empty());  // The store itself has the last.
    if (const auto oldest = in_use_.front().lock()) return oldest->sequence();
    in_use_.pop_front();
  }
}

Reclaimer::Files Reclaimer::FilesNow() const {
  Files files;
  for (const Table table : kAllTables) {
    rocksdb::ColumnFamilyMetaData metadata;
    database_->db()->GetColumnFamilyMetaData(database_->family(table), &metadata);
    for (rocksdb::LevelMetaData& level : metadata.levels) {
      for (const rocksdb::SstFileMetaData& file : level.files) {
        files[static_cast<size_t>(table)].push_back(
            {.first = file.smallestkey,
             .last = file.largestkey,
             .bytes = file.size,
             .pinned = file.smallest_seqno <= pin_->sequence()});
      }
    }
  }
  return files;
}

// Compacts the ranges that no reader sees any more, or has them wait for another pin.
void Reclaimer::TakeReady(const Files& files) {
  const uint64_t oldest = OldestInUse();
  for (; !waiting_.empty() && waiting_.front().visible_from <= oldest; waiting_.pop_front()) {
    Range& range = waiting_.front();
    const std::vector<File>& there = files[static_cast<size_t>(range.table)];
    if (std::any_of(there.begin(), there.end(), [&](const File& file) {
          return file.pinned && range.first <= file.last && file.first <= range.last;
        })) {
      pinned_.push_back(std::move(range));
    } else {
      Compact(range);
    }
  }
}

bool Reclaimer::PinIsInTheWay(const Files& files) const {
  if (pinned_.size() >= kPinnedMax) return true;
  uint64_t newer = 0;
  uint64_t kept = 0;
  for (const Table table : kAllTables) {
    for (const File& file : files[static_cast<size_t>(table)]) {
      if (!file.pinned) {
        newer += file.bytes;
      } else if (std::any_of(pinned_.begin(), pinned_.end(), [&](const Range& range) {
                   return range.table == table && range.first <= file.last &&
                          file.first <= range.last;
                 })) {
        kept += file.bytes;
      }
    }
  }
  return kept >= newer / kNewerPerPinned;
}

// True if so many of the rows in the range have been deleted that it pays to rewrite the rest
// now: a queue drained from the front then leaves nothing behind.
bool Reclaimer::IsDense(const Range& deleted) const {
  const rocksdb::Slice first(deleted.first);
  std::string after_last = deleted.last;
  after_last.push_back('\0');
  const rocksdb::Range range(first, after_last);
  rocksdb::DB* const db = database_->db();
  rocksdb::ColumnFamilyHandle* const family = database_->family(deleted.table);
  rocksdb::SizeApproximationOptions size_options;
  size_options.include_files = true;
  size_options.files_size_error_margin = 0.1;
  uint64_t size = 0;
  if (!db->GetApproximateSizes(size_options, family, &range, 1, &size).ok()) return false;
  if (size > deleted.deletes * kBytesPerDeleteMax) return false;  // Do not look at every file.
  rocksdb::TablePropertiesCollection properties;
  if (!db->GetPropertiesOfTablesInRange(family, &range, 1, &properties).ok()) return false;
  uint64_t rows = 0;
  uint64_t bytes = 0;
  uint64_t deletes = 0;
  for (const auto& [path, table_properties] : properties) {
    rows += table_properties->num_entries;
    deletes += table_properties->num_deletions;
    bytes += table_properties->data_size;
  }
  // Files reach beyond the range: count only the share of their rows that lies in it.
  const uint64_t rows_in_range = bytes <= size ? rows : rows * size / bytes;
  return std::max(deleted.deletes, std::min(deletes, rows_in_range)) * kRowsPerDelete >=
         rows_in_range;
}

void Reclaimer::Compact(const Range& range) const {
  if (range.deletes < kRowsWorthCompacting || range.deletes < range.puts) return;
  if (!IsDense(range)) return;
  const rocksdb::Slice first(range.first);
  const rocksdb::Slice last(range.last);
  // Only a hint: if it fails, ordinary compaction reclaims the rows later.
  rocksdb::experimental::SuggestCompactRange(database_->db(), database_->family(range.table),
                                             &first, &last)
      .PermitUncheckedError();
}

void Reclaimer::Run() {
  if (waiting_.empty() && pinned_.empty()) return;
  const Files files = FilesNow();
  TakeReady(files);
  if (pinned_.empty() || !PinIsInTheWay(files)) return;
  pin_ = std::make_unique<RocksDbSnapshot>(database_, nullptr);
  for (const Range& range : pinned_) Compact(range);
  pinned_.clear();
}

}  // namespace holdfast
