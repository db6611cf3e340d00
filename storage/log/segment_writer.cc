#include "storage/log/segment_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr char kZeros[1 << 20] = {};
// Below this size a batch is quick to write and its sync is what costs.
constexpr uint64_t kSmallWriteBytes = 256 << 10;

}  // namespace

SegmentWriter::SegmentWriter(std::shared_ptr<File> file, const SegmentHeader& header,
                             uint64_t capacity_bytes, uint64_t overwritten_bytes)
    : file_(std::move(file)),
      sequence_(header.sequence),
      seed_(header.salt, header.sequence),
      capacity_(capacity_bytes),
      overwritten_(overwritten_bytes),
      scratch_(new char[kScratchBytes]) {
  CHECK_LE(capacity_, UINT32_MAX);
  pieces_.reserve(kPiecesMax);
}

uint64_t SegmentWriter::OverheadBytes(uint64_t checkpoint_bytes) {
  return kSegmentHeaderBytes + RecordBytes(checkpoint_bytes) + RecordBytes(0);
}

uint64_t SegmentWriter::RemainingBytes() const {
  const uint64_t kept = end_ + RecordBytes(0);
  return kept >= capacity_ ? 0 : capacity_ - kept;
}

absl::StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::Start(std::shared_ptr<File> file,
                                                                    const SegmentHeader& header,
                                                                    std::string_view checkpoint,
                                                                    uint64_t capacity_bytes,
                                                                    uint64_t overwritten_bytes) {
  std::unique_ptr<SegmentWriter> writer(
      new SegmentWriter(std::move(file), header, capacity_bytes, overwritten_bytes));
  char bytes[kSegmentHeaderBytes];
  EncodeSegmentHeader(header, bytes);
  writer->Copy(std::string_view(bytes, sizeof(bytes)));
  writer->end_ = sizeof(bytes);
  RecordHeader record;
  record.kind = StoredKind::kCheckpoint;
  CHECK_LE(checkpoint.size(), kCheckpointBytesMax);
  ASSIGN_OR_RETURN([[maybe_unused]] const uint32_t offset, writer->Add(record, {&checkpoint, 1}));
  RETURN_IF_ERROR(writer->Sync());
  writer->sealed_ = writer->end_;
  return writer;
}

absl::Status SegmentWriter::MakeRoom(size_t scratch_bytes) {
  // Two pieces: one for what is copied next, one that may be referred to after it.
  if (scratch_used_ + scratch_bytes <= kScratchBytes && pieces_.size() + 2 <= kPiecesMax) {
    return absl::OkStatus();
  }
  return Flush();
}

// REQUIRES: MakeRoom() for it.
void SegmentWriter::Copy(std::string_view bytes) {
  if (bytes.empty()) return;
  char* to = scratch_.get() + scratch_used_;
  std::memcpy(to, bytes.data(), bytes.size());
  scratch_used_ += bytes.size();
  if (!pieces_.empty() && pieces_.back().data() + pieces_.back().size() == to) {
    pieces_.back() = std::string_view(pieces_.back().data(), pieces_.back().size() + bytes.size());
  } else {
    pieces_.emplace_back(to, bytes.size());
  }
}

absl::Status SegmentWriter::Refer(std::string_view bytes) {
  if (bytes.size() <= kCopiedPieceBytesMax) {
    RETURN_IF_ERROR(MakeRoom(bytes.size()));
    Copy(bytes);
  } else {
    RETURN_IF_ERROR(MakeRoom(0));
    pieces_.push_back(bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> SegmentWriter::Add(RecordHeader record,
                                            std::span<const std::string_view> payload) {
  static constexpr std::string_view kPadding("\0\0\0\0\0\0\0", kRecordAlignment - 1);
  const uint64_t offset = end_;
  uint64_t size = 0;
  uint32_t crc = 0;
  for (std::string_view piece : payload) {
    size += piece.size();
    crc = ExtendCrc32c(crc, piece);
  }
  CHECK_LE(offset + RecordBytes(size), capacity_);
  const std::string_view padding = kPadding.substr(0, PaddedBytes(size) - size);
  record.payload_crc = ExtendCrc32c(crc, padding);
  record.payload_bytes = static_cast<uint32_t>(size);
  record.synced_bytes = static_cast<uint32_t>(synced_);
  char header[kRecordHeaderBytes];
  EncodeRecordHeader(record, seed_.At(offset), header);
  // `end_` moves with each part, so that a Flush in the middle of a record knows where it is.
  RETURN_IF_ERROR(MakeRoom(sizeof(header)));
  Copy(std::string_view(header, sizeof(header)));
  end_ += sizeof(header);
  for (std::string_view piece : payload) {
    RETURN_IF_ERROR(Refer(piece));
    end_ += piece.size();
  }
  RETURN_IF_ERROR(MakeRoom(padding.size()));
  Copy(padding);
  end_ += padding.size();
  return static_cast<uint32_t>(offset);
}

absl::Status SegmentWriter::Flush() {
  if (written_ == end_) return absl::OkStatus();
  RETURN_IF_ERROR(file_->Write(written_, pieces_));
  const uint64_t bytes = end_ - written_;
  written_ = end_;
  pieces_.clear();
  scratch_used_ = 0;
  return ExtendZeros(bytes);
}

// The first write to a preallocated block changes the file's metadata, which makes a sync twice as
// slow. So a run of small writes is led by a large one of zeros, under the same sync.
absl::Status SegmentWriter::ExtendZeros(uint64_t written_bytes) {
  if (written_ <= overwritten_) return absl::OkStatus();
  overwritten_ = written_;
  if (written_bytes >= kSmallWriteBytes) return absl::OkStatus();
  const uint64_t size = std::min<uint64_t>(sizeof(kZeros), capacity_ - written_);
  if (size == 0) return absl::OkStatus();
  const std::string_view zeros(kZeros, size);
  RETURN_IF_ERROR(file_->Write(written_, {&zeros, 1}));
  overwritten_ += size;
  return absl::OkStatus();
}

absl::Status SegmentWriter::Sync() {
  RETURN_IF_ERROR(Flush());
  if (synced_ == end_) return absl::OkStatus();
  RETURN_IF_ERROR(file_->Sync());
  synced_ = end_;
  return absl::OkStatus();
}

absl::Status SegmentWriter::Seal() {
  RETURN_IF_ERROR(Sync());
  // The room kept for a seal is used once; the next one needs its own.
  if (sealed_ == end_ || end_ + RecordBytes(0) > capacity_) return absl::OkStatus();
  ASSIGN_OR_RETURN([[maybe_unused]] const uint32_t offset, Add(RecordHeader{}, {}));
  RETURN_IF_ERROR(Sync());
  sealed_ = end_;
  return absl::OkStatus();
}

}  // namespace holdfast
