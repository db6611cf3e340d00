#include "server/engine/overlay/payload_table.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast {
namespace {

constexpr size_t kSmallBufferBytes = 1024;
constexpr uint64_t kWasteFactor = 4;

}  // namespace

PayloadTable::PayloadTable() : buffers_(1) {}

PayloadSlice PayloadTable::Attach(const EntryBuffer& entry, std::string_view payload,
                                  uint64_t sequence) {
  CHECK(payload.data() >= entry->data());
  const size_t offset = static_cast<size_t>(payload.data() - entry->data());
  CHECK_LE(offset + payload.size(), entry->size());
  CHECK_LE(entry->size(), UINT32_MAX);
  if (attaching_ == 0 || buffers_[attaching_].owner != entry) {
    if (free_.empty()) {
      attaching_ = static_cast<uint32_t>(buffers_.size());
      buffers_.emplace_back();
    } else {
      attaching_ = free_.back();
      free_.pop_back();
    }
    buffers_[attaching_] = Buffer{entry, sequence, sequence, 0, 0};
    bytes_ += kBufferOverhead + entry->capacity();
  }
  Buffer& buffer = buffers_[attaching_];
  buffer.first = std::min(buffer.first, sequence);
  buffer.last = std::max(buffer.last, sequence);
  buffer.live_bytes += payload.size();
  ++buffer.live;
  return {attaching_, static_cast<uint32_t>(offset), static_cast<uint32_t>(payload.size())};
}

void PayloadTable::Drop(const PayloadSlice& slice) {
  CHECK(!slice.none());
  Buffer& buffer = buffers_[slice.buffer];
  CHECK_GT(buffer.live, 0u);
  buffer.live_bytes -= slice.size;
  if (--buffer.live > 0) return;
  bytes_ -= kBufferOverhead + buffer.owner->capacity();
  buffer = Buffer();
  if (attaching_ == slice.buffer) attaching_ = 0;
  free_.push_back(slice.buffer);
}

bool PayloadTable::IsWasteful(uint32_t index) const {
  const Buffer& buffer = buffers_[index];
  if (buffer.owner == nullptr || index == attaching_) return false;
  const size_t kept = buffer.owner->capacity();
  return kept >= kSmallBufferBytes && buffer.live_bytes * kWasteFactor < kept;
}

std::string_view PayloadTable::Bytes(const PayloadSlice& slice) const {
  CHECK(!slice.none());
  return std::string_view(*buffers_[slice.buffer].owner).substr(slice.offset, slice.size);
}

PayloadRef PayloadTable::Share(const PayloadSlice& slice) const {
  return {buffers_[slice.buffer].owner, Bytes(slice)};
}

}  // namespace holdfast
