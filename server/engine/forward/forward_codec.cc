#include "server/engine/forward/forward_codec.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "server/codec/command_codec.h"
#include "server/codec/field_codec.h"
#include "server/codec/outcome_codec.h"

namespace holdfast {
namespace {

using field_codec::Put;
using field_codec::Read;
using field_codec::ReadCount;
using field_codec::ReadFlags;

constexpr uint8_t kVersion = 1;
enum RequestFlag : uint8_t { kRepeated = 1 };
// Of the longest identity that may be added to a command.
constexpr size_t kIdentityBytesMax = 3 * field_codec::kVarintBytesMax;

// The statuses that an Engine answers (engine.h), by their numbers in google.rpc.Code.
bool IsEngineStatus(uint8_t code) {
  switch (static_cast<absl::StatusCode>(code)) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

bool ReadReply(ByteReader* in, const std::shared_ptr<const std::string>& owner,
               ExecuteResult* result) {
  uint8_t version = 0;
  uint8_t code = 0;
  std::string_view message;
  uint64_t retry_micros = 0;
  std::string_view outcome;
  uint64_t payloads = 0;
  if (!in->Fixed8(&version) || version != kVersion || !in->Fixed8(&code) || !IsEngineStatus(code) ||
      !in->Bytes(&message) || !Read(in, &retry_micros) || retry_micros > INT64_MAX ||
      !Read(in, &result->as_of) || !in->Bytes(&outcome)) {
    return false;
  }
  result->status = absl::Status(static_cast<absl::StatusCode>(code),
                                absl::string_view(message.data(), message.size()));
  result->retry_after = absl::Microseconds(static_cast<int64_t>(retry_micros));
  absl::StatusOr<Outcome> decoded = DecodeOutcome(outcome);
  if (!decoded.ok()) return false;
  result->outcome = *std::move(decoded);
  if (!ReadCount(in, kItemsPerCommandMax, 1, &payloads)) return false;
  if (payloads != result->outcome.grants.size()) return false;
  result->payloads.resize(payloads);
  for (PayloadRef& payload : result->payloads) {
    if (!in->Bytes(&payload.bytes)) return false;
    payload.owner = owner;
  }
  return in->Done();
}

}  // namespace

std::string EncodeForwardRequest(bool repeated, std::string_view command,
                                 const RequestIdentity& session) {
  std::string bytes;
  bytes.reserve(2 + kIdentityBytesMax + command.size());
  PutFixed8(&bytes, kVersion);
  PutFixed8(&bytes, repeated ? kRepeated : 0);
  if (session.has_session() && !HasRequestIdentity(command)) {
    AppendWithSession(&bytes, command, session);
  } else {
    bytes.append(command);
  }
  return bytes;
}

absl::StatusOr<ForwardRequest> DecodeForwardRequest(std::string_view bytes) {
  ByteReader in(bytes);
  uint8_t version = 0;
  uint8_t flags = 0;
  if (!in.Fixed8(&version) || version != kVersion || !ReadFlags(&in, kRepeated, &flags)) {
    return absl::DataLossError(absl::StrCat("a forwarded request of ", bytes.size(),
                                            " bytes is not of version ", int{kVersion}));
  }
  return ForwardRequest{.repeated = (flags & kRepeated) != 0,
                        .command = bytes.substr(bytes.size() - in.remaining())};
}

std::string EncodeForwardReply(const ExecuteResult& result) {
  CHECK(IsEngineStatus(static_cast<uint8_t>(result.status.code())));
  CHECK_EQ(result.payloads.size(), result.outcome.grants.size());
  std::string outcome;
  AppendOutcome(&outcome, result.outcome);
  size_t size = 64 + result.status.message().size() + outcome.size();
  for (const PayloadRef& payload : result.payloads) {
    size += field_codec::kVarintBytesMax + payload.bytes.size();
  }
  std::string bytes;
  bytes.reserve(size);
  PutFixed8(&bytes, kVersion);
  PutFixed8(&bytes, static_cast<uint8_t>(result.status.code()));
  PutBytes(&bytes, std::string(result.status.message()));
  Put(&bytes, static_cast<uint64_t>(absl::ToInt64Microseconds(result.retry_after)));
  Put(&bytes, result.as_of);
  PutBytes(&bytes, outcome);
  Put(&bytes, result.payloads.size());
  for (const PayloadRef& payload : result.payloads) PutBytes(&bytes, payload.bytes);
  return bytes;
}

absl::StatusOr<ExecuteResult> DecodeForwardReply(std::shared_ptr<const std::string> bytes) {
  absl::StatusOr<ExecuteResult> result(absl::in_place);
  ByteReader in(*bytes);
  if (!ReadReply(&in, bytes, &*result)) {
    return absl::DataLossError(absl::StrCat("a reply of ", bytes->size(),
                                            " bytes: malformed at byte ",
                                            bytes->size() - in.remaining()));
  }
  return result;
}

}  // namespace holdfast
