#include "server/engine/snapshot/chunk_codec.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "xxhash.h"

namespace holdfast {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kHasDescriptor = 1;
constexpr uint8_t kIsLast = 2;
constexpr uint8_t kIsPart = 0x80;  // of a piece's first byte; the rest is the table

constexpr size_t kCrcSize = 4;
constexpr size_t kFlagsAt = 5;
constexpr size_t kPiecesAt = 6;
constexpr size_t kHeaderSize = 38;
// Around the bytes of a piece: table, three varints, the key's length; and the totals at the end.
constexpr uint64_t kPieceOverheadMax = 1 + 4 * 10;
constexpr uint64_t kTotalsMax = 2 * 10;
// Cutting a row gains nothing when less than this is left of a chunk.
constexpr uint64_t kPartMin = 512;

absl::Status Malformed(const char* what, std::string_view bytes, const ByteReader& in) {
  if (!bytes.empty() && static_cast<uint8_t>(bytes[0]) != kVersion) {
    return absl::DataLossError(
        absl::StrCat(what, " of version ", static_cast<uint8_t>(bytes[0]), ", which is not known"));
  }
  return absl::DataLossError(absl::StrCat(what, " of ", bytes.size(), " bytes: malformed at byte ",
                                          bytes.size() - in.remaining()));
}

bool ReadVersion(ByteReader* in) {
  uint8_t version = 0;
  return in->Fixed8(&version) && version == kVersion;
}

void PutDescriptor(std::string* out, const ShardSnapshotDescriptor& descriptor) {
  PutVarint(out, descriptor.index.value());
  PutVarint(out, descriptor.term.value());
  PutFixed64(out, descriptor.state_hash);
  PutVarint(out, descriptor.layout_version);
  PutBytes(out, descriptor.configuration);
}

bool ReadDescriptor(ByteReader* in, ShardSnapshotDescriptor* descriptor) {
  uint64_t index = 0;
  uint64_t term = 0;
  std::string_view configuration;
  if (!in->Varint(&index) || !in->Varint(&term) || !in->Fixed64(&descriptor->state_hash) ||
      !in->Varint32(&descriptor->layout_version) || !in->Bytes(&configuration) ||
      configuration.size() > kSnapshotConfigurationBytesMax) {
    return false;
  }
  descriptor->index = LogIndex(index);
  descriptor->term = Term(term);
  descriptor->configuration = configuration;
  return true;
}

bool ReadPiece(ByteReader* in, SnapshotPiece* piece) {
  uint8_t table = 0;
  if (!in->Fixed8(&table) || (table & ~kIsPart) >= kTableCount || !in->Bytes(&piece->key)) {
    return false;
  }
  piece->table = static_cast<Table>(table & ~kIsPart);
  if ((table & kIsPart) == 0) {
    if (!in->Bytes(&piece->bytes)) return false;
    piece->value_size = piece->bytes.size();
    return true;
  }
  // A part is neither empty nor the whole.
  return in->Varint(&piece->value_size) && in->Varint(&piece->offset) && in->Bytes(&piece->bytes) &&
         !piece->bytes.empty() && piece->offset <= piece->value_size &&
         piece->bytes.size() <= piece->value_size - piece->offset &&
         piece->bytes.size() < piece->value_size;
}

}  // namespace

std::string NameOf(SnapshotId id, ShardId shard) {
  return absl::StrCat("snapshot ", absl::Hex(id.value(), absl::kZeroPad16), " of shard ",
                      shard.value());
}

std::string EncodeCursor(const SnapshotCursor& cursor) {
  std::string out;
  PutFixed8(&out, kVersion);
  PutFixed64(&out, cursor.id.value());
  PutVarint(&out, cursor.chunk);
  PutFixed64(&out, cursor.chain);
  PutFixed8(&out, static_cast<uint8_t>(cursor.table));
  PutBytes(&out, cursor.key);
  PutVarint(&out, cursor.value_offset);
  PutVarint(&out, cursor.rows);
  PutVarint(&out, cursor.bytes);
  return out;
}

