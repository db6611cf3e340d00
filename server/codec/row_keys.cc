#include "server/codec/row_keys.h"

#include <type_traits>
#include <variant>

#include "base/check.h"
#include "base/coding.h"
#include "server/codec/row_codec.h"

namespace holdfast {
namespace {

constexpr size_t kShardBytes = 4;

std::string Begin(ShardId shard, size_t size) {
  std::string key;
  key.reserve(kShardBytes + size);
  PutBigEndian32(&key, shard.value());
  return key;
}

std::string BeginMeta(ShardId shard, MetaKind kind, size_t size = 0) {
  std::string key = Begin(shard, 1 + size);
  PutFixed8(&key, static_cast<uint8_t>(kind));
  return key;
}

// The first key after all that begin with `prefix`. REQUIRES: not all bytes are 0xff.
std::string AfterPrefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  CHECK(!prefix.empty());
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

void PutHolder(std::string* key, const Holder& holder) {
  PutBigEndian64(key, holder.node.value());
  PutBigEndian64(key, holder.incarnation);
  PutBigEndian64(key, holder.n);
}

void PutSet(std::string* key, const SetRef& set) {
  PutFixed8(key, static_cast<uint8_t>(set.kind));
  switch (set.kind) {
    case SetKind::kReady:
    case SetKind::kDelayed:
    case SetKind::kReserved:
    case SetKind::kBuried:
      PutBigEndian64(key, set.queue.value());
      PutBigEndian32(key, set.epoch);
      return;
    case SetKind::kTtl:
    case SetKind::kDedup:
      PutBigEndian64(key, set.queue.value());
      return;
    case SetKind::kHeld:
      PutHolder(key, set.holder);
      return;
  }
  CHECK(false);
}

// All fields, so that any two sets differ.
void PutGraveSet(std::string* key, const SetRef& set) {
  PutFixed8(key, static_cast<uint8_t>(set.kind));
  PutBigEndian64(key, set.queue.value());
  PutBigEndian32(key, set.epoch);
  PutHolder(key, set.holder);
}

// --- Back.
absl::Status Malformed(std::string_view table, std::string_view key) {
  return RowError(absl::DataLossError("malformed key"), table, key);
}

bool ReadShard(ByteReader* in, ShardId shard) {
  uint32_t value = 0;
  return in->BigEndian32(&value) && value == shard.value();
}
template <class Tag>
bool ReadId(ByteReader* in, StrongInt<Tag, uint64_t>* id) {
  uint64_t value = 0;
  if (!in->BigEndian64(&value)) return false;
  *id = StrongInt<Tag, uint64_t>(value);
  return true;
}
bool ReadHolder(ByteReader* in, Holder* holder) {
  return ReadId(in, &holder->node) && in->BigEndian64(&holder->incarnation) &&
         in->BigEndian64(&holder->n);
}
bool ReadGraveSet(ByteReader* in, SetRef* set) {
  uint8_t kind = 0;
  if (!in->Fixed8(&kind) || kind > static_cast<uint8_t>(SetKind::kDedup)) return false;
  set->kind = static_cast<SetKind>(kind);
  return ReadId(in, &set->queue) && in->BigEndian32(&set->epoch) && ReadHolder(in, &set->holder);
}

bool ReadSmallRowKey(ByteReader* in, MetaKind kind, SmallRowKey* out) {
  switch (kind) {
    case MetaKind::kGlobals:
      out->emplace<GlobalsKey>();
      return true;
    case MetaKind::kHolder:
      return ReadHolder(in, &out->emplace<HolderKey>().holder);
    case MetaKind::kNodeFloor:
      return ReadId(in, &out->emplace<NodeFloorKey>().node);
    case MetaKind::kRequest: {
      auto& key = out->emplace<RequestKey>();
      uint64_t expires = 0;
      if (!in->BigEndian64(&expires)) return false;
      key.expires = LogTime::FromMicros(expires);
      return in->BigEndian64(&key.digest_high) && in->BigEndian64(&key.digest_low);
    }
    case MetaKind::kSession:
      return ReadId(in, &out->emplace<SessionKey>().session);
    case MetaKind::kSessionOutcome: {
      auto& key = out->emplace<SessionOutcomeKey>();
      return ReadId(in, &key.session) && in->BigEndian64(&key.sequence);
    }
    case MetaKind::kGrave:
      return ReadGraveSet(in, &out->emplace<GraveKey>().set);
    case MetaKind::kClusterRecord:
      out->emplace<ClusterRecordKey>();
      return true;
    case MetaKind::kLayout:
    case MetaKind::kApplied:
    case MetaKind::kQueue:
    case MetaKind::kDedupByKey:
      return false;
  }
  return false;
}

}  // namespace

KeyRange ShardRange(ShardId shard) {
  CHECK_LT(shard.value(), UINT32_MAX);
  std::string begin = Begin(shard, 0);
  return {begin, AfterPrefix(begin)};
}

KeyRange MetaRange(ShardId shard, MetaKind kind) {
  std::string begin = BeginMeta(shard, kind);
  return {begin, AfterPrefix(begin)};
}

KeyRange SetRange(ShardId shard, const SetRef& set, SetKey from) {
  return {IndexKey(shard, set, from), AfterPrefix(IndexPrefix(shard, set))};
}

std::string JobRowKey(ShardId shard, JobId job) {
  std::string key = Begin(shard, 8);
  PutBigEndian64(&key, job.value());
  return key;
}

std::string LayoutKey(ShardId shard) { return BeginMeta(shard, MetaKind::kLayout); }
std::string AppliedKey(ShardId shard) { return BeginMeta(shard, MetaKind::kApplied); }

std::string QueueRowKey(ShardId shard, QueueId queue) {
  std::string key = BeginMeta(shard, MetaKind::kQueue, 8);
  PutBigEndian64(&key, queue.value());
  return key;
}

std::string DedupRowKey(ShardId shard, QueueId queue, std::string_view dedup_key) {
  std::string key = BeginMeta(shard, MetaKind::kDedupByKey, 8 + dedup_key.size());
  PutBigEndian64(&key, queue.value());
  key.append(dedup_key);
  return key;
}

std::string SmallRowKeyBytes(ShardId shard, const SmallRowKey& small) {
  std::string key;
  SmallRowKeyBytes(shard, small, &key);
  return key;
}

void SmallRowKeyBytes(ShardId shard, const SmallRowKey& small, std::string* key) {
  key->clear();
  PutBigEndian32(key, shard.value());
  const auto kind = [key](MetaKind k) { PutFixed8(key, static_cast<uint8_t>(k)); };
  if (std::holds_alternative<GlobalsKey>(small)) {
    kind(MetaKind::kGlobals);
  } else if (const auto* holder = std::get_if<HolderKey>(&small)) {
    kind(MetaKind::kHolder);
    PutHolder(key, holder->holder);
  } else if (const auto* floor = std::get_if<NodeFloorKey>(&small)) {
    kind(MetaKind::kNodeFloor);
    PutBigEndian64(key, floor->node.value());
  } else if (const auto* request = std::get_if<RequestKey>(&small)) {
    kind(MetaKind::kRequest);
    PutBigEndian64(key, request->expires.micros());
    PutBigEndian64(key, request->digest_high);
    PutBigEndian64(key, request->digest_low);
  } else if (const auto* session = std::get_if<SessionKey>(&small)) {
    kind(MetaKind::kSession);
    PutBigEndian64(key, session->session.value());
  } else if (const auto* outcome = std::get_if<SessionOutcomeKey>(&small)) {
    kind(MetaKind::kSessionOutcome);
    PutBigEndian64(key, outcome->session.value());
    PutBigEndian64(key, outcome->sequence);
  } else if (std::holds_alternative<ClusterRecordKey>(small)) {
    kind(MetaKind::kClusterRecord);
  } else {
    kind(MetaKind::kGrave);
    PutGraveSet(key, std::get<GraveKey>(small).set);
  }
}

std::string IndexPrefix(ShardId shard, const SetRef& set) {
  std::string prefix = Begin(shard, 48);
  PutSet(&prefix, set);
  return prefix;
}

std::string IndexKey(ShardId shard, const SetRef& set, SetKey place) {
  std::string key = IndexPrefix(shard, set);
  PutBigEndian64(&key, place.key);
  PutBigEndian64(&key, place.id);
  return key;
}

IndexPlaces IndexPlacesOf(JobId job, const JobPlaces& places) {
  IndexPlaces out;
  const auto kind = static_cast<SetKind>(places.state);
  out.places[out.size++] = {{kind, places.queue, places.epoch, Holder()}, places.state_key};
  if (places.expires != LogTime::Never()) {
    out.places[out.size++] = {{SetKind::kTtl, places.queue, 0, Holder()},
                              {places.expires.micros(), job.value()}};
  }
  if (!places.holder.none()) {
    out.places[out.size++] = {{SetKind::kHeld, QueueId(), 0, places.holder}, {0, job.value()}};
  }
  return out;
}

absl::StatusOr<JobId> ParseJobRowKey(ShardId shard, std::string_view key) {
  ByteReader in(key);
  JobId job;
  if (!ReadShard(&in, shard) || !ReadId(&in, &job) || !in.Done()) return Malformed("kJob", key);
  return job;
}

absl::StatusOr<QueueId> ParseQueueRowKey(ShardId shard, std::string_view key) {
  ByteReader in(key);
  uint8_t kind = 0;
  QueueId queue;
  if (!ReadShard(&in, shard) || !in.Fixed8(&kind) ||
      kind != static_cast<uint8_t>(MetaKind::kQueue) || !ReadId(&in, &queue) || !in.Done()) {
    return Malformed("kMeta", key);
  }
  return queue;
}

absl::StatusOr<SetKey> ParseIndexKey(ShardId shard, const SetRef& set, std::string_view key) {
  const std::string prefix = IndexPrefix(shard, set);
  SetKey place;
  if (!key.starts_with(prefix)) return Malformed("kIndex", key);
  ByteReader in(key.substr(prefix.size()));
  if (!in.BigEndian64(&place.key) || !in.BigEndian64(&place.id) || !in.Done()) {
    return Malformed("kIndex", key);
  }
  return place;
}

absl::StatusOr<SmallRowKey> ParseSmallRowKey(ShardId shard, std::string_view key) {
  ByteReader in(key);
  uint8_t kind = 0;
  SmallRowKey out;
  if (!ReadShard(&in, shard) || !in.Fixed8(&kind) ||
      !ReadSmallRowKey(&in, static_cast<MetaKind>(kind), &out) || !in.Done()) {
    return Malformed("kMeta", key);
  }
  return out;
}

}  // namespace holdfast
