#include "replication/raft/raft_log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/mutant.h"

namespace holdfast::raft {
namespace {

// Drops entries at the end of `out`, past `begin` + 1, so that those from `begin` on cost at most
// `bytes_max`. Returns what is left of it.
uint64_t LimitCost(size_t begin, uint64_t bytes_max, std::vector<Entry>* out) {
  uint64_t cost = 0;
  for (size_t i = begin; i < out->size(); ++i) {
    const uint64_t more = CostOf((*out)[i]);
    if (i > begin && more > bytes_max - cost) {
      out->resize(i);
      return 0;
    }
    if (more >= bytes_max - cost) {
      out->resize(i + 1);
      return 0;
    }
    cost += more;
  }
  return bytes_max - cost;
}

}  // namespace

RaftLog::RaftLog(const Options& options)
    : reader_(options.reader),
      unstable_(options.reader->Last()),
      commit_(Previous(options.reader->First())),
      applying_(commit_),
      applied_(commit_),
      apply_from_(options.apply_from),
      applying_bytes_max_(options.applying_bytes_max) {}

void RaftLog::Load(LogIndex commit, LogIndex applied) {
  CHECK_LE(commit, last());
  CHECK_LE(applied, last());
  // The stored commit index is a hint: a crash may have kept an older one than all else.
  applied_ = std::max(applied_, applied);
  applying_ = applied_;
  commit_ = std::max({commit_, commit, applied_});
}

LogIndex RaftLog::first() const {
  if (unstable_.snapshot() != nullptr) return Next(unstable_.snapshot()->index);
  return reader_->First();
}

LogIndex RaftLog::last() const {
  if (!unstable_.empty() || unstable_.snapshot() != nullptr) return Previous(unstable_.end());
  return reader_->Last();
}

EntryId RaftLog::LastId() const {
  EntryId id{.term = Term(), .index = last()};
  CHECK(TermAt(id.index, &id.term) == LogRead::kOk);
  return id;
}

LogRead RaftLog::TermAt(LogIndex index, Term* term) const {
  if (const std::optional<Term> unstable = unstable_.TermAt(index)) {
    *term = *unstable;
    return LogRead::kOk;
  }
  if (Next(index) < first()) return LogRead::kCompacted;
  if (index > last()) return LogRead::kAbsent;
  return reader_->TermAt(index, term);
}

bool RaftLog::Has(EntryId id) const {
  Term term;
  return TermAt(id.index, &term) == LogRead::kOk && term == id.term;
}

LogRead RaftLog::Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                      std::vector<Entry>* out) const {
  CHECK_LE(begin, end);
  if (begin < first()) return LogRead::kCompacted;
  CHECK_LE(Previous(end), last());
  if (begin == end) return LogRead::kOk;
  const size_t before = out->size();
  uint64_t left = bytes_max;
  if (begin < unstable_.offset()) {
    const LogIndex stored_end = std::min(end, unstable_.offset());
    const LogRead read = reader_->Read(begin, stored_end, bytes_max, out);
    if (read != LogRead::kOk) return read;
    left = LimitCost(before, bytes_max, out);
    begin = LogIndex(begin.value() + (out->size() - before));
    if (left == 0 || begin < stored_end) return LogRead::kOk;
  }
  for (; begin < end; begin = Next(begin)) {
    const Entry& entry = unstable_.at(begin);
    const uint64_t cost = CostOf(entry);
    if (cost > left && out->size() > before) break;
    out->push_back(entry);
    left -= std::min(cost, left);
  }
  return LogRead::kOk;
}

EntryId RaftLog::AgreementGuess(LogIndex index, Term term) const {
  for (; index > LogIndex(); index = Previous(index)) {
    Term own;
    if (TermAt(index, &own) != LogRead::kOk) return {.term = Term(), .index = index};
    if (own <= term) return {.term = own, .index = index};
  }
  return {};
}

LogRead RaftLog::Snapshot(SnapshotDescriptor* snapshot) const {
  if (unstable_.snapshot() != nullptr) {
    *snapshot = *unstable_.snapshot();
    return LogRead::kOk;
  }
  return reader_->Snapshot(snapshot);
}

// The position in `entries` of the first that this log does not have.
size_t RaftLog::FirstNew(const std::vector<Entry>& entries) const {
  size_t i = 0;
  while (i < entries.size() && Has({.term = entries[i].term, .index = entries[i].index})) ++i;
  return i;
}