absl::StatusOr<SnapshotCursor> DecodeCursor(std::string_view bytes) {
  ByteReader in(bytes);
  SnapshotCursor cursor;
  uint64_t id = 0;
  uint8_t table = 0;
  std::string_view key;
  if (!ReadVersion(&in) || !in.Fixed64(&id) || !in.Varint(&cursor.chunk) ||
      !in.Fixed64(&cursor.chain) || !in.Fixed8(&table) || table >= kTableCount || !in.Bytes(&key) ||
      key.size() > kSnapshotKeyBytesMax + 1 || !in.Varint(&cursor.value_offset) ||
      !in.Varint(&cursor.rows) || !in.Varint(&cursor.bytes) || !in.Done()) {
    return Malformed("cursor of a snapshot", bytes, in);
  }
  cursor.id = SnapshotId(id);
  cursor.table = static_cast<Table>(table);
  cursor.key = key;
  return cursor;
}

absl::StatusOr<SnapshotChunk> DecodeChunk(std::string_view bytes) {
  ByteReader in(bytes);
  uint32_t crc = 0;
  if (!in.Fixed32(&crc) || crc != Crc32c(bytes.substr(kCrcSize))) {
    return absl::DataLossError(
        absl::StrCat("chunk of ", bytes.size(), " bytes: the checksum does not match"));
  }
  SnapshotChunk chunk;
  uint8_t flags = 0;
  uint32_t pieces = 0;
  uint32_t shard = 0;
  uint64_t id = 0;
  const std::string_view rest = bytes.substr(kCrcSize);
  in = ByteReader(rest);
  if (!ReadVersion(&in) || !in.Fixed8(&flags) || (flags & ~(kHasDescriptor | kIsLast)) != 0 ||
      !in.Fixed32(&pieces) || !in.Fixed32(&shard) || !in.Fixed64(&id) ||
      !in.Fixed64(&chunk.number) || !in.Fixed64(&chunk.chain)) {
    return Malformed("chunk", rest, in);
  }
  chunk.id = SnapshotId(id);
  chunk.shard = ShardId(shard);
  const bool is_first = chunk.number == 0;
  if (((flags & kHasDescriptor) != 0) != is_first) return Malformed("chunk", rest, in);
  if (is_first) {
    chunk.descriptor.emplace();
    if (!ReadDescriptor(&in, &*chunk.descriptor)) return Malformed("chunk", rest, in);
    chunk.descriptor->id = chunk.id;
    chunk.descriptor->shard = chunk.shard;
  }
  for (uint32_t i = 0; i < pieces; ++i) {
    SnapshotPiece piece;
    if (!ReadPiece(&in, &piece)) return Malformed("chunk", rest, in);
    chunk.pieces.push_back(piece);
  }
  chunk.last = (flags & kIsLast) != 0;
  if (chunk.last && (!in.Varint(&chunk.rows) || !in.Varint(&chunk.bytes))) {
    return Malformed("chunk", rest, in);
  }
  if (!in.Done()) return Malformed("chunk", rest, in);
  return chunk;
}

uint64_t ChainAfter(std::string_view chunk) {
  return XXH3_64bits(chunk.data() + kCrcSize, chunk.size() - kCrcSize);
}

absl::Status Advance(const SnapshotPiece& piece, ShardId shard, SnapshotCursor* cursor) {
  std::string prefix;
  PutBigEndian32(&prefix, shard.value());
  const std::string_view key = piece.key;
  if (key.substr(0, prefix.size()) != prefix) {
    return absl::InvalidArgumentError("the key is not one of the shard");
  }
  if (key.size() > kSnapshotKeyBytesMax || piece.value_size > kSnapshotValueBytesMax) {
    return absl::InvalidArgumentError("the key or the value is too large");
  }
  if (cursor->value_offset > 0) {
    if (piece.table != cursor->table || key != cursor->key) {
      return absl::InvalidArgumentError("a row ends before all of it has come");
    }
  } else if (piece.table < cursor->table || (piece.table == cursor->table && key < cursor->key)) {
    return absl::InvalidArgumentError("the key does not come after the one before");
  }
  if (piece.offset != cursor->value_offset) {
    return absl::InvalidArgumentError(
        absl::StrCat("the value goes on at byte ", piece.offset, ", not ", cursor->value_offset));
  }
  cursor->table = piece.table;
  cursor->key = key;
  if (!piece.ends_row()) {
    cursor->value_offset += piece.bytes.size();
    return absl::OkStatus();
  }
  cursor->key.push_back('\0');  // the first key after this one
  cursor->value_offset = 0;
  ++cursor->rows;
  cursor->bytes += key.size() + piece.value_size;
  return absl::OkStatus();
}

