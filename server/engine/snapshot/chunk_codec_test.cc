// Chunks and cursors; their bytes against testdata/golden_v1.txt, lines of a name and hex. With
// HOLDFAST_WRITE_GOLDEN=FILE the golden test writes what it made to FILE.

#include "server/engine/snapshot/chunk_codec.h"

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr char kFile[] = "server/engine/snapshot/testdata/golden_v1.txt";
constexpr ShardId kShard(3);

std::string Key(std::string_view rest) {
  std::string key;
  PutBigEndian32(&key, kShard.value());
  return key.append(rest);
}

ShardSnapshotDescriptor Descriptor() {
  return {.id = SnapshotId(0x1122334455667788),
          .shard = kShard,
          .index = LogIndex(1000),
          .term = Term(7),
          .state_hash = 0x0123456789abcdef,
          .layout_version = 1,
          .configuration = "members"};
}

SnapshotCursor FirstCursor() {
  SnapshotCursor cursor;
  cursor.id = Descriptor().id;
  return cursor;
}

struct Stream {
  std::vector<std::string> chunks;
  std::vector<SnapshotCursor> cursors;  // after each
};

// The rows, in chunks of `bytes_max`.
Stream Write(const std::vector<std::pair<std::string, std::string>>& rows, uint64_t bytes_max) {
  Stream stream;
  SnapshotCursor cursor = FirstCursor();
  size_t next = 0;
  while (stream.chunks.empty() || next < rows.size()) {
    ChunkWriter writer(Descriptor(), cursor, bytes_max);
    while (next < rows.size() && writer.Add(Table::kJob, rows[next].first, rows[next].second)) {
      ++next;
    }
    stream.chunks.push_back(
        writer.Finish(next == rows.size() ? ChunkWriter::Last::kYes : ChunkWriter::Last::kNo));
    cursor = writer.cursor();
    stream.cursors.push_back(cursor);
  }
  return stream;
}