std::optional<LogIndex> RaftLog::Accept(EntryId previous, std::vector<Entry>* entries) {
  if (!Has(previous)) return std::nullopt;
  const LogIndex agreed(previous.index.value() + entries->size());
  const size_t first_new = FirstNew(*entries);
  if (first_new == entries->size()) return agreed;
  CHECK_GT((*entries)[first_new].index, commit_);  // what is committed is never replaced
  ForgetConfigChangesFrom((*entries)[first_new].index);
  unstable_.TruncateAndAppend(entries, first_new);
  return agreed;
}

void RaftLog::Restore(std::shared_ptr<const SnapshotDescriptor> snapshot) {
  commit_ = snapshot->index;
  ForgetConfigChangesFrom(LogIndex(1));
  unstable_.Restore(std::move(snapshot));
}

void RaftLog::CommitTo(LogIndex index) {
  if (MutantIs(Mutant::kCommitGoesBack)) {
    commit_ = std::max(std::min(index, last()), applying_);
    return;
  }
  if (index <= commit_) return;
  CHECK_LE(index, last());  // else the log has lost what it had acknowledged
  commit_ = index;
}

LogIndex RaftLog::Appliable() const {
  if (apply_from_ == ApplyFrom::kUnstored) return commit_;
  return std::min(commit_, Previous(unstable_.offset()));
}

bool RaftLog::HasCommitted() const {
  // What comes first, a snapshot or the entries after it, is never a question: the snapshot.
  return !applying_full_ && unstable_.snapshot() == nullptr && applying_ < Appliable();
}

LogRead RaftLog::TakeCommitted(std::vector<Entry>* entries) {
  if (!HasCommitted()) return LogRead::kOk;
  CHECK_LT(applying_bytes_, applying_bytes_max_);
  const LogRead read =
      Read(Next(applying_), Next(Appliable()), applying_bytes_max_ - applying_bytes_, entries);
  if (read != LogRead::kOk) {
    CHECK(read == LogRead::kNotYet);
    return read;
  }
  Batch batch{.last = entries->back().index};
  for (const Entry& entry : *entries) {
    batch.cost += CostOf(entry);
    batch.data_bytes += entry.size_bytes();
  }
  applying_ = batch.last;
  applying_bytes_ += batch.cost;
  applying_full_ = applying_bytes_ >= applying_bytes_max_ || applying_ < Appliable();
  applying_batches_.PushBack(batch);
  return LogRead::kOk;
}

uint64_t RaftLog::OnApplied(LogIndex index) {
  CHECK_LE(applied_, index);
  CHECK_LE(index, commit_);
  applied_ = index;
  applying_ = std::max(applying_, index);
  uint64_t data_bytes = 0;
  while (!applying_batches_.empty() && applying_batches_.front().last <= index) {
    applying_bytes_ -= applying_batches_.front().cost;
    data_bytes += applying_batches_.front().data_bytes;
    applying_batches_.PopFront();
  }
  applying_full_ = applying_bytes_ >= applying_bytes_max_;
  return data_bytes;
}

void RaftLog::OnSnapshotInstalled(LogIndex index) {
  unstable_.OnSnapshotStored(index);
  OnApplied(std::max(index, applied_));
}

LogRead RaftLog::FindConfigChanges(uint64_t bytes_max) {
  std::erase_if(config_changes_, [this](LogIndex index) { return index <= applied_; });
  searched_ = std::max(searched_, applied_);
  std::vector<Entry> page;
  while (searched_ < last()) {
    page.clear();
    const LogRead read = Read(Next(searched_), Next(last()), bytes_max, &page);
    if (read != LogRead::kOk) return read;
    for (const Entry& entry : page) {
      if (entry.type == EntryType::kConfiguration) config_changes_.push_back(entry.index);
    }
    searched_ = page.back().index;
  }
  return LogRead::kOk;
}

void RaftLog::ForgetConfigChangesFrom(LogIndex index) {
  if (index > searched_) return;
  searched_ = Previous(index);
  std::erase_if(config_changes_, [this](LogIndex change) { return change > searched_; });
}

void RaftLog::ReleaseIfEmpty() {
  unstable_.ReleaseIfEmpty();
  applying_batches_.ReleaseIfEmpty();
}

}  // namespace holdfast::raft
