#include "server/engine/overlay/generation.h"

#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "server/codec/row_codec.h"
#include "server/codec/row_keys.h"

namespace holdfast {
namespace {

static_assert(std::is_trivially_copyable_v<JobPlaces> && alignof(JobPlaces) <= 8);
static_assert(sizeof(JobPlaces) <= RowArena::kBlockBytesMax);
static_assert(kJobRowBytesMax <= RowArena::kBlockBytesMax);
static_assert(kJobRowBytesMax <= UINT8_MAX);
static_assert(sizeof(DirtyJob) == 32, "a dirty job's bookkeeping has grown");

// A slot of a hash map at its usual load.
template <class Slot>
constexpr size_t kSlotBytes = (sizeof(Slot) + 1) * 3 / 2;

// What a string owns outside of itself.
size_t HeapBytes(const std::string& s) {
  constexpr size_t kInline = 15;
  return s.capacity() > kInline ? s.capacity() + 1 : 0;
}

void SetDedupKey(std::string* out, QueueId queue, std::string_view key) {
  out->clear();
  PutBigEndian64(out, queue.value());
  out->append(key);
}

SetKey PlaceOf(const DedupRecord& record) { return {record.expires.micros(), record.job.value()}; }

}  // namespace

Generation::Generation(ShardId shard, uint32_t shards, Backing backing)
    : shard_(shard), shards_(shards), backing_(backing) {
  CHECK_LT(shard.value(), shards);
}

void Generation::StoreRow(const Job& job, DirtyJob* dirty) {
  if (backing_ == Backing::kNothing) {
    static char unwritten;
    dirty->row = &unwritten;
    return;
  }
  char row[kJobRowBytesMax];
  const size_t size = WriteJobRow(job, row);
  if (dirty->row != nullptr && !RowArena::SameBlock(dirty->row_size, size)) {
    arena_.Free(dirty->row, dirty->row_size);
    dirty->row = nullptr;
  }
  if (dirty->row == nullptr) dirty->row = arena_.Allocate(size);
  std::memcpy(dirty->row, row, size);
  dirty->row_size = static_cast<uint8_t>(size);
}

void Generation::JobChanged(JobId id, const JobPlaces* before, const Job* after) {
  CHECK(before != nullptr || after != nullptr);
  CHECK_EQ(id.value() % shards_, shard_.value());
  const uint64_t sequence = SequenceOf(id);
  const size_t jobs_before = jobs_.size();
  DirtyJob* dirty = jobs_.FindOrInsert(sequence);
  const bool added = jobs_.size() > jobs_before;
  if (added && before != nullptr) {
    dirty->start = new (arena_.Allocate(sizeof(JobPlaces))) JobPlaces(*before);
  }
  // A job comes to be once, and is gone for good.
  CHECK(added || (before != nullptr && dirty->row != nullptr));
  if (after != nullptr) return StoreRow(*after, dirty);
  DropPayload(dirty);
  if (dirty->row_size > 0) arena_.Free(dirty->row, dirty->row_size);
  dirty->row = nullptr;
  if (dirty->start == nullptr) jobs_.Erase(sequence);
}

void Generation::DropPayload(DirtyJob* dirty) {
  if (dirty->payload.none()) return;
  const uint32_t buffer = dirty->payload.buffer;
  payloads_.Drop(dirty->payload);
  dirty->payload = {};
  CopyOutIfWasteful(buffer);
}

void Generation::AttachPayload(JobId id, const EntryBuffer& entry, std::string_view payload) {
  const uint64_t sequence = SequenceOf(id);
  DirtyJob* dirty = jobs_.Find(sequence);
  if (dirty == nullptr || dirty->row == nullptr) return;
  CHECK(dirty->payload.none());
  CHECK(dirty->start == nullptr);
  const uint32_t attaching = payloads_.attaching();
  dirty->payload = payloads_.Attach(entry, payload, sequence);
  // The entry before is now whole: few of its bytes may have been payloads.
  if (attaching != 0 && attaching != dirty->payload.buffer) CopyOutIfWasteful(attaching);
}

void Generation::Finish() {
  const uint32_t attaching = payloads_.attaching();
  payloads_.EndAttaching();
  if (attaching != 0) CopyOutIfWasteful(attaching);
}

void Generation::CopyOutIfWasteful(uint32_t buffer) {
  if (!payloads_.IsWasteful(buffer)) return;
  const uint32_t attaching = payloads_.attaching();
  const uint64_t first = payloads_.first_sequence(buffer);
  const uint64_t last = payloads_.last_sequence(buffer);
  auto copy = std::make_shared<std::string>();
  copy->reserve(payloads_.live_bytes(buffer));
  jobs_.ForRange(first, last, [&](uint64_t, DirtyJob* job) {
    if (job->payload.buffer == buffer) copy->append(payloads_.Bytes(job->payload));
  });
  size_t offset = 0;
  jobs_.ForRange(first, last, [&](uint64_t sequence, DirtyJob* job) {
    if (job->payload.buffer != buffer) return;
    const PayloadSlice old = job->payload;
    job->payload =
        payloads_.Attach(copy, std::string_view(*copy).substr(offset, old.size), sequence);
    offset += old.size;
    payloads_.Drop(old);
  });
  CHECK_EQ(offset, copy->size());
  payloads_.ResumeAttaching(attaching);
}

std::optional<PayloadRef> Generation::FindPayload(JobId id) const {
  const DirtyJob* dirty = FindJob(id);
  if (dirty == nullptr || dirty->payload.none()) return std::nullopt;
  return payloads_.Share(dirty->payload);
}

void Generation::QueueChanged(QueueId id, const QueueRecord* after) {
  if (backing_ == Backing::kNothing) return;
  const auto [slot, added] = queues_.try_emplace(id);
  std::unique_ptr<QueueRecord>& record = slot->second;
  if (added) small_bytes_ += kSlotBytes<Queues::value_type>;
  if (record != nullptr) small_bytes_ -= sizeof(QueueRecord) + HeapBytes(record->name);
  if (after == nullptr) {
    record = nullptr;
    return;
  }
  if (record == nullptr) {
    record = std::make_unique<QueueRecord>(*after);
  } else {
    *record = *after;
  }
  small_bytes_ += sizeof(QueueRecord) + HeapBytes(record->name);
}

void Generation::DedupChanged(QueueId queue, std::string_view key, const DedupRecord* before,
                              const DedupRecord* after) {
  if (backing_ == Backing::kNothing) return;
  SetDedupKey(&scratch_, queue, key);
  auto slot = dedups_.find(scratch_);
  if (slot == dedups_.end()) {
    if (before == nullptr && after == nullptr) return;
    slot = dedups_.try_emplace(scratch_).first;
    small_bytes_ += kSlotBytes<Dedups::value_type> + HeapBytes(slot->first);
    slot->second.at_start = before != nullptr;
    if (before != nullptr) slot->second.start = PlaceOf(*before);
  }
  DirtyDedup& dirty = slot->second;
  dirty.present = after != nullptr;
  if (after != nullptr) dirty.place = PlaceOf(*after);
  if (dirty.present || dirty.at_start) return;
  small_bytes_ -= kSlotBytes<Dedups::value_type> + HeapBytes(slot->first);
  dedups_.erase(slot);
}

const DirtyDedup* Generation::FindDedup(QueueId queue, std::string_view key) const {
  if (dedups_.empty()) return nullptr;
  std::string whole;
  SetDedupKey(&whole, queue, key);
  const auto slot = dedups_.find(whole);
  return slot == dedups_.end() ? nullptr : &slot->second;
}

void Generation::RowChanged(const SmallRowKey& key, const SmallRow* after) {
  if (backing_ == Backing::kNothing) return;
  SmallRowKeyBytes(shard_, key, &scratch_);
  auto slot = rows_.find(scratch_);
  if (slot == rows_.end()) {
    slot = rows_.try_emplace(scratch_).first;
    small_bytes_ += kSlotBytes<Rows::value_type> + HeapBytes(slot->first);
  }
  std::optional<std::string>& row = slot->second;
  if (row.has_value()) small_bytes_ -= HeapBytes(*row);
  if (after == nullptr) {
    row.reset();
    return;
  }
  row = EncodeSmallRow(*after);
  small_bytes_ += HeapBytes(*row);
}

bool Generation::empty() const {
  return jobs_.size() == 0 && dedups_.empty() && queues_.empty() && rows_.empty();
}

size_t Generation::bytes() const {
  return jobs_.bytes() + arena_.bytes() + payloads_.bytes() + small_bytes_;
}

}  // namespace holdfast
