#include "replication/transport/frame_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "replication/transport/frame_format.h"

namespace holdfast {
namespace {

absl::Status Malformed(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed frame from a node: ", what));
}

bool IsKind(uint8_t kind) {
  return kind >= static_cast<uint8_t>(RecordKind::kMessage) &&
         kind <= static_cast<uint8_t>(RecordKind::kSnapshotAnswer);
}

}  // namespace

ScatteredReader::ScatteredReader(absl::Span<const std::string_view> pieces) : pieces_(pieces) {
  for (const std::string_view piece : pieces) remaining_ += piece.size();
  Advance(0);
}

void ScatteredReader::Advance(size_t size) {
  offset_ += size;
  remaining_ -= size;
  while (!pieces_.empty() && offset_ >= pieces_[0].size()) {
    offset_ -= pieces_[0].size();
    pieces_.remove_prefix(1);
  }
}

bool ScatteredReader::Append(size_t size, std::string* out) {
  if (size > remaining_) return false;
  while (size > 0) {
    const std::string_view here = pieces_[0].substr(offset_, size);
    out->append(here);
    size -= here.size();
    Advance(here.size());
  }
  return true;
}

bool ScatteredReader::Varint(uint64_t* value) {
  std::string bytes;
  do {
    if (bytes.size() == 10 || !Append(1, &bytes)) return false;
  } while ((bytes.back() & 0x80) != 0);
  return ByteReader(bytes).Varint(value);
}

uint32_t ScatteredReader::RestCrc32c() const {
  uint32_t crc = 0;
  size_t offset = offset_;
  for (const std::string_view piece : pieces_) {
    crc = ExtendCrc32c(crc, piece.substr(offset));
    offset = 0;
  }
  return crc;
}

absl::Status FrameReader::Read(absl::Span<const std::string_view> frame,
                               std::vector<Record>* records) {
  ScatteredReader reader(frame);
  std::string checksum;
  if (!reader.Append(4, &checksum)) return Malformed("too short");
  uint32_t expected = 0;
  ByteReader(checksum).Fixed32(&expected);
  if (reader.RestCrc32c() != expected) {
    return absl::DataLossError("a frame from a node was damaged on the way: wrong checksum");
  }
  return ReadContents(reader, records);
}

absl::Status FrameReader::ReadContents(ScatteredReader contents, std::vector<Record>* records) {
  uint64_t size = 0;
  std::string bytes;
  if (!contents.Varint(&size) || size > contents.remaining()) return Malformed("length of heads");
  contents.Append(size, &bytes);
  std::vector<Head> heads;
  RETURN_IF_ERROR(ReadHeads(bytes, &heads));
  size_t body_bytes = 0;
  for (const Head& head : heads) body_bytes += head.bytes_here;
  if (body_bytes != contents.remaining()) return Malformed("length of the body");
  return ReadBody(std::move(heads), &contents, records);
}

absl::Status FrameReader::ReadHeads(std::string_view bytes, std::vector<Head>* out) const {
  ByteReader reader(bytes);
  uint64_t parts_here = 0;
  while (reader.remaining() > 0) {
    Head head;
    uint8_t first = 0;
    reader.Fixed8(&first);
    head.form = first & kRecordFormMask;
    head.kind = first & static_cast<uint8_t>(~kRecordFormMask);
    if (!IsKind(head.kind)) return Malformed("unknown kind of record");
    const auto form = static_cast<RecordForm>(head.form);
    if (form != RecordForm::kWhole && form != RecordForm::kFirstPiece &&
        form != RecordForm::kFurtherPiece) {
      return Malformed("unknown form of record");
    }
    if (form != RecordForm::kFurtherPiece) {
      uint32_t shard = 0;
      std::string_view header;
      uint64_t parts = 0;
      reader.Varint32(&shard);
      if (!reader.Bytes(&header) || !reader.Varint(&parts)) return Malformed("head of a record");
      if (shard >= limits_.shards) return Malformed("no such shard");
      if (header.size() > kRecordHeaderBytesMax) return Malformed("header over its bound");
      if (parts > kRecordPartsMax || parts > reader.remaining()) return Malformed("count of parts");
      parts_here += parts;
      if (parts_here > kFramePartsMax) return Malformed("count of parts in a frame");
      Incoming& incoming = head.incoming;
      incoming.record.kind = static_cast<RecordKind>(head.kind);
      incoming.record.shard = ShardId(shard);
      incoming.record.header = std::string(header);
      incoming.part_sizes.resize(parts);
      for (size_t& size : incoming.part_sizes) {
        uint32_t part_bytes = 0;
        if (!reader.Varint32(&part_bytes)) return Malformed("length of a part");
        size = part_bytes;
        incoming.rest += part_bytes;
      }
      if (incoming.rest > limits_.record_bytes_max) return Malformed("record over its bound");
      head.bytes_here = incoming.rest;
    }
    if (form != RecordForm::kWhole) {
      uint32_t piece_bytes = 0;
      if (!reader.Varint32(&piece_bytes) || piece_bytes == 0) return Malformed("length of a piece");
      head.bytes_here = piece_bytes;
    }
    out->push_back(std::move(head));
  }
  if (!reader.ok()) return Malformed("heads");
  return absl::OkStatus();
}

absl::Status FrameReader::ReadBody(std::vector<Head> heads, ScatteredReader* body,
                                   std::vector<Record>* records) {
  std::vector<Record> complete;
  for (Head& head : heads) {
    const auto form = static_cast<RecordForm>(head.form);
    if (form == RecordForm::kWhole) {
      Fill(&head.incoming, head.bytes_here, body);
      complete.push_back(std::move(head.incoming.record));
      continue;
    }
    if (form == RecordForm::kFirstPiece) {
      if (begun_) return Malformed("a second record in pieces");
      begun_ = std::move(head.incoming);
    } else if (!begun_ || head.kind != static_cast<uint8_t>(begun_->record.kind)) {
      return Malformed("a piece without its beginning");
    }
    if (head.bytes_here > begun_->rest) return Malformed("a piece beyond its record");
    Fill(&*begun_, head.bytes_here, body);
    if (begun_->rest > 0) continue;
    complete.push_back(std::move(begun_->record));
    begun_.reset();
  }
  records->insert(records->end(), std::make_move_iterator(complete.begin()),
                  std::make_move_iterator(complete.end()));
  return absl::OkStatus();
}

void FrameReader::Fill(Incoming* incoming, size_t bytes, ScatteredReader* body) {
  std::vector<SharedBytes>& parts = incoming->record.parts;
  incoming->rest -= bytes;
  parts.reserve(incoming->part_sizes.size());
  while (parts.size() < incoming->part_sizes.size()) {
    const size_t size = incoming->part_sizes[parts.size()];
    if (incoming->filling == nullptr) {
      if (bytes == 0 && size > 0) return;
      incoming->filling = std::make_shared<std::string>();
      incoming->filling->reserve(size);
    }
    const size_t here = std::min(bytes, size - incoming->filling->size());
    body->Append(here, incoming->filling.get());
    bytes -= here;
    if (incoming->filling->size() < size) return;
    parts.push_back(std::move(incoming->filling));
    incoming->filling = nullptr;
  }
}

}  // namespace holdfast
