#include "replication/raft/unstable_log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/mutant.h"

namespace holdfast::raft {

std::optional<Term> UnstableLog::TermAt(LogIndex index) const {
  if (index >= offset_ && index < end()) return at(index).term;
  if (snapshot_ != nullptr && snapshot_->index == index) return snapshot_->term;
  return std::nullopt;
}

void UnstableLog::Truncate(LogIndex from) {
  CHECK_LE(from, end());
  if (from <= offset_) {
    entries_.Clear();
    offset_ = from;
    writing_ = from;
    return;
  }
  entries_.Truncate(from.value() - offset_.value());
  writing_ = std::min(writing_, from);
}

void UnstableLog::TruncateAndAppend(std::vector<Entry>* entries, size_t from) {
  CHECK_LT(from, entries->size());
  Truncate((*entries)[from].index);
  for (size_t i = from; i < entries->size(); ++i) Append(std::move((*entries)[i]));
}

void UnstableLog::Append(Entry entry) {
  CHECK_EQ(entry.index, end());
  entries_.PushBack(std::move(entry));
}

void UnstableLog::Restore(std::shared_ptr<const SnapshotDescriptor> snapshot) {
  entries_.Clear();
  offset_ = Next(snapshot->index);
  writing_ = offset_;
  snapshot_ = std::move(snapshot);
  snapshot_writing_ = false;
}

void UnstableLog::TakeEntries(std::vector<Entry>* entries) {
  entries->reserve(entries->size() + (end().value() - writing_.value()));
  for (; writing_ < end(); writing_ = Next(writing_)) entries->push_back(at(writing_));
}

void UnstableLog::OnStored(EntryId id) {
  if (id.index < offset_ || id.index >= end()) return;
  if (!MutantIs(Mutant::kStoredByIndexOnly) && at(id.index).term != id.term) return;
  entries_.PopFront(id.index.value() + 1 - offset_.value());
  offset_ = Next(id.index);
  writing_ = std::max(writing_, offset_);
}

void UnstableLog::OnSnapshotStored(LogIndex index) {
  if (snapshot_ == nullptr || snapshot_->index != index) return;
  snapshot_ = nullptr;
  snapshot_writing_ = false;
}

}  // namespace holdfast::raft
