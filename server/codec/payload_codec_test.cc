#include "server/codec/payload_codec.h"

#include <string>

#include "gtest/gtest.h"
#include "queue/command.h"
#include "server/codec/random_values.h"

namespace holdfast {
namespace {

std::string Encode(const PayloadView& payload) {
  std::string bytes;
  AppendPayload(&bytes, payload);
  return bytes;
}

TEST(Payload, RoundTripsAndHasTheSizeThatWasPredicted) {
  RandomValues random(20260101);
  for (int i = 0; i < 2000; ++i) {
    const PayloadView payload = random.Payload(500);
    const std::string bytes = Encode(payload);
    EXPECT_EQ(bytes.size(), PayloadSize(payload));
    const auto decoded = DecodePayload(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->attributes, payload.attributes);
    EXPECT_EQ(decoded->dedup_key, payload.dedup_key);
    EXPECT_EQ(decoded->body, payload.body);
  }
}

TEST(Payload, EmptyBodyIsAPayload) {
  const std::string bytes = Encode(PayloadView());
  EXPECT_EQ(bytes, std::string("\x01\x00\x00", 3));
  EXPECT_TRUE(DecodePayload(bytes)->body.empty());
}

TEST(Payload, UnknownVersionIsRefusedByNumber) {
  std::string bytes = Encode(PayloadView());
  bytes[0] = 2;
  const auto decoded = DecodePayload(bytes);
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(decoded.status().ToString().find("version 2"), std::string::npos);
}

TEST(Payload, CutHeadIsRefused) {
  PayloadView payload;
  payload.attributes = {{"name", "value"}};
  payload.dedup_key = "key";
  const std::string bytes = Encode(payload);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodePayload(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
}

TEST(Payload, BoundsAreNamedWithTheValue) {
  const std::string long_key(kDedupKeyBytesMax + 1, 'k');
  const std::string long_value(kAttributeBytesMax, 'v');
  PayloadView payload;
  payload.dedup_key = long_key;
  EXPECT_EQ(CheckPayload(payload).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(CheckPayload(payload).ToString().find("256"), std::string::npos);
  payload.dedup_key = {};
  payload.attributes = {{"n", long_value}};
  EXPECT_NE(CheckPayload(payload).ToString().find("16385"), std::string::npos);
  payload.attributes.assign(kAttributesMax + 1, {"a", "b"});
  EXPECT_NE(CheckPayload(payload).ToString().find("33"), std::string::npos);
  payload.attributes.resize(kAttributesMax);
  EXPECT_TRUE(CheckPayload(payload).ok());
}

TEST(Payload, DigestIsXxh3For64Bits) {
  // From the reference implementation: these numbers are stored, so they must never change.
  EXPECT_EQ(PayloadDigest(""), 0x2d06800538d394c2u);
  EXPECT_EQ(PayloadDigest("abc"), 0x78af5f94892f3950u);
}

}  // namespace
}  // namespace holdfast
