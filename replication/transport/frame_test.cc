// Records through a queue, its frames and a reader: they come out as they went in, in an order that
// lets nothing wait for more than one piece of a large one. Bytes that are not a frame are refused.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "replication/transport/frame_format.h"
#include "replication/transport/frame_reader.h"
#include "replication/transport/record.h"
#include "replication/transport/send_queue.h"

namespace holdfast {
namespace {

constexpr uint32_t kShards = 4;
constexpr FrameReader::Limits kReaderLimits = {.shards = kShards, .record_bytes_max = 64 << 20};

SharedBytes Bytes(size_t size, char c) { return std::make_shared<const std::string>(size, c); }

Record MakeRecord(uint32_t shard, const std::string& header, std::vector<SharedBytes> parts = {}) {
  Record record;
  record.kind = RecordKind::kMessage;
  record.shard = ShardId(shard);
  record.header = header;
  record.parts = std::move(parts);
  return record;
}

std::string Flat(const OutFrame& frame) {
  std::string bytes = frame.head;
  for (const ByteRange& range : frame.body) {
    bytes.append(*range.owner, range.begin, range.size);
  }
  return bytes;
}

absl::Status ReadFrom(FrameReader* reader, std::string_view bytes, std::vector<Record>* records) {
  return reader->Read({bytes}, records);
}

// What comes out of a reader for everything that is in the queue.
std::vector<Record> Drain(SendQueue* queue, size_t* frames = nullptr) {
  FrameReader reader(kReaderLimits);
  std::vector<Record> records;
  OutFrame frame;
  while (queue->Next(&frame)) {
    if (frames != nullptr) ++*frames;
    EXPECT_EQ(ReadFrom(&reader, Flat(frame), &records), absl::OkStatus());
  }
  return records;
}

std::string Describe(const Record& record) {
  std::string text = std::to_string(record.shard.value()) + ":" + record.header;
  for (const SharedBytes& part : record.parts) text += "," + *part;
  return text;
}

TEST(SendQueue, WhatWaitsGoesIntoOneFrameInTurnsOfShards) {
  SendQueue queue({}, kShards);
  for (const char* header : {"a", "b"}) {
    for (uint32_t shard = 0; shard < kShards; ++shard) {
      ASSERT_TRUE(queue.Push(MakeRecord(shard, header, {Bytes(3, 'x')})));
    }
  }
  size_t frames = 0;
  const std::vector<Record> records = Drain(&queue, &frames);
  EXPECT_EQ(frames, 1u);
  std::vector<std::string> texts;
  for (const Record& record : records) texts.push_back(Describe(record));
  EXPECT_EQ(texts, (std::vector<std::string>{"0:a,xxx", "1:a,xxx", "2:a,xxx", "3:a,xxx", "0:b,xxx",
                                             "1:b,xxx", "2:b,xxx", "3:b,xxx"}));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(SendQueue, ASmallRecordOfAnotherShardWaitsForOnePieceOfALargeOneAtMost) {
  SendQueue queue({.frame_bytes_max = 1000, .piece_bytes_min = 100}, kShards);
  FrameReader reader(kReaderLimits);
  std::vector<Record> records;
  OutFrame frame;
  ASSERT_TRUE(queue.Push(MakeRecord(0, "large", {Bytes(100'000, 'l')})));
  ASSERT_TRUE(queue.Push(MakeRecord(0, "after")));
  int frames = 0;
  while (!queue.empty()) {
    // One more small record before each frame: it must be in that frame.
    if (frames < 50) {
      ASSERT_TRUE(queue.Push(MakeRecord(1, std::to_string(frames))));
    }
    ASSERT_TRUE(queue.Next(&frame));
    EXPECT_LE(frame.size_bytes(), 1200u);
    ASSERT_EQ(ReadFrom(&reader, Flat(frame), &records), absl::OkStatus());
    if (frames < 50) {
      EXPECT_EQ(Describe(records.back()), "1:" + std::to_string(frames));
    }
    ++frames;
  }
  ASSERT_EQ(records.size(), 52u);
  EXPECT_EQ(records[50].header, "large");
  EXPECT_EQ(*records[50].parts[0], std::string(100'000, 'l'));
  EXPECT_EQ(records[51].header, "after");
}

TEST(SendQueue, ALargeRecordMovesOnUnderAFloodOfSmallOnes) {
  SendQueue queue({.frame_bytes_max = 1000, .piece_bytes_min = 100}, kShards);
  OutFrame frame;
  ASSERT_TRUE(queue.Push(MakeRecord(0, "large", {Bytes(5000, 'l')})));
  std::vector<Record> records;
  FrameReader reader(kReaderLimits);
  for (int frames = 0; frames < 50; ++frames) {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(queue.Push(MakeRecord(1, std::string(50, 's'))));
    ASSERT_TRUE(queue.Next(&frame));
    ASSERT_EQ(ReadFrom(&reader, Flat(frame), &records), absl::OkStatus());
  }
  EXPECT_EQ(std::count_if(records.begin(), records.end(),
                          [](const Record& record) { return record.header == "large"; }),
            1);
}

TEST(SendQueue, IsFullByRecordsAndByBytesButTakesOneLargeRecordAlone) {
  SendQueue queue(
      {.bytes_max = 1000, .records_max = 3, .frame_bytes_max = 1000, .piece_bytes_min = 100},
      kShards);
  EXPECT_TRUE(queue.Push(MakeRecord(0, "large", {Bytes(5000, 'l')})));
  Record second = MakeRecord(1, "second", {Bytes(5, 'x')});
  EXPECT_FALSE(queue.Push(std::move(second)));
  EXPECT_EQ(Describe(second), "1:second,xxxxx");  // Unchanged.
  OutFrame frame;
  ASSERT_TRUE(queue.Next(&frame));  // The large one is on its way now, and room for others made.
  EXPECT_TRUE(queue.Push(std::move(second)));
  queue.Clear();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.Push(MakeRecord(1, "small")));
  EXPECT_FALSE(queue.Push(MakeRecord(1, "small")));
}

TEST(SendQueue, DropsTheOldestOfTheSameShardAndTag) {
  SendQueue queue({}, kShards);
  const auto push = [&](uint32_t shard, const char* header, uint64_t tag) {
    Record record = MakeRecord(shard, header);
    record.tag = tag;
    ASSERT_TRUE(queue.Push(std::move(record)));
  };
  push(0, "a7", 7);
  push(0, "b8", 8);
  push(0, "c7", 7);
  push(1, "d7", 7);
  EXPECT_TRUE(queue.DropOldest(ShardId(0), 7));
  EXPECT_TRUE(queue.DropOldest(ShardId(1), 7));
  EXPECT_FALSE(queue.DropOldest(ShardId(1), 7));
  EXPECT_FALSE(queue.DropOldest(ShardId(0), 9));
  const std::vector<Record> records = Drain(&queue);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].header, "b8");
  EXPECT_EQ(records[1].header, "c7");
}

TEST(SendQueue, ClearTellsWhatIsNotBegun) {
  SendQueue queue({.frame_bytes_max = 1000, .piece_bytes_min = 100}, kShards);
  OutFrame frame;
  for (uint64_t tag = 1; tag <= 3; ++tag) {
    Record record = MakeRecord(0, "large", {Bytes(5000, 'l')});
    record.tag = tag;
    ASSERT_TRUE(queue.Push(std::move(record)));
  }
  ASSERT_TRUE(queue.Next(&frame));
  EXPECT_EQ(queue.Clear(), (std::vector<uint64_t>{2, 3}));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
  EXPECT_FALSE(queue.Next(&frame));
}

// Random records, limits and cuts: what comes out is what went in, in order by shard.
TEST(Frames, AnyRecordsComeOutAsTheyWentIn) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Prng prng(seed);
    SendQueue queue(
        {.frame_bytes_max = prng.Between(200, 20'000), .piece_bytes_min = prng.Between(1, 200)},
        kShards);
    FrameReader reader(kReaderLimits);
    std::map<ShardId, std::vector<std::string>> in;
    std::map<ShardId, std::vector<std::string>> out;
    std::vector<Record> records;
    for (int step = 0; step < 60 || !queue.empty(); ++step) {
      if (step < 60 && prng.Chance(2, 3)) {
        Record record = MakeRecord(static_cast<uint32_t>(prng.Below(kShards)),
                                   "record " + std::to_string(step));
        for (uint64_t parts = prng.Below(4); parts > 0; --parts) {
          const uint64_t size = prng.Below(prng.Chance(1, 5) ? 30'000 : 3000);
          record.parts.push_back(
              Bytes(prng.Chance(1, 4) ? 0 : size, static_cast<char>('a' + step % 26)));
        }
        in[record.shard].push_back(Describe(record));
        ASSERT_TRUE(queue.Push(std::move(record)));
        continue;
      }
      OutFrame frame;
      if (!queue.Next(&frame)) continue;
      const std::string bytes = Flat(frame);
      std::vector<std::string_view> pieces;
      for (size_t at = 0; at < bytes.size();) {
        const size_t size = prng.Between(0, std::max<size_t>(bytes.size() / 3, 1));
        pieces.push_back(std::string_view(bytes).substr(at, size));
        at += pieces.back().size();
      }
      ASSERT_EQ(reader.Read(pieces, &records), absl::OkStatus());
    }
    for (const Record& record : records) out[record.shard].push_back(Describe(record));
    EXPECT_EQ(in, out);
  }
}

// A frame around `heads` and `body`, with a right checksum.
std::string FrameOf(const std::string& heads, const std::string& body) {
  std::string contents;
  PutBytes(&contents, heads);
  contents += body;
  std::string frame;
  PutFixed32(&frame, Crc32c(contents));
  return frame + contents;
}

std::string HeadOf(const Record& record, RecordForm form, size_t piece_bytes = 0) {
  std::string head;
  AppendRecordHead(record, form, piece_bytes, &head);
  return head;
}

TEST(Frames, WhatIsNotAFrameIsRefusedAndNothingComesOut) {
  const Record small = MakeRecord(1, "small", {Bytes(3, 's')});
  const Record large = MakeRecord(1, "large", {Bytes(10, 'l')});
  const std::string whole = HeadOf(small, RecordForm::kWhole);
  const std::string first = HeadOf(large, RecordForm::kFirstPiece, 4);
  const std::string further = HeadOf(large, RecordForm::kFurtherPiece, 6);
  std::string unknown_kind = whole;
  unknown_kind[0] = 31;
  std::string unknown_form = whole;
  unknown_form[0] = static_cast<char>(0x60 | 1);
  Record of_another_kind = large;
  of_another_kind.kind = RecordKind::kSnapshotPart;
  std::string huge_part("\x01\x01\x00\x01", 4);  // A message of shard 1, one part:
  PutVarint(&huge_part, uint64_t{65} << 20);
  const struct {
    const char* name;
    std::string bytes;
  } cases[] = {
      {"nothing", ""},
      {"half a checksum", "ab"},
      {"a wrong checksum", "abcd" + FrameOf(whole, "sss").substr(4)},
      {"no length", FrameOf(whole, "sss").substr(0, 4)},
      {"heads beyond the end", FrameOf(whole, "").substr(0, 7)},
      {"a body too short", FrameOf(whole, "ss")},
      {"a body too long", FrameOf(whole, "ssss")},
      {"an unknown kind", FrameOf(unknown_kind, "sss")},
      {"an unknown form", FrameOf(unknown_form, "sss")},
      {"a head cut off", FrameOf(whole.substr(0, whole.size() - 1), "sss")},
      {"a shard that does not exist",
       FrameOf(HeadOf(MakeRecord(kShards, "x"), RecordForm::kWhole), "")},
      {"a part over the bound", FrameOf(huge_part, "")},
      {"more parts than bytes", FrameOf(std::string("\x01\x01\x00\x7f", 4), "")},
      {"a further piece first", FrameOf(further, "llllll")},
      {"a second beginning", FrameOf(first + first, "llllllll")},
      {"a piece of nothing", FrameOf(HeadOf(large, RecordForm::kFirstPiece, 0), "")},
      {"a piece too large",
       FrameOf(first + HeadOf(large, RecordForm::kFurtherPiece, 7), std::string(11, 'l'))},
      {"a piece of another kind",
       FrameOf(first + HeadOf(of_another_kind, RecordForm::kFurtherPiece, 6),
               std::string(10, 'l'))},
      {"a good record and then a bad one", FrameOf(whole + further, "sssllllll")},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    FrameReader reader(kReaderLimits);
    std::vector<Record> records;
    EXPECT_FALSE(ReadFrom(&reader, test.bytes, &records).ok());
    EXPECT_TRUE(records.empty());
  }
}

TEST(Frames, ALengthThatDoesNotEndIsRefused) {
  const std::string contents(11, '\xff');
  std::string frame;
  PutFixed32(&frame, Crc32c(contents));
  FrameReader reader(kReaderLimits);
  std::vector<Record> records;
  EXPECT_FALSE(ReadFrom(&reader, frame + contents, &records).ok());
}

TEST(Frames, AFlippedBitIsFound) {
  SendQueue queue({}, kShards);
  ASSERT_TRUE(queue.Push(MakeRecord(1, "header", {Bytes(2000, 'x'), Bytes(5, 'y')})));
  OutFrame frame;
  ASSERT_TRUE(queue.Next(&frame));
  const std::string bytes = Flat(frame);
  Prng prng(7);
  for (int i = 0; i < 200; ++i) {
    std::string damaged = bytes;
    damaged[prng.Below(bytes.size())] ^= static_cast<char>(1 << prng.Below(8));
    FrameReader reader(kReaderLimits);
    std::vector<Record> records;
    EXPECT_EQ(ReadFrom(&reader, damaged, &records).code(), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace holdfast
