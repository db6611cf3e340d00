#include "server/engine/overlay/flush_batch.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/coding.h"
#include "queue/job.h"
#include "server/codec/row_keys.h"

namespace holdfast {
namespace {

// The changes of kIndex, gathered by set, so that they come out in key order after sorting small
// numbers instead of long keys.
class IndexChanges {
 public:
  explicit IndexChanges(ShardId shard) : shard_(shard) {}

  void Put(const SetRef& set, SetKey place, std::string_view dedup_key = {}) {
    ChangesOf(set).push_back({place, dedup_key, false});
  }
  void Delete(const SetRef& set, SetKey place) { ChangesOf(set).push_back({place, {}, true}); }

  void AddTo(StateBatch* batch) {
    std::string key;
    for (auto& [prefix, changes] : sets_) {
      const auto before = [](const Change& a, const Change& b) { return a.place < b.place; };
      if (!std::is_sorted(changes.begin(), changes.end(), before)) {
        std::sort(changes.begin(), changes.end(), before);
      }
      for (const Change& change : changes) {
        key = prefix;
        PutBigEndian64(&key, change.place.key);
        PutBigEndian64(&key, change.place.id);
        if (change.is_delete) {
          batch->Delete(Table::kIndex, key);
        } else if (change.dedup_key.empty()) {
          batch->Put(Table::kIndex, key, std::string_view());
        } else {
          batch->Put(Table::kIndex, key, EncodeDedupIndexRow(change.dedup_key));
        }
      }
    }
  }

 private:
  struct Change {
    SetKey place;
    std::string_view dedup_key;
    bool is_delete;
  };
  struct Recent {
    SetRef set;
    std::vector<Change>* changes = nullptr;
  };

  std::vector<Change>& ChangesOf(const SetRef& set) {
    // Neighbours are mostly of the same few sets: one remembered of each kind.
    Recent& recent = recent_[static_cast<size_t>(set.kind)];
    if (recent.changes == nullptr || recent.set != set) {
      recent = {set, &sets_[IndexPrefix(shard_, set)]};
    }
    return *recent.changes;
  }

  const ShardId shard_;
  std::map<std::string, std::vector<Change>> sets_;  // by the set's prefix of keys
  Recent recent_[static_cast<size_t>(SetKind::kDedup) + 1];
};

bool Has(const IndexPlaces& places, const IndexPlace& place) {
  return std::find(places.begin(), places.end(), place) != places.end();
}

void AddJob(const Generation& generation, JobId id, const DirtyJob& dirty, IndexChanges* index,
            StateBatch* batch) {
  const std::string key = JobRowKey(generation.shard(), id);
  const IndexPlaces start =
      dirty.start == nullptr ? IndexPlaces() : IndexPlacesOf(id, *dirty.start);
  if (dirty.row == nullptr) {
    batch->Delete(Table::kJob, key);
    batch->Delete(Table::kPayload, key);
    for (const IndexPlace& place : start) index->Delete(place.set, place.key);
    return;
  }
  const absl::StatusOr<Job> job = DecodeJobRow(id, dirty.row_bytes());
  CHECK(job.ok());
  batch->PutReference(Table::kJob, key, dirty.row_bytes());
  if (!dirty.payload.none()) {
    CHECK_EQ(dirty.payload.size, job->payload_size_bytes);
    batch->PutReference(Table::kPayload, key, generation.PayloadOf(dirty));
  } else {
    // A job must not become durable without its payload.
    CHECK(dirty.start != nullptr || job->payload_size_bytes == 0);
  }
  const IndexPlaces now = IndexPlacesOf(id, PlacesOf(*job));
  for (const IndexPlace& place : start) {
    if (!Has(now, place)) index->Delete(place.set, place.key);
  }
  for (const IndexPlace& place : now) {
    if (!Has(start, place)) index->Put(place.set, place.key);
  }
}

void AddDedup(const Generation& generation, std::string_view whole_key, const DirtyDedup& dirty,
              IndexChanges* index, StateBatch* batch) {
  ByteReader in(whole_key);
  uint64_t queue_value = 0;
  std::string_view dedup_key;
  CHECK(in.BigEndian64(&queue_value) && in.Skip(in.remaining(), &dedup_key));
  const QueueId queue(queue_value);
  const SetRef set = {SetKind::kDedup, queue, 0, Holder()};
  const std::string key = DedupRowKey(generation.shard(), queue, dedup_key);
  if (dirty.at_start && !(dirty.present && dirty.place == dirty.start)) {
    index->Delete(set, dirty.start);
  }
  if (!dirty.present) return batch->Delete(Table::kMeta, key);
  index->Put(set, dirty.place, dedup_key);
  const DedupRecord record = {queue, std::string(dedup_key), JobId(dirty.place.id),
                              LogTime::FromMicros(dirty.place.key)};
  batch->Put(Table::kMeta, key, EncodeDedupRow(record));
}

void AddMeta(const Generation& generation, const AppliedRow& applied, StateBatch* batch) {
  const ShardId shard = generation.shard();
  batch->Put(Table::kMeta, LayoutKey(shard), EncodeLayoutRow(kLayoutVersion));
  batch->Put(Table::kMeta, AppliedKey(shard), EncodeAppliedRow(applied));
  for (const auto& [key, row] : generation.rows()) {
    if (row.has_value()) {
      batch->Put(Table::kMeta, key, *row);
    } else {
      batch->Delete(Table::kMeta, key);
    }
  }
  for (const auto& [id, record] : generation.queues()) {
    const std::string key = QueueRowKey(shard, id);
    if (record != nullptr) {
      batch->Put(Table::kMeta, key, EncodeQueueRow(*record));
    } else {
      batch->Delete(Table::kMeta, key);
    }
  }
}

}  // namespace

void AddToBatch(const Generation& generation, const AppliedRow& applied, StateBatch* batch) {
  IndexChanges index(generation.shard());
  AddMeta(generation, applied, batch);
  for (const auto& [key, dirty] : generation.dedups()) {
    AddDedup(generation, key, dirty, &index, batch);
  }
  generation.ForEachJob(
      [&](JobId id, const DirtyJob& dirty) { AddJob(generation, id, dirty, &index, batch); });
  index.AddTo(batch);
}

}  // namespace holdfast
