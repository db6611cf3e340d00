#include "storage/log/entry_index.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast {

Term EntryIndex::Shard::TermOf(LogIndex index) const {
  auto after = std::upper_bound(runs.begin(), runs.end(), index,
                                [](LogIndex i, const TermRun& run) { return i < run.from; });
  CHECK(after != runs.begin());
  return std::prev(after)->term;
}

uint64_t& EntryIndex::Live(uint32_t segment) {
  CHECK_GE(segment, oldest_segment_);
  CHECK_LT(segment - oldest_segment_, live_.size());
  return live_[segment - oldest_segment_];
}

void EntryIndex::DropFront(Shard* shard) {
  const EntryPosition& entry = shard->entries.front();
  shard->retained_bytes -= RecordBytes(entry.payload_bytes);
  --Live(entry.segment);
  shard->entries.pop_front();
  shard->held_first = Next(shard->held_first);
}

void EntryIndex::DropBack(Shard* shard) {
  const EntryPosition& entry = shard->entries.back();
  shard->retained_bytes -= RecordBytes(entry.payload_bytes);
  --Live(entry.segment);
  shard->entries.pop_back();
}

void EntryIndex::DropAll(Shard* shard) {
  while (!shard->entries.empty()) DropBack(shard);
  shard->runs.clear();
}

absl::Status EntryIndex::ApplyEntry(const RecordHeader& record, EntryPosition position) {
  Shard& shard = shards_[record.shard];
  const LogIndex index = record.index;
  const bool impossible = index.value() == UINT64_MAX;
  if (impossible || index < shard.first || index > Next(shard.Last())) {
    return absl::DataLossError(absl::StrCat("shard ", record.shard.value(), ": entry ",
                                            index.value(), " does not follow entries [",
                                            shard.first.value(), ", ", shard.Last().value(), "]"));
  }
  if (index < shard.held_first) {
    DropAll(&shard);
    shard.held_first = index;
  }
  while (index <= shard.Last()) DropBack(&shard);
  while (!shard.runs.empty() && shard.runs.back().from >= index) shard.runs.pop_back();
  if (shard.runs.empty() || shard.runs.back().term != record.term) {
    shard.runs.push_back({index, record.term});
  }
  shard.entries.push_back(position);
  shard.retained_bytes += RecordBytes(position.payload_bytes);
  ++Live(position.segment);
  return absl::OkStatus();
}

absl::Status EntryIndex::ApplyCompact(const RecordHeader& record) {
  Shard& shard = shards_[record.shard];
  const LogIndex through = record.index;
  if (through < shard.first) return absl::OkStatus();
  if (through > shard.Last()) {
    return absl::DataLossError(absl::StrCat("shard ", record.shard.value(), ": compacted through ",
                                            through.value(), ", but its last entry is ",
                                            shard.Last().value()));
  }
  while (shard.held_first <= through) DropFront(&shard);
  shard.first = Next(through);
  shard.compacted_term = record.term;
  // Keep the run that covers the new first entry.
  auto after = std::upper_bound(shard.runs.begin(), shard.runs.end(), shard.held_first,
                                [](LogIndex i, const TermRun& run) { return i < run.from; });
  if (shard.entries.empty()) {
    shard.runs.clear();
  } else {
    CHECK(after != shard.runs.begin());
    shard.runs.erase(shard.runs.begin(), std::prev(after));
  }
  return absl::OkStatus();
}

absl::Status EntryIndex::Apply(const RecordHeader& record, EntryPosition position, ReplicaId vote) {
  switch (record.kind) {
    case StoredKind::kEntry:
      return ApplyEntry(record, position);
    case StoredKind::kHardState:
      shards_[record.shard].hard_state = {record.term, vote, record.index};
      return absl::OkStatus();
    case StoredKind::kCompact:
      return ApplyCompact(record);
    case StoredKind::kReset: {
      if (record.index.value() == UINT64_MAX) {
        return absl::DataLossError(
            absl::StrCat("shard ", record.shard.value(), ": reset to an impossible index"));
      }
      Shard& shard = shards_[record.shard];
      DropAll(&shard);
      shard.first = Next(record.index);
      shard.held_first = shard.first;
      shard.compacted_term = record.term;
      return absl::OkStatus();
    }
    case StoredKind::kSeal:
      return absl::OkStatus();
    case StoredKind::kCheckpoint:
      break;
  }
  return absl::DataLossError("a checkpoint that is not the first record of its segment");
}

void EntryIndex::Load(const std::vector<ShardMark>& marks) {
  CHECK(shards_.empty());
  for (const ShardMark& mark : marks) {
    Shard& shard = shards_[mark.shard];
    shard.hard_state = mark.hard_state;
    shard.first = mark.first;
    shard.held_first = Next(mark.last);
    shard.compacted_term = mark.compacted_term;
  }
}

