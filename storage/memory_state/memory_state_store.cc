#include "storage/memory_state/memory_state_store.h"

#include <algorithm>
#include <array>
#include <deque>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "storage/staging_check.h"

namespace holdfast {
namespace {

// What one flush left under a key. `older` is there only while a snapshot may read it.
struct Version {
  uint64_t flush = 0;
  bool is_deleted = false;
  std::string value;
  std::unique_ptr<Version> older;
};
using TableRows = absl::btree_map<std::string, Version, std::less<>>;
using StagedRows = std::array<std::vector<std::pair<std::string, std::string>>, kTableCount>;

// The version that a reader as of `flush` sees; null if the key did not exist then.
const Version* VisibleAt(const Version& newest, uint64_t flush) {
  const Version* version = &newest;
  while (version != nullptr && version->flush > flush) version = version->older.get();
  return version == nullptr || version->is_deleted ? nullptr : version;
}

}  // namespace

// All tables; multi-versioned, one lock. Readers copy what they return out of it and call their
// visitors without the lock, so that a visitor may use the store.
class MemoryStateStore::Rows {
 public:
  void Apply(const StateBatch& batch) {
    absl::MutexLock lock(&mutex_);
    ApplyBatch(batch);
    CollectGarbage();
  }

  // What was in [begin, end) gives way to `staged`; then as Apply.
  void Replace(std::string_view begin, std::string_view end, const StagedRows& staged,
               const StateBatch& batch) {
    absl::MutexLock lock(&mutex_);
    for (const Table table : kAllTables) {
      TableRows& rows = tables_[static_cast<size_t>(table)];
      std::vector<std::string> old;
      for (auto it = rows.lower_bound(begin); it != rows.end() && it->first < end; ++it) {
        old.push_back(it->first);
      }
      for (const std::string& key : old) {
        ApplyRow(table, {.key = key, .value = {}, .is_delete = true}, flush_ + 1);
      }
      for (const auto& [key, value] : staged[static_cast<size_t>(table)]) {
        ApplyRow(table, {.key = key, .value = value, .is_delete = false}, flush_ + 1);
        flushed_bytes_ += key.size() + value.size();
      }
    }
    ApplyBatch(batch);
    CollectGarbage();
  }

  uint64_t Pin() {
    absl::MutexLock lock(&mutex_);
    pinned_.insert(flush_);
    return flush_;
  }
  void Unpin(uint64_t flush) {
    absl::MutexLock lock(&mutex_);
    pinned_.erase(pinned_.find(flush));
  }

  std::optional<std::string> Get(Table table, std::string_view key, uint64_t flush) const {
    absl::ReaderMutexLock lock(&mutex_);
    const TableRows& rows = tables_[static_cast<size_t>(table)];
    const auto it = rows.find(key);
    if (it == rows.end()) return std::nullopt;
    const Version* version = VisibleAt(it->second, flush);
    if (version == nullptr) return std::nullopt;
    return version->value;
  }

  struct Copied {
    std::vector<std::pair<std::string, std::string>> rows;
    ScanEnd end;
  };
  Copied Copy(Table table, const ScanRange& range, uint64_t flush) const {
    Copied copied;
    absl::ReaderMutexLock lock(&mutex_);
    const TableRows& rows = tables_[static_cast<size_t>(table)];
    for (auto it = rows.lower_bound(range.begin); it != rows.end() && it->first < range.end; ++it) {
      const Version* version = VisibleAt(it->second, flush);
      if (version == nullptr) continue;
      const uint64_t bytes = copied.end.bytes + it->first.size() + version->value.size();
      if (copied.end.rows > 0 && (copied.end.rows >= range.rows_max || bytes > range.bytes_max)) {
        copied.end.reached_end = false;
        copied.end.next = it->first;
        break;
      }
      ++copied.end.rows;
      copied.end.bytes = bytes;
      copied.rows.emplace_back(it->first, version->value);
    }
    return copied;
  }

  StateStats Stats() const {
    absl::ReaderMutexLock lock(&mutex_);
    StateStats stats;
    stats.memtable_bytes = row_bytes_;
    stats.flushes = flush_;
    stats.flushed_bytes = flushed_bytes_;
    return stats;
  }

 private:
  struct Superseded {
    uint64_t flush = 0;  // The flush that made the older versions unneeded by later readers.
    Table table = Table::kMeta;
    std::string key;
  };

  // Makes the next flush the last one.
  void ApplyBatch(const StateBatch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const uint64_t flush = flush_ + 1;
    for (const Table table : kAllTables) {
      for (const uint32_t position : batch.Sorted(table)) {
        ApplyRow(table, batch.At(table, position), flush);
      }
    }
    flush_ = flush;
    flushed_bytes_ += batch.bytes();
  }

  void ApplyRow(Table table, const StateBatch::Row& row, uint64_t flush)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    TableRows& rows = tables_[static_cast<size_t>(table)];
    auto it = rows.find(row.key);
    if (it == rows.end()) {
      if (row.is_delete) return;
      it = rows.try_emplace(std::string(row.key)).first;
      it->second = Version{flush, false, std::string(row.value), nullptr};
      row_bytes_ += row.key.size() + row.value.size();
      return;
    }
    Version& newest = it->second;
    const bool is_read = !pinned_.empty() && *pinned_.rbegin() >= newest.flush;
    if (is_read || newest.older != nullptr) {
      auto older = std::make_unique<Version>(std::move(newest));
      newest = Version{flush, row.is_delete, std::string(row.value), std::move(older)};
      row_bytes_ += row.value.size();
      garbage_.push_back({flush, table, it->first});
      return;
    }
    row_bytes_ -= newest.value.size();
    if (row.is_delete) {
      row_bytes_ -= it->first.size();
      rows.erase(it);
    } else {
      row_bytes_ += row.value.size();
      newest = Version{flush, false, std::string(row.value), nullptr};
    }
  }

