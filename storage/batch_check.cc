#include "storage/batch_check.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast {
namespace {

// A shard's log as the records of the batch so far will have made it.
struct Range {
  ShardId shard;
  LogIndex first;
  LogIndex last;
  bool changed = false;  // by an entry or a reset of this batch
};

Range& RangeOf(ShardId shard, const LogStore& store, std::vector<Range>* ranges) {
  // Batches come shard by shard, so the last one is nearly always the one.
  const auto found = std::find_if(ranges->rbegin(), ranges->rend(),
                                  [&](const Range& range) { return range.shard == shard; });
  if (found != ranges->rend()) return *found;
  const ShardLog log = store.Describe(shard);
  ranges->push_back({shard, log.first, log.last, false});
  return ranges->back();
}

}  // namespace

absl::Status CheckBatch(const LogBatch& batch, const LogStore& store) {
  std::vector<Range> ranges;
  for (const LogRecord& record : batch.records()) {
    if (record.payload_bytes > kLogEntryBytesMax) {
      return absl::InvalidArgumentError(absl::StrCat(
          "entry ", record.index.value(), " of shard ", record.shard.value(), " has ",
          record.payload_bytes, " bytes; at most ", kLogEntryBytesMax, " are allowed"));
    }
    Range& range = RangeOf(record.shard, store, &ranges);
    switch (record.kind) {
      case LogRecord::Kind::kEntry:
        CHECK_GE(record.index, range.first);
        CHECK_LE(record.index, Next(range.last));
        range.last = record.index;
        range.changed = true;
        break;
      case LogRecord::Kind::kHardState:
        break;
      case LogRecord::Kind::kCompact:
        CHECK_LE(record.index, range.last);
        if (record.index < range.first) break;
        if (!range.changed) {
          const absl::StatusOr<Term> term = store.TermAt(record.shard, record.index);
          CHECK(term.ok());
          CHECK_EQ(*term, record.term);
        }
        range.first = Next(record.index);
        break;
      case LogRecord::Kind::kReset:
        range.first = Next(record.index);
        range.last = record.index;
        range.changed = true;
        break;
    }
  }
  return absl::OkStatus();
}

}  // namespace holdfast
