// A replica's log as one sees it at a moment: a base, which a snapshot stands for, and entries.
//
// Invariants: entries()[i].index == base().index + 1 + i; terms do not fall.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_LOG_IMAGE_H_
#define HOLDFAST_TESTS_SIM_LOG_IMAGE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/types.h"
#include "replication/raft/types.h"

namespace holdfast::sim {

class LogImage {
 public:
  raft::EntryId base() const { return base_; }
  LogIndex first() const { return Next(base_.index); }
  LogIndex last() const { return LogIndex(base_.index.value() + entries_.size()); }
  const std::vector<raft::Entry>& entries() const { return entries_; }

  // nullopt: before the base or after the last.
  std::optional<Term> TermAt(LogIndex index) const {
    if (index == base_.index) return base_.term;
    if (index < base_.index || index > last()) return std::nullopt;
    return At(index).term;
  }
  // REQUIRES: first() <= index <= last().
  const raft::Entry& At(LogIndex index) const {
    CHECK_GT(index, base_.index);
    CHECK_LE(index, last());
    return entries_[index.value() - base_.index.value() - 1];
  }

  // As raft::Core's duty 2: drops what is at or after the first of `entries`, then appends.
  // Returns how many were dropped. REQUIRES: no gap.
  uint64_t Write(const std::vector<raft::Entry>& entries) {
    uint64_t dropped = 0;
    for (const raft::Entry& entry : entries) {
      CHECK_GT(entry.index, base_.index);
      CHECK_LE(entry.index, Next(last()));
      const size_t keep = entry.index.value() - base_.index.value() - 1;
      dropped += entries_.size() - keep;
      entries_.resize(keep);
      entries_.push_back(entry);
    }
    return dropped;
  }
  // The log is empty after `base`.
  void Reset(raft::EntryId base) {
    base_ = base;
    entries_.clear();
  }
  // Entries up to `index` go. REQUIRES: base().index <= index <= last().
  void CutTo(LogIndex index) {
    const std::optional<Term> term = TermAt(index);
    CHECK(term.has_value());
    const auto count = static_cast<std::ptrdiff_t>(index.value() - base_.index.value());
    entries_.erase(entries_.begin(), entries_.begin() + count);
    base_ = {*term, index};
  }

 private:
  raft::EntryId base_;
  std::vector<raft::Entry> entries_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_LOG_IMAGE_H_
