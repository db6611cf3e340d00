#include "storage/log/segment_reader.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

std::string Describe(const RecordHeader& header) {
  const auto of_shard = [&](const char* what) {
    return absl::StrCat(what, header.index.value(), " of shard ", header.shard.value(), ", term ",
                        header.term.value());
  };
  switch (header.kind) {
    case StoredKind::kEntry:
      return of_shard("entry ");
    case StoredKind::kHardState:
      return of_shard("hard state with commit ");
    case StoredKind::kCompact:
      return of_shard("compaction through ");
    case StoredKind::kReset:
      return of_shard("reset to ");
    case StoredKind::kSeal:
      return "seal";
    case StoredKind::kCheckpoint:
      return "checkpoint";
  }
  return "record";
}

}  // namespace

absl::StatusOr<std::string_view> BufferedReader::Read(uint64_t offset, size_t size) {
  CHECK_LE(size, kBytesMax);
  if (offset < begin_ || offset + size > begin_ + size_) {
    if (buffer_.empty()) buffer_.resize(kBytesMax);
    begin_ = offset;
    size_ = 0;
    ASSIGN_OR_RETURN(size_, file_->Read(offset, std::span(buffer_)));
  }
  const uint64_t skip = offset - begin_;
  if (skip >= size_) return std::string_view();
  return std::string_view(buffer_.data() + skip, std::min<size_t>(size, size_ - skip));
}

SegmentReader::SegmentReader(const File* file, const SegmentHeader& header)
    : reader_(file), seed_(header.salt, header.sequence) {}

absl::StatusOr<SegmentHeader> SegmentReader::ReadHeader(const File& file) {
  std::array<char, kSegmentHeaderBytes> bytes;
  ASSIGN_OR_RETURN(const size_t size, file.Read(0, std::span(bytes)));
  if (size < bytes.size()) {
    return absl::DataLossError(
        absl::StrCat("the file ends after ", size, " bytes, within the segment's header"));
  }
  SegmentHeader header;
  RETURN_IF_ERROR(DecodeSegmentHeader(std::string_view(bytes.data(), bytes.size()), &header));
  return header;
}

absl::StatusOr<RecordFound> SegmentReader::ReadRecord(uint64_t offset, uint64_t limit) {
  RecordFound found;
  if (offset + kRecordHeaderBytes > limit) {
    found.problem = "the file ends within a record's header";
    return found;
  }
  ASSIGN_OR_RETURN(const std::string_view bytes, reader_.Read(offset, kRecordHeaderBytes));
  if (bytes.size() < kRecordHeaderBytes) {
    found.problem = "the file ends within a record's header";
    return found;
  }
  if (!DecodeRecordHeader(bytes, seed_.At(offset), &found.header)) {
    found.problem = "no valid record header (checksum mismatch)";
    return found;
  }
  if (found.header.synced_bytes > offset) {
    found.problem = absl::StrCat(Describe(found.header), ": impossible synced mark");
    return found;
  }
  if (offset + RecordBytes(found.header.payload_bytes) > limit) {
    found.problem = absl::StrCat(Describe(found.header), ": reaches beyond the end");
    return found;
  }
  RETURN_IF_ERROR(ReadPayload(offset + kRecordHeaderBytes, &found));
  return found;
}

absl::Status SegmentReader::ReadPayload(uint64_t offset, RecordFound* found) {
  const uint64_t size = PaddedBytes(found->header.payload_bytes);
  const bool keep = found->header.kind != StoredKind::kEntry;
  uint32_t crc = 0;
  for (uint64_t done = 0; done < size;) {
    const size_t wanted = std::min<uint64_t>(size - done, BufferedReader::kBytesMax);
    ASSIGN_OR_RETURN(const std::string_view bytes, reader_.Read(offset + done, wanted));
    if (bytes.size() < wanted) {
      found->problem = absl::StrCat(Describe(found->header), ": the file ends within its payload");
      return absl::OkStatus();
    }
    crc = ExtendCrc32c(crc, bytes);
    if (keep) found->payload.append(bytes);
    done += bytes.size();
  }
  if (crc != found->header.payload_crc) {
    found->problem = absl::StrCat(Describe(found->header), ": payload checksum mismatch");
    return absl::OkStatus();
  }
  if (keep) found->payload.resize(found->header.payload_bytes);
  found->valid = true;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<SyncProof>> SegmentReader::FindProof(uint64_t damaged,
                                                                  uint64_t limit) {
  RecordHeader header;
  for (uint64_t offset = damaged + kRecordAlignment; offset + kRecordHeaderBytes <= limit;
       offset += kRecordAlignment) {
    ASSIGN_OR_RETURN(const std::string_view bytes, reader_.Read(offset, kRecordHeaderBytes));
    if (bytes.size() < kRecordHeaderBytes) break;
    // Kind 0 is most of what is there (zeros): skip it before the seed is computed.
    if (bytes[20] == 0 || !DecodeRecordHeader(bytes, seed_.At(offset), &header)) continue;
    if (header.synced_bytes > damaged && header.synced_bytes <= offset) {
      return SyncProof{offset, header.synced_bytes};
    }
  }
  return std::optional<SyncProof>();
}

}  // namespace holdfast
