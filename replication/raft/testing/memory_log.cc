#include "replication/raft/testing/memory_log.h"

#include <cstddef>

#include "base/check.h"

namespace holdfast::raft {

MemoryLog::MemoryLog(const SnapshotDescriptor& start)
    : before_{start.term, start.index}, applied_(start) {
  hard_state_.commit = start.index;
}

const Entry& MemoryLog::At(LogIndex index) const {
  return entries_[index.value() - First().value()];
}

LogRead MemoryLog::TermAt(LogIndex index, Term* term) const {
  if (index < before_.index) return LogRead::kCompacted;
  if (index > Last()) return LogRead::kAbsent;
  *term = index == before_.index ? before_.term : At(index).term;
  return LogRead::kOk;
}

LogRead MemoryLog::Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                        std::vector<Entry>* entries) const {
  if (begin < First()) return LogRead::kCompacted;
  if (end > Next(Last())) return LogRead::kAbsent;
  if (fetching_) return LogRead::kNotYet;
  uint64_t bytes = 0;
  for (LogIndex index = begin; index < end; index = Next(index)) {
    const Entry& entry = At(index);
    bytes += entry.size_bytes();
    if (index > begin && bytes > bytes_max) break;
    entries->push_back(entry);
  }
  return LogRead::kOk;
}

LogRead MemoryLog::Snapshot(SnapshotDescriptor* snapshot) {
  if (fetching_) return LogRead::kNotYet;
  *snapshot = applied_;
  return LogRead::kOk;
}

void MemoryLog::Append(const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    if (entry.index < First()) continue;
    CHECK_LE(entry.index, Next(Last()));
    entries_.resize(entry.index.value() - First().value());
    entries_.push_back(entry);
  }
}

void MemoryLog::Reset(const SnapshotDescriptor& snapshot) {
  before_ = {snapshot.term, snapshot.index};
  entries_.clear();
  applied_ = snapshot;
}

std::optional<std::string> MemoryLog::CompactTo(LogIndex index) {
  if (index <= before_.index) return "requested index is unavailable due to compaction";
  if (index > Last()) return "requested entry at index is unavailable";
  const auto dropped = static_cast<std::ptrdiff_t>(index.value() - before_.index.value());
  before_ = {At(index).term, index};
  entries_.erase(entries_.begin(), entries_.begin() + dropped);
  return std::nullopt;
}

void MemoryLog::Applied(const Entry& entry, const Configuration& configuration) {
  applied_.index = entry.index;
  applied_.term = entry.term;
  applied_.configuration = configuration;
}

}  // namespace holdfast::raft
