#include "storage/log/record_format.h"

#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"

namespace holdfast {
namespace {

constexpr char kMagic[8] = {'H', 'O', 'L', 'D', 'F', 'L', 'O', 'G'};
constexpr char kSegmentPrefix[] = "segment-";
constexpr char kSparePrefix[] = "spare-";
constexpr char kSuffix[] = ".log";

void Put32(char* out, uint32_t v) { std::memcpy(out, &v, sizeof(v)); }
void Put64(char* out, uint64_t v) { std::memcpy(out, &v, sizeof(v)); }
uint32_t Get32(const char* in) {
  uint32_t v;
  std::memcpy(&v, in, sizeof(v));
  return v;
}
uint64_t Get64(const char* in) {
  uint64_t v;
  std::memcpy(&v, in, sizeof(v));
  return v;
}

uint64_t PayloadBytesMax(StoredKind kind) {
  switch (kind) {
    case StoredKind::kEntry:
      return kLogEntryBytesMax;
    case StoredKind::kHardState:
      return kHardStatePayloadBytes;
    case StoredKind::kCheckpoint:
      return kCheckpointBytesMax;
    case StoredKind::kCompact:
    case StoredKind::kReset:
    case StoredKind::kSeal:
      return 0;
  }
  return 0;
}

std::string NumberedName(const char* prefix, uint64_t number) {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(number));
  return absl::StrCat(prefix, digits, kSuffix);
}

bool ParseNumberedName(std::string_view name, std::string_view prefix, uint64_t* number) {
  const std::string_view suffix = kSuffix;
  if (name.size() != prefix.size() + 16 + suffix.size()) return false;
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return false;
  uint64_t value = 0;
  for (char c : name.substr(prefix.size(), 16)) {
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return false;
    }
  }
  *number = value;
  return true;
}

}  // namespace

void EncodeSegmentHeader(const SegmentHeader& header, char* out) {
  std::memset(out, 0, kSegmentHeaderBytes);
  std::memcpy(out, kMagic, sizeof(kMagic));
  Put32(out + 8, kLogFormatVersion);
  Put32(out + 12, kSegmentHeaderBytes);
  Put64(out + 16, header.sequence);
  Put64(out + 24, header.salt);
  Put64(out + 32, header.previous_end);
  Put32(out + 60, Crc32c(std::string_view(out, 60)));
}

absl::Status DecodeSegmentHeader(std::string_view bytes, SegmentHeader* header) {
  CHECK_EQ(bytes.size(), kSegmentHeaderBytes);
  if (Crc32c(bytes.substr(0, 60)) != Get32(bytes.data() + 60)) {
    return absl::DataLossError("the segment's header is damaged (checksum mismatch)");
  }
  if (std::memcmp(bytes.data(), kMagic, sizeof(kMagic)) != 0) {
    return absl::DataLossError("not a segment of a Holdfast log (wrong first bytes)");
  }
  const uint32_t version = Get32(bytes.data() + 8);
  if (version != kLogFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "log format version ", version, ", but this program reads and writes version ",
        kLogFormatVersion, " only: run the program that wrote it, or upgrade this one"));
  }
  header->sequence = Get64(bytes.data() + 16);
  header->salt = Get64(bytes.data() + 24);
  header->previous_end = Get64(bytes.data() + 32);
  return absl::OkStatus();
}

RecordSeed::RecordSeed(uint64_t salt, uint64_t sequence) {
  char bytes[16];
  Put64(bytes, salt);
  Put64(bytes + 8, sequence);
  crc_ = Crc32c(std::string_view(bytes, sizeof(bytes)));
}

uint32_t RecordSeed::At(uint64_t offset) const {
  char bytes[8];
  Put64(bytes, offset);
  return ExtendCrc32c(crc_, std::string_view(bytes, sizeof(bytes)));
}

