#include "replication/node/replica_log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast {
namespace {

using raft::Entry;
using raft::LogRead;

constexpr size_t kChunksMax = 4;
constexpr size_t kFetchesMax = 16;
// A fetch costs a switch of threads and a seek: more than one entry is worth it.
constexpr uint64_t kFetchBytesMin = 1 << 20;

// The term of the store's entry `index`, which is in [first - 1, last].
Term StoredTerm(const LogStore& store, ShardId shard, LogIndex index) {
  const absl::StatusOr<Term> term = store.TermAt(shard, index);
  CHECK(term.ok());
  return *term;
}

}  // namespace

void ReplicaLog::Load(const LogStore& store, ShardId shard) {
  const ShardLog log = store.Describe(shard);
  first_ = log.first;
  last_ = log.last;
  tail_.clear();
  tail_bytes_ = 0;
  chunks_.clear();
  wanted_.clear();
  runs_.clear();
  // Terms never fall along the log: each run's end is found by halving.
  for (LogIndex from = Previous(first_); from <= last_;) {
    const Term term = StoredTerm(store, shard, from);
    runs_.push_back({from, term});
    uint64_t same = from.value();
    uint64_t beyond = last_.value() + 1;
    while (beyond - same > 1) {
      const uint64_t middle = same + (beyond - same) / 2;
      (StoredTerm(store, shard, LogIndex(middle)) == term ? same : beyond) = middle;
    }
    from = LogIndex(beyond);
  }
}

void ReplicaLog::AddTerm(LogIndex index, Term term) {
  if (runs_.empty() || runs_.back().term != term) runs_.push_back({index, term});
}

void ReplicaLog::Truncate(LogIndex from) {
  if (from > last_) return;
  for (; !tail_.empty() && tail_.back().index >= from; tail_.pop_back()) {
    tail_bytes_ -= tail_.back().size_bytes();
  }
  while (!runs_.empty() && runs_.back().from >= from) runs_.pop_back();
  for (std::vector<Entry>& chunk : chunks_) {
    while (!chunk.empty() && chunk.back().index >= from) chunk.pop_back();
  }
  last_ = Previous(from);
}

void ReplicaLog::Append(absl::Span<const Entry> entries) {
  if (entries.empty()) return;
  CHECK(first_ <= entries.front().index && entries.front().index <= Next(last_));
  Truncate(entries.front().index);
  for (const Entry& entry : entries) {
    CHECK_EQ(entry.index.value(), last_.value() + 1);
    AddTerm(entry.index, entry.term);
    tail_.push_back(entry);
    tail_bytes_ += entry.size_bytes();
    last_ = entry.index;
  }
}

void ReplicaLog::Reset(raft::EntryId snapshot) {
  first_ = Next(snapshot.index);
  last_ = snapshot.index;
  runs_ = {{snapshot.index, snapshot.term}};
  tail_.clear();
  tail_bytes_ = 0;
  chunks_.clear();
  wanted_.clear();
}

void ReplicaLog::Compact(LogIndex through) {
  CHECK_LE(through.value(), last_.value());
  if (through < first_) return;
  first_ = Next(through);
  while (runs_.size() > 1 && runs_[1].from <= through) runs_.erase(runs_.begin());
  for (; !tail_.empty() && tail_.front().index <= through; tail_.pop_front()) {
    tail_bytes_ -= tail_.front().size_bytes();
  }
}

void ReplicaLog::TrimTail(LogIndex needless, uint64_t bytes_max) {
  while (!tail_.empty() && (tail_.front().index <= needless || tail_bytes_ > bytes_max)) {
    tail_bytes_ -= tail_.front().size_bytes();
    tail_.pop_front();
  }
}

std::optional<ReplicaLog::Fetch> ReplicaLog::NextFetch() {
  if (fetching_ || wanted_.empty()) return std::nullopt;
  const Fetch fetch = wanted_.front();
  wanted_.pop_front();
  fetching_ = true;
  return fetch;
}

void ReplicaLog::Fetched(std::vector<Entry> entries) {
  fetching_ = false;
  // The log may have been truncated, cut or reset meanwhile.
  const auto gone = [this](const Entry& entry) {
    Term term;
    return entry.index < first_ || entry.index > last_ ||
           TermAt(entry.index, &term) != LogRead::kOk || term != entry.term;
  };
  entries.erase(std::remove_if(entries.begin(), entries.end(), gone), entries.end());
  if (entries.empty()) return;
  if (chunks_.size() >= kChunksMax) chunks_.pop_front();
  chunks_.push_back(std::move(entries));
}

void ReplicaLog::OfferSnapshot(std::optional<raft::SnapshotDescriptor> snapshot) {
  snapshot_ = std::move(snapshot);
  wants_snapshot_ = false;
}

LogRead ReplicaLog::TermAt(LogIndex index, Term* term) const {
  if (index < Previous(first_)) return LogRead::kCompacted;
  if (index > last_) return LogRead::kAbsent;
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), index,
                       [](LogIndex at, const TermRun& run) { return at < run.from; });
  CHECK(after != runs_.begin());
  *term = (after - 1)->term;
  return LogRead::kOk;
}

const std::vector<Entry>* ReplicaLog::ChunkOf(LogIndex index) const {
  for (const std::vector<Entry>& chunk : chunks_) {
    if (!chunk.empty() && chunk.front().index <= index && index <= chunk.back().index) {
      return &chunk;
    }
  }
  return nullptr;
}

void ReplicaLog::Want(const Fetch& fetch) const {
  for (const Fetch& wanted : wanted_) {
    if (wanted.begin == fetch.begin) return;
  }
  if (wanted_.size() < kFetchesMax) wanted_.push_back(fetch);
}

LogRead ReplicaLog::Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                         std::vector<Entry>* entries) const {
  if (begin < first_) return LogRead::kCompacted;
  if (begin >= end || end > Next(last_)) return LogRead::kAbsent;
  uint64_t bytes = 0;
  LogIndex next = begin;
  const auto take = [&](const Entry& entry) {
    bytes += entry.size_bytes();
    if (next != begin && bytes > bytes_max) return false;
    entries->push_back(entry);
    next = Next(entry.index);
    return true;
  };
  while (next < end) {
    if (next >= TailFirst()) {
      if (!take(tail_[next.value() - TailFirst().value()])) break;
      continue;
    }
    const std::vector<Entry>* chunk = ChunkOf(next);
    if (chunk == nullptr) {
      if (next != begin) break;
      Want({begin, std::min(end, TailFirst()), std::max(bytes_max, kFetchBytesMin)});
      return LogRead::kNotYet;
    }
    if (!take((*chunk)[next.value() - chunk->front().index.value()])) break;
    // Read to its end: whoever comes later asks again.
    if (next > chunk->back().index) {
      chunks_.erase(std::find_if(chunks_.begin(), chunks_.end(),
                                 [&](const auto& other) { return &other == chunk; }));
    }
  }
  return LogRead::kOk;
}

LogRead ReplicaLog::Snapshot(raft::SnapshotDescriptor* snapshot) {
  if (!snapshot_.has_value() || snapshot_->index < Previous(first_)) {
    wants_snapshot_ = true;
    return LogRead::kNotYet;
  }
  *snapshot = *snapshot_;
  return LogRead::kOk;
}

}  // namespace holdfast
