#include "server/engine/forward/forward_codec.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "gtest/gtest.h"
#include "server/codec/command_codec.h"
#include "server/codec/random_values.h"

namespace holdfast {
namespace {

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 0xf];
  }
  return hex;
}

absl::StatusOr<ExecuteResult> Decode(std::string bytes) {
  return DecodeForwardReply(std::make_shared<const std::string>(std::move(bytes)));
}

const RequestIdentity kSession = {.session = SessionId(300), .sequence = 7, .floor = 5};

DeleteCommand OneDelete() {
  DeleteCommand command;
  command.leases.push_back({JobId(21), LeaseToken(2)});
  return command;
}

// The bytes of FORMAT.md: what nodes of one version say to each other. A line never changes.
TEST(ForwardCodec, BytesAreThoseOfTheFormat) {
  const std::string command = EncodeCommand({.request = {}, .body = OneDelete()});
  EXPECT_EQ(Hex(EncodeForwardRequest(false, command, {})),
            "0100"
            "0400"
            "011502");
  EXPECT_EQ(Hex(EncodeForwardRequest(true, command, kSession)),
            "0101"
            "0401ac020705"
            "011502");
  ExecuteResult refused;
  refused.status = absl::ResourceExhaustedError("full");
  refused.retry_after = absl::Milliseconds(1);
  EXPECT_EQ(Hex(EncodeForwardReply(refused)),
            "0108"
            "0466756c6c"
            "e807"
            "00"
            "0701000000000000"
            "00");
  ExecuteResult done;
  done.as_of = LogIndex(9);
  done.outcome.items.emplace_back().job = JobId(21);
  EXPECT_EQ(Hex(EncodeForwardReply(done)),
            "0100"
            "00"
            "00"
            "09"
            "0c010000000001000000150000"
            "00");
}

TEST(ForwardCodec, ASessionIsAddedToAnyCommandThatHasNoIdentity) {
  RandomValues values(1);
  for (int round = 0; round < 2000; ++round) {
    const size_t kind = values.prng().Below(std::variant_size_v<CommandBody>);
    RandomValues::EncodableCommand any = values.AnyCommand(kind);
    const bool has_identity = any.command.request.has_session() || any.command.request.has_digest();
    const std::string plain = EncodeCommand(any.command, any.payloads);
    const std::string bytes = EncodeForwardRequest(true, plain, kSession);
    const absl::StatusOr<ForwardRequest> request = DecodeForwardRequest(bytes);
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_TRUE(request->repeated);
    if (!has_identity) any.command.request = kSession;
    EXPECT_EQ(request->command, EncodeCommand(any.command, any.payloads));
  }
}

TEST(ForwardCodec, RepliesComeBackAsTheyWere) {
  RandomValues values(2);
  for (int round = 0; round < 500; ++round) {
    ExecuteResult result;
    if (values.prng().Chance(1, 4))
      result.status = absl::UnavailableError(std::string(values.Bytes(50)));
    result.retry_after = absl::Microseconds(values.prng().Below(1'000'000));
    result.as_of = LogIndex(values.Number());
    result.outcome = values.AnyOutcome();
    for (size_t i = 0; i < result.outcome.grants.size(); ++i) {
      auto owner = std::make_shared<const std::string>(values.Bytes(300));
      const std::string_view bytes = *owner;
      result.payloads.push_back({std::move(owner), bytes});
    }
    const std::string bytes = EncodeForwardReply(result);
    const absl::StatusOr<ExecuteResult> back = Decode(bytes);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->status, result.status);
    EXPECT_EQ(back->retry_after, result.retry_after);
    EXPECT_EQ(back->as_of, result.as_of);
    EXPECT_TRUE(Same(back->outcome, result.outcome));
    ASSERT_EQ(back->payloads.size(), result.payloads.size());
    for (size_t i = 0; i < result.payloads.size(); ++i) {
      EXPECT_EQ(back->payloads[i].bytes, result.payloads[i].bytes);
    }
    const size_t cut = values.prng().Below(bytes.size());
    EXPECT_EQ(Decode(bytes.substr(0, cut)).status().code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(Decode(bytes + "x").status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST(ForwardCodec, OtherVersionsAreRefused) {
  EXPECT_FALSE(DecodeForwardRequest(std::string("\x02\0", 2)).ok());
  EXPECT_FALSE(DecodeForwardRequest(std::string("\x01\x04", 2)).ok()) << "a flag that is unknown";
  EXPECT_FALSE(DecodeForwardRequest("").ok());
  std::string reply = EncodeForwardReply(ExecuteResult());
  reply[0] = 2;
  EXPECT_FALSE(Decode(reply).ok());
}

}  // namespace
}  // namespace holdfast
