#include "storage/memory_log/memory_log_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "storage/batch_check.h"

namespace holdfast {
namespace {

// What an entry counts for besides its payload; the same as in files, so that limits on retained
// bytes mean the same.
constexpr uint64_t kEntryOverheadBytes = 40;

uint64_t CountedBytes(uint64_t payload_bytes) {
  return kEntryOverheadBytes + (payload_bytes + 7) / 8 * 8;
}

}  // namespace

void MemoryLogStore::Append(const LogBatch& batch, const LogRecord& record, Shard* shard) {
  while (shard->Last() >= record.index) {
    shard->retained_bytes -= CountedBytes(shard->entries.back().payload.size());
    shard->entries.pop_back();
  }
  written_bytes_ += CountedBytes(record.payload_bytes);
  Entry entry{record.term, record.entry_type, "", written_bytes_};
  entry.payload.reserve(record.payload_bytes);
  for (std::string_view piece : batch.PayloadOf(record)) entry.payload.append(piece);
  shard->entries.push_back(std::move(entry));
  shard->retained_bytes += CountedBytes(record.payload_bytes);
}

absl::Status MemoryLogStore::Write(const LogBatch& batch, SyncMode /*sync*/) {
  RETURN_IF_ERROR(CheckBatch(batch, *this));
  absl::MutexLock lock(&mutex_);
  for (const LogRecord& record : batch.records()) {
    Shard& shard = shards_[record.shard];
    switch (record.kind) {
      case LogRecord::Kind::kEntry:
        Append(batch, record, &shard);
        break;
      case LogRecord::Kind::kHardState:
        shard.hard_state = {record.term, record.vote, record.index};
        break;
      case LogRecord::Kind::kCompact:
        if (record.index < shard.first) break;
        while (shard.first <= record.index) {
          shard.retained_bytes -= CountedBytes(shard.entries.front().payload.size());
          shard.entries.pop_front();
          shard.first = Next(shard.first);
        }
        shard.compacted_term = record.term;
        break;
      case LogRecord::Kind::kReset:
        shard.entries.clear();
        shard.retained_bytes = 0;
        shard.first = Next(record.index);
        shard.compacted_term = record.term;
        break;
    }
  }
  return absl::OkStatus();
}

absl::Status MemoryLogStore::ReadEntries(ShardId id, LogIndex begin, LogIndex end,
                                         uint64_t bytes_max,
                                         std::vector<StoredEntry>* entries) const {
  absl::MutexLock lock(&mutex_);
  const auto found = shards_.find(id);
  const LogIndex first = found == shards_.end() ? LogIndex(1) : found->second.first;
  if (begin < first) {
    return absl::OutOfRangeError(absl::StrCat("entry ", begin.value(), " of shard ", id.value(),
                                              " is compacted; the first is ", first.value()));
  }
  if (found == shards_.end()) return absl::OkStatus();
  const Shard& shard = found->second;
  end = std::min(end, Next(shard.Last()));
  uint64_t bytes = 0;
  for (LogIndex index = begin; index < end; index = Next(index)) {
    const Entry& entry = shard.At(index);
    bytes += entry.payload.size();
    if (bytes > bytes_max && index != begin) break;
    entries->push_back({entry.term, index, entry.type, entry.payload});
  }
  return absl::OkStatus();
}

absl::StatusOr<Term> MemoryLogStore::TermAt(ShardId id, LogIndex index) const {
  static const Shard kNone;
  absl::MutexLock lock(&mutex_);
  const auto found = shards_.find(id);
  const Shard& shard = found == shards_.end() ? kNone : found->second;
  if (Next(index) == shard.first) return shard.compacted_term;
  if (index < shard.first || index > shard.Last()) {
    return absl::OutOfRangeError(absl::StrCat("term of entry ", index.value(), " of shard ",
                                              id.value(), ", which holds [", shard.first.value(),
                                              ", ", shard.Last().value(), "]"));
  }
  return shard.At(index).term;
}

ShardLog MemoryLogStore::Describe(ShardId id) const {
  absl::MutexLock lock(&mutex_);
  const auto found = shards_.find(id);
  if (found == shards_.end()) return {};
  const Shard& shard = found->second;
  return {.hard_state = shard.hard_state,
          .first = shard.first,
          .last = shard.Last(),
          .last_term = shard.entries.empty() ? shard.compacted_term : shard.entries.back().term,
          .compacted_term = shard.compacted_term,
          .retained_bytes = shard.retained_bytes};
}

LogUsage MemoryLogStore::Usage() const {
  absl::MutexLock lock(&mutex_);
  LogUsage usage;
  for (const auto& [id, shard] : shards_) {
    usage.retained_bytes += shard.retained_bytes;
    usage.shards.push_back(id);
  }
  return usage;
}

LogIndex MemoryLogStore::LastBehind(ShardId id, uint64_t bytes) const {
  absl::MutexLock lock(&mutex_);
  const auto found = shards_.find(id);
  if (found == shards_.end() || written_bytes_ < bytes) return LogIndex();
  const std::deque<Entry>& entries = found->second.entries;
  const auto within = std::upper_bound(entries.begin(), entries.end(), written_bytes_ - bytes,
                                       [](uint64_t end, const Entry& e) { return end < e.end; });
  if (within == entries.begin()) return LogIndex();
  return LogIndex(found->second.first.value() + static_cast<uint64_t>(within - entries.begin()) -
                  1);
}

}  // namespace holdfast