ChunkWriter::ChunkWriter(const ShardSnapshotDescriptor& descriptor, SnapshotCursor cursor,
                         uint64_t bytes_max)
    : shard_(descriptor.shard),
      row_bytes_max_(bytes_max - kHeaderSize - kTotalsMax),
      bytes_max_(bytes_max + (cursor.chunk == 0 ? descriptor.configuration.size() : 0)),
      cursor_(std::move(cursor)) {
  CHECK_GE(bytes_max, kChunkBytesMin);
  const bool is_first = cursor_.chunk == 0;
  PutFixed32(&out_, 0);  // the CRC
  PutFixed8(&out_, kVersion);
  PutFixed8(&out_, is_first ? kHasDescriptor : 0);
  PutFixed32(&out_, 0);  // the number of pieces
  PutFixed32(&out_, shard_.value());
  PutFixed64(&out_, cursor_.id.value());
  PutFixed64(&out_, cursor_.chunk);
  PutFixed64(&out_, cursor_.chain);
  if (is_first) PutDescriptor(&out_, descriptor);
}

uint64_t ChunkWriter::room() const {
  const uint64_t used = out_.size() + kTotalsMax;
  return used < bytes_max_ ? bytes_max_ - used : 0;
}

void ChunkWriter::Put(const SnapshotPiece& piece) {
  const bool is_part = piece.bytes.size() != piece.value_size;
  PutFixed8(&out_, static_cast<uint8_t>(piece.table) | (is_part ? kIsPart : 0));
  PutBytes(&out_, piece.key);
  if (is_part) {
    PutVarint(&out_, piece.value_size);
    PutVarint(&out_, piece.offset);
  }
  PutBytes(&out_, piece.bytes);
  ++pieces_;
  const absl::Status status = Advance(piece, shard_, &cursor_);
  CHECK(status.ok());
}

bool ChunkWriter::Add(Table table, std::string_view key, std::string_view value) {
  const uint64_t overhead = key.size() + kPieceOverheadMax;
  const uint64_t offset = cursor_.value_offset;
  const uint64_t left = value.size() - offset;
  const uint64_t available = room();
  SnapshotPiece piece{.table = table,
                      .key = key,
                      .value_size = value.size(),
                      .offset = offset,
                      .bytes = value.substr(offset)};
  if (overhead + left <= available) {
    Put(piece);
    return true;
  }
  const bool is_cut = offset > 0 || overhead + left > row_bytes_max_;
  if (is_cut && available >= overhead + kPartMin) {
    piece.bytes = value.substr(offset, available - overhead);
    Put(piece);
  }
  return false;
}

std::string ChunkWriter::Finish(Last last) {
  if (last == Last::kYes) {
    out_[kFlagsAt] = static_cast<char>(out_[kFlagsAt] | kIsLast);
    PutVarint(&out_, cursor_.rows);
    PutVarint(&out_, cursor_.bytes);
  }
  std::memcpy(out_.data() + kPiecesAt, &pieces_, sizeof(pieces_));
  const uint32_t crc = Crc32c(std::string_view(out_).substr(kCrcSize));
  std::memcpy(out_.data(), &crc, sizeof(crc));
  cursor_.chain = ChainAfter(out_);
  ++cursor_.chunk;
  return std::move(out_);
}

}  // namespace holdfast