void EncodeRecordHeader(const RecordHeader& header, uint32_t seed, char* out) {
  Put32(out + 4, header.payload_crc);
  Put32(out + 8, header.payload_bytes);
  Put32(out + 12, header.synced_bytes);
  Put32(out + 16, header.shard.value());
  out[20] = static_cast<char>(header.kind);
  out[21] = static_cast<char>(header.entry_type);
  out[22] = 0;
  out[23] = 0;
  Put64(out + 24, header.term.value());
  Put64(out + 32, header.index.value());
  Put32(out, ExtendCrc32c(seed, std::string_view(out + 4, kRecordHeaderBytes - 4)));
}

bool DecodeRecordHeader(std::string_view bytes, uint32_t seed, RecordHeader* header) {
  CHECK_EQ(bytes.size(), kRecordHeaderBytes);
  const char* in = bytes.data();
  // Cheap tests first: a search for records tries every aligned offset.
  const auto kind = static_cast<uint8_t>(in[20]);
  if (kind < static_cast<uint8_t>(StoredKind::kEntry) ||
      kind > static_cast<uint8_t>(StoredKind::kCheckpoint) || in[22] != 0 || in[23] != 0) {
    return false;
  }
  header->kind = static_cast<StoredKind>(kind);
  header->payload_bytes = Get32(in + 8);
  if (header->payload_bytes > PayloadBytesMax(header->kind)) return false;
  if (ExtendCrc32c(seed, bytes.substr(4)) != Get32(in)) return false;
  header->payload_crc = Get32(in + 4);
  header->synced_bytes = Get32(in + 12);
  header->shard = ShardId(Get32(in + 16));
  header->entry_type = static_cast<uint8_t>(in[21]);
  header->term = Term(Get64(in + 24));
  header->index = LogIndex(Get64(in + 32));
  return true;
}

std::string EncodeCheckpoint(const std::vector<ShardMark>& marks) {
  std::string out;
  out.reserve(marks.size() * kCheckpointShardBytes);
  for (const ShardMark& mark : marks) {
    PutFixed32(&out, mark.shard.value());
    PutFixed32(&out, 0);
    PutFixed64(&out, mark.hard_state.term.value());
    PutFixed64(&out, mark.hard_state.vote.value());
    PutFixed64(&out, mark.hard_state.commit.value());
    PutFixed64(&out, mark.first.value());
    PutFixed64(&out, mark.last.value());
    PutFixed64(&out, mark.compacted_term.value());
  }
  return out;
}

bool DecodeCheckpoint(std::string_view bytes, std::vector<ShardMark>* marks) {
  marks->clear();
  if (bytes.size() % kCheckpointShardBytes != 0) return false;
  for (; !bytes.empty(); bytes.remove_prefix(kCheckpointShardBytes)) {
    const char* in = bytes.data();
    ShardMark mark;
    mark.shard = ShardId(Get32(in));
    mark.hard_state.term = Term(Get64(in + 8));
    mark.hard_state.vote = ReplicaId(Get64(in + 16));
    mark.hard_state.commit = LogIndex(Get64(in + 24));
    mark.first = LogIndex(Get64(in + 32));
    mark.last = LogIndex(Get64(in + 40));
    mark.compacted_term = Term(Get64(in + 48));
    const bool ascending = marks->empty() || marks->back().shard < mark.shard;
    const bool range_is_sane = mark.first.value() > 0 && mark.last.value() < UINT64_MAX &&
                               mark.last.value() + 1 >= mark.first.value();
    if (Get32(in + 4) != 0 || !ascending || !range_is_sane) return false;
    marks->push_back(mark);
  }
  return true;
}

std::string SegmentFileName(uint64_t sequence) { return NumberedName(kSegmentPrefix, sequence); }
std::string SpareFileName(uint64_t number) { return NumberedName(kSparePrefix, number); }
bool ParseSegmentFileName(std::string_view name, uint64_t* sequence) {
  return ParseNumberedName(name, kSegmentPrefix, sequence) && *sequence > 0 &&
         *sequence <= UINT32_MAX;
}
bool ParseSpareFileName(std::string_view name, uint64_t* number) {
  return ParseNumberedName(name, kSparePrefix, number);
}

}  // namespace holdfast
