// Keys of the stored rows, by table. Every key begins with the shard as a big-endian u32, so one
// store serves all shards of a node and each shard is one range of each table.
//
//   table     key after the shard                                     value (row_codec.h)
//   kMeta     kind u8, then by kind (MetaKind below)                  by kind
//   kJob      job id u64                                              job row
//   kPayload  job id u64                                              payload (payload_codec.h)
//   kIndex    set kind u8, set, key u64, job id u64                   empty; kDedup: dedup row
//
// All numbers in keys are big-endian, so bytes sort as numbers do. Every byte: FORMAT.md, "Keys".
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CODEC_ROW_KEYS_H_
#define HOLDFAST_SERVER_CODEC_ROW_KEYS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "queue/job.h"
#include "queue/records.h"

namespace holdfast {

// What a kMeta row is; the byte after the shard. Numbers are stored, so they are for good. A
// restart reads the kinds below kDedupByKey into memory; kDedupByKey rows are looked up one by one.
enum class MetaKind : uint8_t {
  kLayout = 1,   // the version of the shard's layout
  kApplied = 2,  // how far the rows have come
  kGlobals = 3,
  kQueue = 4,           // queue id u64
  kHolder = 5,          // node u64, incarnation u64, n u64
  kNodeFloor = 6,       // node u64
  kSession = 8,         // session u64
  kSessionOutcome = 9,  // session u64, sequence u64
  kGrave = 10,          // set kind u8, queue id u64, epoch u32, holder's three u64
  kClusterRecord = 11,
  kRequest = 12,     // expires u64, digest high u64, low u64; 7 was the same without the first
  kDedupByKey = 64,  // queue id u64, then the dedup key's bytes
};

// --- Ranges: [begin, end).
struct KeyRange {
  std::string begin;
  std::string end;
};
// All rows of a shard, in any table.
KeyRange ShardRange(ShardId shard);
// The kMeta rows of one kind.
KeyRange MetaRange(ShardId shard, MetaKind kind);
// The members of a set from `from` (inclusive) on, in kIndex.
KeyRange SetRange(ShardId shard, const SetRef& set, SetKey from);

// --- Keys.
// kJob and kPayload.
std::string JobRowKey(ShardId shard, JobId job);
std::string LayoutKey(ShardId shard);
std::string AppliedKey(ShardId shard);
std::string QueueRowKey(ShardId shard, QueueId queue);
std::string DedupRowKey(ShardId shard, QueueId queue, std::string_view key);
std::string SmallRowKeyBytes(ShardId shard, const SmallRowKey& key);
// The same into a string that is used again.
void SmallRowKeyBytes(ShardId shard, const SmallRowKey& key, std::string* out);
// kIndex. Fields of the set that do not count for its kind are left out of the key, and of kTtl
// the epoch is too: a job's ttl place does not move when its state does.
std::string IndexKey(ShardId shard, const SetRef& set, SetKey place);

// What the keys of all members of a set begin with.
std::string IndexPrefix(ShardId shard, const SetRef& set);

// The sets that a job with these places is a member of, and where: first its state's set.
struct IndexPlace {
  SetRef set;
  SetKey key;

  bool operator==(const IndexPlace&) const = default;
};
struct IndexPlaces {
  IndexPlace places[3];
  int size = 0;

  const IndexPlace* begin() const { return places; }
  const IndexPlace* end() const { return places + size; }
};
IndexPlaces IndexPlacesOf(JobId job, const JobPlaces& places);

// --- Back from keys. DataLoss naming table and key (in hex) if they are malformed.
absl::StatusOr<JobId> ParseJobRowKey(ShardId shard, std::string_view key);
absl::StatusOr<QueueId> ParseQueueRowKey(ShardId shard, std::string_view key);
absl::StatusOr<SetKey> ParseIndexKey(ShardId shard, const SetRef& set, std::string_view key);
// A kMeta key of kind kGlobals..kClusterRecord without kQueue.
absl::StatusOr<SmallRowKey> ParseSmallRowKey(ShardId shard, std::string_view key);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CODEC_ROW_KEYS_H_
