#include "tests/support/powercut/undo_log.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "tests/support/powercut/real.h"

namespace holdfast::powercut {
namespace {

// From this many bytes on, records that became durable are dropped by moving the rest.
constexpr uint64_t kMoveBytes = 1 << 20;

}  // namespace

void UndoLog::OpenReader(int fd) {
  if (reader_ >= 0) return;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  reader_ = real::Open(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC, 0);
  if (reader_ < 0) Die(std::string("cannot reopen for reading ") + slot_->path, errno);
}

char* UndoLog::Area(uint32_t area) {
  if (areas_[area] == nullptr) areas_[area] = journal_->MapArea(id_, area);
  return areas_[area];
}

void UndoLog::Append(UndoKind kind, uint64_t offset, uint64_t length, uint64_t old_size,
                     uint64_t new_size) {
  const uint64_t end = std::min(offset + length, old_size);
  const uint64_t preimage = offset < end ? end - offset : 0;
  const uint32_t active = slot_->active;
  const uint64_t tail = slot_->tail[active];
  if (tail + PaddedRecordBytes(preimage) > kAreaBytes) {
    Die(std::string("too many unsynced changes of ") + slot_->path, 0);
  }
  char* const at = Area(active) + tail;
  uint64_t done = 0;
  while (done < preimage) {
    const ssize_t n = real::Read(reader_, at + sizeof(UndoRecord) + done, preimage - done,
                                 static_cast<int64_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) Die(std::string("cannot read the pre-image of ") + slot_->path, errno);
    done += static_cast<uint64_t>(n);
  }
  const UndoRecord record = {.magic = kUndoMagic,
                             .kind = static_cast<uint32_t>(kind),
                             .seq = slot_->last_seq + 1,
                             .offset = offset,
                             .length = length,
                             .preimage = preimage,
                             .old_size = old_size,
                             .new_size = new_size,
                             .flags = 0,
                             .reserved = 0};
  std::memcpy(at, &record, sizeof(record));
  newest_at_ = tail;
  std::atomic_ref(slot_->last_seq).store(record.seq, std::memory_order_release);
  std::atomic_ref(slot_->tail[active])
      .store(tail + PaddedRecordBytes(preimage), std::memory_order_release);
}

void UndoLog::MarkNewestSynced() {
  if (newest_at_ == 0) {
    MarkSynced(slot_->last_seq);
    return;
  }
  reinterpret_cast<UndoRecord*>(Area(slot_->active) + newest_at_)->flags |= kFlagSynced;
}

void UndoLog::MarkSynced(uint64_t seq) {
  if (seq > slot_->synced_seq) {
    std::atomic_ref(slot_->synced_seq).store(seq, std::memory_order_release);
  }
  if (slot_->doomed != 0) return;
  if (slot_->synced_seq == slot_->last_seq) {
    std::atomic_ref(slot_->tail[slot_->active]).store(0, std::memory_order_release);
  } else if (slot_->tail[slot_->active] > kMoveBytes) {
    MoveLiveRecords();
  }
}

void UndoLog::MoveLiveRecords() {
  const uint32_t from = slot_->active;
  const uint32_t to = 1 - from;
  const uint64_t tail = slot_->tail[from];
  char* const source = Area(from);
  char* const target = Area(to);
  uint64_t size = 0;
  for (uint64_t at = 0; at < tail;) {
    UndoRecord record;
    std::memcpy(&record, source + at, sizeof(record));
    const uint64_t bytes = PaddedRecordBytes(record.preimage);
    if (record.seq > slot_->synced_seq) {
      std::memcpy(target + size, source + at, bytes);
      size += bytes;
    }
    at += bytes;
  }
  slot_->tail[to] = size;
  std::atomic_ref(slot_->active).store(to, std::memory_order_release);
  slot_->tail[from] = 0;
}

void UndoLog::MarkDoomed(uint64_t seq) {
  char* const base = Area(slot_->active);
  const uint64_t tail = slot_->tail[slot_->active];
  for (uint64_t at = 0; at < tail;) {
    auto* const record = reinterpret_cast<UndoRecord*>(base + at);
    if (record->seq <= seq && record->seq > slot_->synced_seq) {
      record->flags |= kFlagDoomed;
      slot_->doomed = 1;
    }
    at += PaddedRecordBytes(record->preimage);
  }
}

void UndoLog::Release() {
  for (char*& area : areas_) {
    if (area != nullptr) real::Unmap(area, kAreaBytes);
    area = nullptr;
  }
  if (reader_ >= 0) real::Close(reader_);
  reader_ = -1;
}

void UndoLog::Forget() {
  if (forgotten_) return;
  forgotten_ = true;
  Release();
  for (const uint32_t area : {0u, 1u}) {
    real::UnlinkAt(AT_FDCWD, journal_->AreaPath(id_, area).c_str(), 0);
  }
  std::memset(slot_, 0, sizeof(*slot_));
}

}  // namespace holdfast::powercut