TEST(Chunks, RowsOfAnySizeComeBackAndEachChunkKeepsItsBound) {
  constexpr uint64_t kMax = kChunkBytesMin;
  std::vector<std::pair<std::string, std::string>> rows;
  size_t number = 0;
  for (const size_t size : {0, 1, 100, 4000, 3, 4096, 4030, 4029, 4031, 9000, 0, 30'000, 5}) {
    rows.emplace_back(Key(std::to_string(100 + number)), std::string(size, char('a' + number)));
    ++number;
  }
  const Stream stream = Write(rows, kMax);
  std::vector<std::pair<std::string, std::string>> read;
  SnapshotCursor cursor = FirstCursor();
  std::string value;
  for (size_t i = 0; i < stream.chunks.size(); ++i) {
    const std::string& bytes = stream.chunks[i];
    EXPECT_LE(bytes.size(), kMax + (i == 0 ? Descriptor().configuration.size() : 0));
    const auto chunk = DecodeChunk(bytes);
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    EXPECT_EQ(chunk->id, Descriptor().id);
    EXPECT_EQ(chunk->shard, kShard);
    EXPECT_EQ(chunk->number, i);
    EXPECT_EQ(chunk->chain, cursor.chain);
    EXPECT_EQ(chunk->descriptor.has_value(), i == 0);
    if (i == 0) {
      EXPECT_EQ(*chunk->descriptor, Descriptor());
    }
    for (const SnapshotPiece& piece : chunk->pieces) {
      // A row that fits into a chunk is not cut.
      EXPECT_TRUE(piece.bytes.size() == piece.value_size || piece.value_size > 3900);
      ASSERT_TRUE(Advance(piece, kShard, &cursor).ok());
      value.append(piece.bytes);
      if (!piece.ends_row()) continue;
      read.emplace_back(piece.key, std::exchange(value, ""));
    }
    EXPECT_EQ(chunk->last, i + 1 == stream.chunks.size());
    if (chunk->last) {
      EXPECT_EQ(chunk->rows, rows.size());
    }
    cursor.chain = ChainAfter(bytes);
    ++cursor.chunk;
    EXPECT_EQ(cursor, stream.cursors[i]);
  }
  EXPECT_EQ(read, rows);
}

TEST(Chunks, EveryFlippedBitAndEveryCutIsRefused) {
  const std::string bytes = Write({{Key("a"), "1"}, {Key("b"), "2"}}, kChunkBytesMin).chunks[0];
  ASSERT_TRUE(DecodeChunk(bytes).ok());
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
    EXPECT_EQ(DecodeChunk(damaged).status().code(), absl::StatusCode::kDataLoss) << i;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeChunk(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeChunk(bytes + '\0').ok());
}

TEST(Chunks, ACursorAcceptsOnlyWhatMayComeNext) {
  const auto code = [](SnapshotCursor cursor, const SnapshotPiece& piece) {
    const SnapshotCursor before = cursor;
    const absl::Status status = Advance(piece, kShard, &cursor);
    EXPECT_EQ(cursor == before, !status.ok());
    return status.ok();
  };
  SnapshotCursor cursor = FirstCursor();
  const std::string b = Key("b");
  const SnapshotPiece whole = {
      .table = Table::kJob, .key = b, .value_size = 2, .offset = 0, .bytes = "xy"};
  EXPECT_TRUE(code(cursor, whole));
  cursor.table = Table::kJob;
  cursor.key = b;
  EXPECT_TRUE(code(cursor, whole));
  cursor.key = b + '\0';
  EXPECT_FALSE(code(cursor, whole)) << "the same key again";
  cursor.table = Table::kPayload;
  cursor.key.clear();
  EXPECT_FALSE(code(cursor, whole)) << "a table before";
  SnapshotPiece foreign = whole;
  foreign.key = "\1\1\1\1b";
  EXPECT_FALSE(code(FirstCursor(), foreign)) << "another shard";

  SnapshotPiece part = whole;
  part.value_size = 10;
  EXPECT_TRUE(code(FirstCursor(), part));
  cursor = FirstCursor();
  ASSERT_TRUE(Advance(part, kShard, &cursor).ok());
  EXPECT_FALSE(code(cursor, part)) << "the same part again";
  part.offset = 2;
  EXPECT_TRUE(code(cursor, part));
  part.offset = 3;
  EXPECT_FALSE(code(cursor, part)) << "a gap";
  const std::string c = Key("c");
  part.offset = 2;
  part.key = c;
  EXPECT_FALSE(code(cursor, part)) << "another row";
  SnapshotPiece large = whole;
  large.value_size = kSnapshotValueBytesMax + 1;
  EXPECT_FALSE(code(FirstCursor(), large));
}

TEST(Cursor, RoundTripsAndIsStrict) {
  SnapshotCursor cursor = FirstCursor();
  cursor.chunk = 300;
  cursor.chain = 77;
  cursor.table = Table::kIndex;
  cursor.key = Key("k");
  cursor.value_offset = 1000;
  cursor.rows = 12345;
  cursor.bytes = 1 << 20;
  const std::string bytes = EncodeCursor(cursor);
  EXPECT_EQ(*DecodeCursor(bytes), cursor);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeCursor(bytes.substr(0, size)).status().code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_FALSE(DecodeCursor(bytes + "x").ok());
  EXPECT_NE(DecodeCursor("\x09").status().ToString().find("version 9"), std::string::npos);
}

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 0xf];
  }
  return hex;
}

TEST(Golden, BytesBetweenReplicasHaveNotChanged) {
  const Stream small = Write({{Key("a"), "value"}, {Key("b"), ""}}, kChunkBytesMin);
  ASSERT_EQ(small.chunks.size(), 1u);
  const Stream large = Write({{Key("c"), std::string(4100, 'v')}, {Key("d"), ""}}, kChunkBytesMin);
  ASSERT_EQ(large.chunks.size(), 2u);
  const std::map<std::string, std::string> made = {
      {"chunk.only", small.chunks[0]},
      {"chunk.last", large.chunks[1]},
      {"cursor.part", EncodeCursor(large.cursors[0])},
      {"cursor.end", EncodeCursor(large.cursors[1])},
  };
  if (const char* path = std::getenv("HOLDFAST_WRITE_GOLDEN"); path != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, bytes] : made) out << name << ' ' << Hex(bytes) << '\n';
    ASSERT_TRUE(out.good()) << path;
  }
  std::ifstream in(kFile);
  ASSERT_TRUE(in.good()) << kFile;
  std::map<std::string, std::string> golden;
  std::string name;
  std::string hex;
  while (in >> name >> hex) golden[name] = hex;
  EXPECT_EQ(golden.size(), made.size());
  for (const auto& [line, bytes] : made) EXPECT_EQ(golden[line], Hex(bytes)) << line;
}

}  // namespace
}  // namespace holdfast