absl::Status EntryIndex::CheckComplete() const {
  for (const auto& [id, shard] : shards_) {
    if (shard.first != shard.held_first) {
      return absl::DataLossError(absl::StrCat(
          "shard ", id.value(), ": entries [", shard.first.value(), ", ",
          Previous(shard.held_first).value(), "] are in a segment file that is missing"));
    }
  }
  return absl::OkStatus();
}

std::vector<ShardMark> EntryIndex::Marks() const {
  std::vector<ShardMark> marks;
  marks.reserve(shards_.size());
  for (const auto& [id, shard] : shards_) {
    marks.push_back({id, shard.hard_state, shard.first, shard.Last(), shard.compacted_term});
  }
  return marks;
}

ShardLog EntryIndex::Describe(ShardId id) const {
  const auto found = shards_.find(id);
  if (found == shards_.end()) return {};
  const Shard& shard = found->second;
  return {.hard_state = shard.hard_state,
          .first = shard.first,
          .last = shard.Last(),
          .last_term = shard.entries.empty() ? shard.compacted_term : shard.runs.back().term,
          .compacted_term = shard.compacted_term,
          .retained_bytes = shard.retained_bytes};
}

absl::StatusOr<Term> EntryIndex::TermAt(ShardId id, LogIndex index) const {
  const auto found = shards_.find(id);
  if (found == shards_.end() && index == LogIndex(0)) return Term(0);
  if (found != shards_.end()) {
    const Shard& shard = found->second;
    if (Next(index) == shard.first) return shard.compacted_term;
    if (index >= shard.held_first && index <= shard.Last()) return shard.TermOf(index);
  }
  const ShardLog log = Describe(id);
  return absl::OutOfRangeError(absl::StrCat("term of entry ", index.value(), " of shard ",
                                            id.value(), ", which holds [", log.first.value(), ", ",
                                            log.last.value(), "]"));
}

absl::Status EntryIndex::Locate(ShardId id, LogIndex begin, LogIndex end, uint64_t bytes_max,
                                std::vector<LocatedEntry>* located) const {
  const auto found = shards_.find(id);
  const LogIndex first = found == shards_.end() ? LogIndex(1) : found->second.first;
  if (begin < first) {
    return absl::OutOfRangeError(absl::StrCat("entry ", begin.value(), " of shard ", id.value(),
                                              " is compacted; the first is ", first.value()));
  }
  if (found == shards_.end()) return absl::OkStatus();
  const Shard& shard = found->second;
  end = std::min(end, Next(shard.Last()));
  if (begin >= end) return absl::OkStatus();
  auto run = std::upper_bound(shard.runs.begin(), shard.runs.end(), begin,
                              [](LogIndex i, const TermRun& r) { return i < r.from; });
  CHECK(run != shard.runs.begin());
  --run;
  uint64_t bytes = 0;
  for (LogIndex index = begin; index < end; index = Next(index)) {
    const EntryPosition& position = shard.entries[index.value() - shard.held_first.value()];
    bytes += position.payload_bytes;
    if (bytes > bytes_max && index != begin) break;
    while (std::next(run) != shard.runs.end() && std::next(run)->from <= index) ++run;
    located->push_back({index, run->term, position});
  }
  return absl::OkStatus();
}

void EntryIndex::AddSegment(uint64_t sequence) {
  CHECK_LE(sequence, UINT32_MAX);
  if (live_.empty()) oldest_segment_ = sequence;
  CHECK_EQ(sequence, oldest_segment_ + live_.size());
  live_.push_back(0);
}

uint64_t EntryIndex::LiveInOldest() const {
  CHECK(!live_.empty());
  return live_.front();
}

void EntryIndex::RemoveOldest() {
  CHECK_EQ(LiveInOldest(), 0u);
  live_.pop_front();
  ++oldest_segment_;
}

LogIndex EntryIndex::LastThrough(ShardId id, uint64_t segment) const {
  const auto found = shards_.find(id);
  if (found == shards_.end()) return LogIndex();
  // A shard's positions rise.
  const std::deque<EntryPosition>& entries = found->second.entries;
  const auto behind =
      std::upper_bound(entries.begin(), entries.end(), segment,
                       [](uint64_t s, const EntryPosition& p) { return s < p.segment; });
  if (behind == entries.begin()) return LogIndex();
  return LogIndex(found->second.held_first.value() +
                  static_cast<uint64_t>(behind - entries.begin()) - 1);
}

LogUsage EntryIndex::Usage() const {
  LogUsage usage;
  for (const auto& [id, shard] : shards_) {
    usage.retained_bytes += shard.retained_bytes;
    usage.shards.push_back(id);
  }
  return usage;
}

}  // namespace holdfast
