#include "server/cluster/snapshot_wire.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

using Part = SnapshotPartHeader::Kind;
using Answer = SnapshotAnswer::Kind;

// The bytes of FORMAT.md.
TEST(SnapshotWire, BytesAreTheDocumentedOnes) {
  EXPECT_EQ(Encode(SnapshotPartHeader{Part::kBegin, TransferId(300), "k", "msg"}),
            std::string("\x01\xac\x02\x01k\x03msg", 9));
  EXPECT_EQ(Encode(SnapshotPartHeader{Part::kChunk, TransferId(1), "", ""}),
            std::string("\x02\x01", 2));
  EXPECT_EQ(Encode(SnapshotAnswer{Answer::kGoOn, TransferId(5), "cur"}), std::string("\x01\x05\x03"
                                                                                     "cur",
                                                                                     6));
  EXPECT_EQ(Encode(SnapshotAnswer{Answer::kTaken, TransferId(5), ""}),
            std::string("\x02\x05\x00", 3));
}

TEST(SnapshotWire, WhatIsEncodedIsDecoded) {
  for (const SnapshotPartHeader& header :
       {SnapshotPartHeader{Part::kBegin, TransferId(UINT64_MAX), std::string(256, 'k'), ""},
        SnapshotPartHeader{Part::kChunk, TransferId(9), "", ""}}) {
    const auto decoded = DecodePartHeader(Encode(header));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, header);
  }
  for (const SnapshotAnswer& answer :
       {SnapshotAnswer{Answer::kGoOn, TransferId(1), ""},
        SnapshotAnswer{Answer::kTaken, TransferId(2), ""},
        SnapshotAnswer{Answer::kDone, TransferId(3), ""},
        SnapshotAnswer{Answer::kFailed, TransferId(4), "the disk is full"}}) {
    const auto decoded = DecodeAnswer(Encode(answer));
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, answer);
  }
}

TEST(SnapshotWire, EverythingElseIsRefused) {
  const std::string key_too_long =
      Encode(SnapshotPartHeader{Part::kBegin, TransferId(1), std::string(257, 'k'), ""});
  for (const std::string& wrong :
       {std::string(), std::string("\x01", 1), std::string("\x02\x00", 2),
        std::string("\x02\x01z", 3), std::string("\x03\x01", 2), std::string("\x01\x01\x00\x00", 4),
        std::string("\x01\x01\x05k", 4), key_too_long}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DecodePartHeader(wrong).status())) << wrong;
  }
  for (const std::string& wrong :
       {std::string(), std::string("\x02\x01", 2), std::string("\x02\x00\x00", 3),
        std::string("\x02\x01\x01z", 4), std::string("\x05\x01\x00", 3),
        std::string("\x03\x01\x00z", 4)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DecodeAnswer(wrong).status())) << wrong;
  }
}

}  // namespace
}  // namespace holdfast
