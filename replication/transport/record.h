// What a stream between nodes carries: records, packed into frames. FORMAT.md has the bytes.
//
// Plain values. Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_RECORD_H_
#define HOLDFAST_REPLICATION_TRANSPORT_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/types.h"

namespace holdfast {

// On the wire, so the numbers are for good.
enum class RecordKind : uint8_t {
  kMessage = 1,         // a Raft message; parts: the data of its entries
  kForwardRequest = 2,  // parts: the request
  kForwardReply = 3,    // parts: the reply, or none: there is no answer
  kSnapshotPart = 4,    // parts: the data
  kSnapshotAnswer = 5,  // no parts
};

// The largest of each, and so what a receiver must be ready for.
inline constexpr size_t kRecordHeaderBytesMax = 2 << 20;
inline constexpr size_t kRecordPartsMax = 1 << 17;
inline constexpr size_t kFramePartsMax = 2 * kRecordPartsMax;
inline constexpr size_t kFrameBytesMax = 16 << 20;

using SharedBytes = std::shared_ptr<const std::string>;

// The header is small and copied; the parts travel without being copied.
struct Record {
  RecordKind kind = RecordKind::kMessage;
  ShardId shard;
  std::string header;
  std::vector<SharedBytes> parts;  // none is nullptr
  // The sender's own, not sent: records of one shard with the same tag may replace one another.
  uint64_t tag = 0;

  size_t part_bytes() const {
    size_t bytes = 0;
    for (const SharedBytes& part : parts) bytes += part->size();
    return bytes;
  }
  // What it takes up, in memory and in a frame: an upper bound of its bytes on the wire.
  size_t size_bytes() const {
    return kOverheadBytes + header.size() + part_bytes() + parts.size() * kPartOverheadBytes;
  }

  static constexpr size_t kOverheadBytes = 24;
  static constexpr size_t kPartOverheadBytes = 16;
};

inline size_t SizeBytes(const std::vector<Record>& records) {
  size_t bytes = 0;
  for (const Record& record : records) bytes += record.size_bytes();
  return bytes;
}

// Bytes [begin, begin + size) of `owner`.
struct ByteRange {
  SharedBytes owner;
  size_t begin = 0;
  size_t size = 0;
};

// A frame ready to be sent: `head`, then each range of `body`.
struct OutFrame {
  std::string head;
  std::vector<ByteRange> body;

  size_t size_bytes() const {
    size_t bytes = head.size();
    for (const ByteRange& range : body) bytes += range.size;
    return bytes;
  }
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_RECORD_H_
