// The bytes of a segment file: its header, its records, a checkpoint. storage/FORMAT.md is the
// specification; this is its only encoder and decoder.
//
// Thread-safety: functions without state; plain values.

#ifndef HOLDFAST_STORAGE_LOG_RECORD_FORMAT_H_
#define HOLDFAST_STORAGE_LOG_RECORD_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/types.h"
#include "storage/log_store.h"

namespace holdfast {

inline constexpr uint32_t kLogFormatVersion = 1;
inline constexpr uint32_t kSegmentHeaderBytes = 64;
inline constexpr uint32_t kRecordHeaderBytes = 40;
inline constexpr uint32_t kRecordAlignment = 8;
inline constexpr uint32_t kHardStatePayloadBytes = 8;
inline constexpr uint32_t kCheckpointShardBytes = 56;
inline constexpr uint32_t kCheckpointBytesMax = 16u << 20;

struct SegmentHeader {
  uint64_t sequence = 0;  // from 1, never reused, below 2^32 (enough for 256 PiB)
  uint64_t salt = 0;      // of the whole log: secret, so that no payload can pass for a record
  // How many bytes of segment `sequence - 1` count; what is behind them was never part of the log.
  uint64_t previous_end = 0;
};

void EncodeSegmentHeader(const SegmentHeader& header, char* out);

// Errors, without the place: DATA_LOSS (damaged), FAILED_PRECONDITION (another format version).
// REQUIRES: bytes.size() == kSegmentHeaderBytes.
absl::Status DecodeSegmentHeader(std::string_view bytes, SegmentHeader* header);

enum class StoredKind : uint8_t {
  kEntry = 1,
  kHardState = 2,
  kCompact = 3,
  kReset = 4,
  kSeal = 5,        // no content: it is there for its `synced_bytes`
  kCheckpoint = 6,  // first record of a segment: what earlier segments amount to
};

struct RecordHeader {
  uint32_t payload_crc = 0;  // of the payload and its padding
  uint32_t payload_bytes = 0;
  // When the record was written this many bytes from the segment's start were known to be synced.
  uint32_t synced_bytes = 0;
  ShardId shard;
  StoredKind kind = StoredKind::kSeal;
  uint8_t entry_type = 0;
  Term term;
  LogIndex index;
};

// What a record's bytes are bound to, besides themselves. A record copied to another place, or
// left over from an earlier use of the file, fails its checksum.
class RecordSeed {
 public:
  RecordSeed() = default;
  RecordSeed(uint64_t salt, uint64_t sequence);
  uint32_t At(uint64_t offset) const;

 private:
  uint32_t crc_ = 0;
};

void EncodeRecordHeader(const RecordHeader& header, uint32_t seed, char* out);

// False if the checksum does not match or a field cannot be.
// REQUIRES: bytes.size() == kRecordHeaderBytes.
bool DecodeRecordHeader(std::string_view bytes, uint32_t seed, RecordHeader* header);

// Payload and padding.
inline uint64_t PaddedBytes(uint64_t payload_bytes) {
  return (payload_bytes + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}
inline uint64_t RecordBytes(uint64_t payload_bytes) {
  return kRecordHeaderBytes + PaddedBytes(payload_bytes);
}

// A shard's state at the start of a segment.
struct ShardMark {
  ShardId shard;
  HardState hard_state;
  LogIndex first = LogIndex(1);
  LogIndex last;
  Term compacted_term;
  bool operator==(const ShardMark&) const = default;
};

std::string EncodeCheckpoint(const std::vector<ShardMark>& marks);
bool DecodeCheckpoint(std::string_view bytes, std::vector<ShardMark>* marks);

// Names of segment files in the log's directory.
std::string SegmentFileName(uint64_t sequence);
std::string SpareFileName(uint64_t number);
bool ParseSegmentFileName(std::string_view name, uint64_t* sequence);
bool ParseSpareFileName(std::string_view name, uint64_t* number);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_RECORD_FORMAT_H_
