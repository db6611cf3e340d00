#include "storage/log/recovery.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/status_macros.h"
#include "storage/log/record_format.h"
#include "storage/log/segment_reader.h"

namespace holdfast {
namespace {

absl::Status At(const absl::Status& status, const std::string& path, uint64_t offset) {
  return absl::Status(status.code(), absl::StrCat("log segment ", path, " at offset ", offset, ": ",
                                                  std::string(status.message())));
}

absl::Status DamageAt(const std::string& what, const std::string& path, uint64_t offset) {
  return At(absl::DataLossError(what), path, offset);
}

class Recoverer {
 public:
  Recoverer(FileSystem* files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  absl::StatusOr<RecoveredLog> Run(std::vector<uint64_t> sequences) {
    std::sort(sequences.begin(), sequences.end());
    for (uint64_t sequence : sequences) RETURN_IF_ERROR(OpenSegment(sequence));
    DropBeforeGap();
    std::vector<RecoveredSegment>& segments = log_.segments;
    for (size_t i = 0; i < segments.size(); ++i) {
      const bool last = i + 1 == segments.size();
      segments[i].end = last ? segments[i].file_bytes : headers_[i + 1].previous_end;
      RETURN_IF_ERROR(ScanSegment(i));
    }
    log_.summary.segments = segments.size();
    RETURN_IF_ERROR(CheckComplete());
    return std::move(log_);
  }

 private:
  absl::Status OpenSegment(uint64_t sequence) {
    RecoveredSegment segment;
    segment.sequence = sequence;
    segment.path = absl::StrCat(directory_, "/", SegmentFileName(sequence));
    ASSIGN_OR_RETURN(segment.file, files_->Open(segment.path, OpenMode::kReadWrite));
    ASSIGN_OR_RETURN(segment.file_bytes, segment.file->Size());
    absl::StatusOr<SegmentHeader> header = SegmentReader::ReadHeader(*segment.file);
    if (!header.ok()) return At(header.status(), segment.path, 0);
    if (header->sequence != sequence) {
      return DamageAt(
          absl::StrCat("the header says segment ", header->sequence, ", the name says ", sequence),
          segment.path, 0);
    }
    if (log_.salt.has_value() && *log_.salt != header->salt) {
      return DamageAt("the segment belongs to another log", segment.path, 0);
    }
    log_.salt = header->salt;
    headers_.push_back(*header);
    log_.segments.push_back(std::move(segment));
    return absl::OkStatus();
  }

  // Segments are freed oldest first; after a crash a later one may be gone and an earlier one not.
  // If one is gone that should not be, its entries are found missing at the end.
  void DropBeforeGap() {
    std::vector<RecoveredSegment>& segments = log_.segments;
    size_t first = segments.empty() ? 0 : segments.size() - 1;
    while (first > 0 && segments[first - 1].sequence + 1 == segments[first].sequence) --first;
    for (size_t i = 0; i < first; ++i) log_.leftovers.push_back(std::move(segments[i]));
    segments.erase(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(first));
    headers_.erase(headers_.begin(), headers_.begin() + static_cast<std::ptrdiff_t>(first));
  }

  absl::Status ScanSegment(size_t i) {
    RecoveredSegment& segment = log_.segments[i];
    const bool last = i + 1 == log_.segments.size();
    SegmentReader reader(segment.file.get(), headers_[i]);
    log_.index.AddSegment(segment.sequence);
    uint64_t offset = kSegmentHeaderBytes;
    while (offset < segment.end) {
      absl::StatusOr<RecordFound> found = reader.ReadRecord(offset, segment.end);
      if (!found.ok()) return At(found.status(), segment.path, offset);
      if (!found->valid) {
        // The first record was synced before the file became a segment, and a segment that has
        // a successor was synced up to the end that the successor names.
        if (!last || offset == kSegmentHeaderBytes) {
          return DamageAt(absl::StrCat("synced data is damaged: ", found->problem), segment.path,
                          offset);
        }
        RETURN_IF_ERROR(CutTail(&reader, &segment, offset, found->problem));
        break;
      }
      const absl::Status applied = Apply(*found, segment, offset, i == 0);
      if (!applied.ok()) return At(applied, segment.path, offset);
      segment.known_synced = std::max<uint64_t>(segment.known_synced, found->header.synced_bytes);
      offset += RecordBytes(found->header.payload_bytes);
      if (found->header.kind == StoredKind::kCheckpoint) segment.known_synced = offset;
      sealed_ = found->header.kind == StoredKind::kSeal;
      ++log_.summary.records;
    }
    if (offset == kSegmentHeaderBytes) {
      return DamageAt("synced data is damaged: the checkpoint is missing", segment.path, offset);
    }
    log_.summary.bytes += offset;
    return absl::OkStatus();
  }

  // The end of the last segment's valid records: torn, or damaged?
  absl::Status CutTail(SegmentReader* reader, RecoveredSegment* segment, uint64_t offset,
                       const std::string& problem) {
    absl::StatusOr<std::optional<SyncProof>> proof = reader->FindProof(offset, segment->file_bytes);
    if (!proof.ok()) return At(proof.status(), segment->path, offset);
    if (proof->has_value()) {
      return DamageAt(absl::StrCat("synced data is damaged: ", problem, "; the record at offset ",
                                   (*proof)->offset, " shows that ", (*proof)->synced_bytes,
                                   " bytes had been synced"),
                      segment->path, offset);
    }
    segment->end = offset;
    ASSIGN_OR_RETURN(const bool written, AnythingWrittenAt(*segment, offset));
    // Behind a seal the bytes are almost always left over from the file's earlier use.
    if (written && !sealed_) log_.summary.cut = LogCut{segment->path, offset, problem};
    return absl::OkStatus();
  }

  absl::StatusOr<bool> AnythingWrittenAt(const RecoveredSegment& segment, uint64_t offset) {
    char bytes[kRecordHeaderBytes] = {};
    ASSIGN_OR_RETURN(const size_t size, segment.file->Read(offset, std::span(bytes)));
    return std::any_of(bytes, bytes + size, [](char c) { return c != 0; });
  }

  absl::Status Apply(const RecordFound& found, const RecoveredSegment& segment, uint64_t offset,
                     bool oldest) {
    const bool at_start = offset == kSegmentHeaderBytes;
    if (at_start != (found.header.kind == StoredKind::kCheckpoint)) {
      return absl::DataLossError("a checkpoint is not where it must be, or is where it must not");
    }
    if (at_start) return ApplyCheckpoint(found.payload, oldest);
    ReplicaId vote;
    if (found.header.kind == StoredKind::kHardState) {
      uint64_t value = 0;
      ByteReader reader(found.payload);
      if (!reader.Fixed64(&value) || !reader.Done()) {
        return absl::DataLossError("a hard state of the wrong size");
      }
      vote = ReplicaId(value);
    }
    const EntryPosition position{static_cast<uint32_t>(segment.sequence),
                                 static_cast<uint32_t>(offset), found.header.payload_bytes};
    return log_.index.Apply(found.header, position, vote);
  }

  absl::Status ApplyCheckpoint(std::string_view payload, bool oldest) {
    std::vector<ShardMark> marks;
    if (!DecodeCheckpoint(payload, &marks)) {
      return absl::DataLossError("a checkpoint that cannot be decoded");
    }
    if (oldest) {
      log_.index.Load(marks);
    } else if (log_.index.Marks() != marks) {
      return absl::DataLossError("the checkpoint does not match the segments before it");
    }
    return absl::OkStatus();
  }

  absl::Status CheckComplete() const {
    const absl::Status status = log_.index.CheckComplete();
    if (status.ok()) return status;
    return absl::Status(status.code(), absl::StrCat("log ", directory_, ", segments from ",
                                                    log_.segments.front().sequence,
                                                    " on: ", std::string(status.message())));
  }

  FileSystem* const files_;
  const std::string directory_;
  std::vector<SegmentHeader> headers_;
  bool sealed_ = false;  // the last record read is a seal
  RecoveredLog log_;
};

}  // namespace

absl::StatusOr<RecoveredLog> RecoverLog(FileSystem* files, const std::string& directory,
                                        std::vector<uint64_t> sequences) {
  return Recoverer(files, directory).Run(std::move(sequences));
}

}  // namespace holdfast
