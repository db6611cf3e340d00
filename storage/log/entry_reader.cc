#include "storage/log/entry_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "storage/log/record_format.h"

namespace holdfast {
namespace {

// Neighbours are read together up to this size; a larger entry is read straight into its place.
constexpr uint64_t kReadTogetherBytes = 256 << 10;

uint64_t EndOf(const EntryPosition& position) {
  return position.offset + RecordBytes(position.payload_bytes);
}

class EntryReader {
 public:
  EntryReader(const std::string& directory, uint64_t salt, ShardId shard)
      : directory_(directory), salt_(salt), shard_(shard) {}

  absl::Status ReadRun(std::span<const EntryToRead> run, std::vector<StoredEntry>* entries) {
    if (run.size() == 1) return ReadOne(run.front(), entries);
    const uint64_t begin = run.front().entry.position.offset;
    buffer_.resize(EndOf(run.back().entry.position) - begin);
    RETURN_IF_ERROR(Fill(run.front(), begin, std::span(buffer_.data(), buffer_.size())));
    for (const EntryToRead& wanted : run) {
      const EntryPosition& position = wanted.entry.position;
      const std::string_view bytes = std::string_view(buffer_).substr(
          position.offset - begin, RecordBytes(position.payload_bytes));
      StoredEntry entry;
      entry.payload = bytes.substr(kRecordHeaderBytes, position.payload_bytes);
      RETURN_IF_ERROR(Finish(wanted, bytes.substr(0, kRecordHeaderBytes),
                             bytes.substr(kRecordHeaderBytes), &entry));
      entries->push_back(std::move(entry));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ReadOne(const EntryToRead& wanted, std::vector<StoredEntry>* entries) {
    const EntryPosition& position = wanted.entry.position;
    char header[kRecordHeaderBytes];
    RETURN_IF_ERROR(Fill(wanted, position.offset, std::span(header)));
    StoredEntry entry;
    entry.payload.resize(PaddedBytes(position.payload_bytes));
    RETURN_IF_ERROR(Fill(wanted, position.offset + kRecordHeaderBytes,
                         std::span(entry.payload.data(), entry.payload.size())));
    RETURN_IF_ERROR(
        Finish(wanted, std::string_view(header, sizeof(header)), entry.payload, &entry));
    entry.payload.resize(position.payload_bytes);
    entries->push_back(std::move(entry));
    return absl::OkStatus();
  }

  // Verifies and fills in all but the payload. `payload` is with padding.
  absl::Status Finish(const EntryToRead& wanted, std::string_view header_bytes,
                      std::string_view payload, StoredEntry* entry) {
    const EntryPosition& position = wanted.entry.position;
    if (position.segment != seed_segment_) {
      seed_segment_ = position.segment;
      seed_ = RecordSeed(salt_, position.segment);
    }
    RecordHeader header;
    if (!DecodeRecordHeader(header_bytes, seed_.At(position.offset), &header)) {
      return Damage(wanted, "header checksum mismatch");
    }
    if (header.kind != StoredKind::kEntry || header.shard != shard_ ||
        header.index != wanted.entry.index || header.term != wanted.entry.term ||
        header.payload_bytes != position.payload_bytes) {
      return Damage(wanted, "another record is in its place");
    }
    if (Crc32c(payload) != header.payload_crc) return Damage(wanted, "payload checksum mismatch");
    entry->term = header.term;
    entry->index = header.index;
    entry->type = header.entry_type;
    return absl::OkStatus();
  }

  absl::Status Fill(const EntryToRead& wanted, uint64_t offset, std::span<char> buffer) {
    ASSIGN_OR_RETURN(const size_t size, wanted.file->Read(offset, buffer));
    if (size < buffer.size()) return Damage(wanted, "the file ends within it");
    return absl::OkStatus();
  }

  absl::Status Damage(const EntryToRead& wanted, const char* what) {
    return absl::DataLossError(absl::StrCat(
        "log segment ", directory_, "/", SegmentFileName(wanted.entry.position.segment),
        " at offset ", wanted.entry.position.offset, ": entry ", wanted.entry.index.value(),
        " of shard ", shard_.value(), " is damaged: ", what));
  }

  const std::string& directory_;
  const uint64_t salt_;
  const ShardId shard_;
  uint32_t seed_segment_ = 0;  // of seed_; 0 is no segment
  RecordSeed seed_;
  std::string buffer_;
};

}  // namespace

absl::Status ReadLocatedEntries(const std::string& directory, uint64_t salt, ShardId shard,
                                std::span<const EntryToRead> wanted,
                                std::vector<StoredEntry>* entries) {
  EntryReader reader(directory, salt, shard);
  const size_t before = entries->size();
  while (!wanted.empty()) {
    const EntryPosition& first = wanted.front().entry.position;
    size_t count = 1;
    for (; count < wanted.size(); ++count) {
      const EntryPosition& next = wanted[count].entry.position;
      if (next.segment != first.segment || EndOf(next) - first.offset > kReadTogetherBytes) break;
    }
    const absl::Status status = reader.ReadRun(wanted.first(count), entries);
    if (!status.ok()) {
      entries->resize(before);
      return status;
    }
    wanted = wanted.subspan(count);
  }
  return absl::OkStatus();
}

}  // namespace holdfast