  // Frees the versions that no live snapshot can see.
  void CollectGarbage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const uint64_t oldest = pinned_.empty() ? flush_ : *pinned_.begin();
    while (!garbage_.empty() && garbage_.front().flush <= oldest) {
      const Superseded superseded = std::move(garbage_.front());
      garbage_.pop_front();
      TableRows& rows = tables_[static_cast<size_t>(superseded.table)];
      const auto it = rows.find(superseded.key);
      if (it == rows.end()) continue;
      Version* version = &it->second;
      while (version->flush > oldest && version->older != nullptr) version = version->older.get();
      for (const Version* v = version->older.get(); v != nullptr; v = v->older.get()) {
        row_bytes_ -= v->value.size();
      }
      version->older.reset();
      if (it->second.is_deleted && it->second.older == nullptr) {
        row_bytes_ -= it->first.size();
        rows.erase(it);
      }
    }
  }

  mutable absl::Mutex mutex_;
  std::array<TableRows, kTableCount> tables_ ABSL_GUARDED_BY(mutex_);
  uint64_t flush_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t flushed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t row_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::multiset<uint64_t> pinned_ ABSL_GUARDED_BY(mutex_);  // Flushes that snapshots read.
  std::deque<Superseded> garbage_ ABSL_GUARDED_BY(mutex_);  // In order of flush.
};

namespace {

class MemorySnapshot final : public StateSnapshot {
 public:
  explicit MemorySnapshot(std::shared_ptr<MemoryStateStore::Rows> rows)
      : rows_(std::move(rows)), flush_(rows_->Pin()) {}
  MemorySnapshot(const MemorySnapshot&) = delete;
  MemorySnapshot& operator=(const MemorySnapshot&) = delete;
  ~MemorySnapshot() override { rows_->Unpin(flush_); }

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override {
    return rows_->Get(table, key, flush_);
  }

  absl::Status MultiGet(
      Table table, absl::Span<const std::string_view> keys, Reach,
      absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) const override {
    for (size_t i = 0; i < keys.size(); ++i) {
      const std::optional<std::string> value = rows_->Get(table, keys[i], flush_);
      found(i, value.has_value() ? std::optional<std::string_view>(*value) : std::nullopt);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<ScanEnd> Scan(
      Table table, const ScanRange& range,
      absl::FunctionRef<bool(std::string_view, std::string_view)> visit) const override {
    CHECK(range.begin <= range.end);
    MemoryStateStore::Rows::Copied copied = rows_->Copy(table, range, flush_);
    ScanEnd visited;
    for (const auto& [key, value] : copied.rows) {
      ++visited.rows;
      visited.bytes += key.size() + value.size();
      if (visit(key, value)) continue;
      visited.reached_end = false;
      visited.next = key;
      visited.next.push_back('\0');
      return visited;
    }
    return std::move(copied.end);
  }

  absl::StatusOr<uint64_t> ApproximateSize(Table table, std::string_view begin,
                                           std::string_view end) const override {
    CHECK(begin <= end);
    return rows_->Copy(table, {begin, end, UINT64_MAX, UINT64_MAX}, flush_).end.bytes;
  }

 private:
  const std::shared_ptr<MemoryStateStore::Rows> rows_;
  const uint64_t flush_;
};

class MemoryStaging final : public StateStaging {
 public:
  MemoryStaging(std::shared_ptr<MemoryStateStore::Rows> rows, std::string_view begin,
                std::string_view end)
      : rows_(std::move(rows)), check_(begin, end) {}

  absl::Status Add(Table table, std::string_view key, std::string_view value) override {
    check_.OnAdd(table, key);
    staged_[static_cast<size_t>(table)].emplace_back(key, value);
    return absl::OkStatus();
  }
  absl::Status Finish() override {
    check_.OnFinish();
    return absl::OkStatus();
  }
  absl::Status Install(const StateBatch& batch) override {
    check_.OnInstall();
    rows_->Replace(check_.begin(), check_.end(), staged_, batch);
    check_.OnInstalled();
    staged_ = StagedRows();
    return absl::OkStatus();
  }

 private:
  const std::shared_ptr<MemoryStateStore::Rows> rows_;
  StagingCheck check_;
  StagedRows staged_;
};

}  // namespace

MemoryStateStore::MemoryStateStore() : rows_(std::make_shared<Rows>()) {}
MemoryStateStore::~MemoryStateStore() = default;

absl::Status MemoryStateStore::Flush(const StateBatch& batch) {
  if (!batch.empty()) rows_->Apply(batch);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<StateStaging>> MemoryStateStore::Stage(std::string_view begin,
                                                                      std::string_view end) {
  return std::make_unique<MemoryStaging>(rows_, begin, end);
}

std::shared_ptr<const StateSnapshot> MemoryStateStore::Snapshot() const {
  return std::make_shared<MemorySnapshot>(rows_);
}

StateStats MemoryStateStore::Stats() const { return rows_->Stats(); }

}  // namespace holdfast
