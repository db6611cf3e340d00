#include "server/codec/payload_codec.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/status_macros.h"
#include "queue/command.h"

namespace holdfast {
namespace {

constexpr uint8_t kPayloadVersion = 1;

size_t VarintSize(uint64_t v) {
  const int bits = 64 - std::countl_zero(v | 1);
  return static_cast<size_t>((bits + 6) / 7);
}
size_t BytesSize(std::string_view bytes) { return VarintSize(bytes.size()) + bytes.size(); }

absl::Status Malformed(std::string_view bytes, const std::string& what) {
  return absl::DataLossError("payload of " + std::to_string(bytes.size()) + " bytes: " + what);
}

absl::Status TooBig(const std::string& what, size_t is, size_t bound) {
  return absl::InvalidArgumentError(what + " is " + std::to_string(is) + ", at most " +
                                    std::to_string(bound) + " are allowed");
}

}  // namespace

absl::Status CheckPayload(const PayloadView& payload) {
  if (payload.attributes.size() > kAttributesMax) {
    return TooBig("number of attributes", payload.attributes.size(), kAttributesMax);
  }
  size_t attribute_bytes = 0;
  for (const Attribute& attribute : payload.attributes) {
    attribute_bytes += attribute.name.size() + attribute.value.size();
  }
  if (attribute_bytes > kAttributeBytesMax) {
    return TooBig("number of bytes of all attributes", attribute_bytes, kAttributeBytesMax);
  }
  if (payload.dedup_key.size() > kDedupKeyBytesMax) {
    return TooBig("number of bytes of the dedup key", payload.dedup_key.size(), kDedupKeyBytesMax);
  }
  if (payload.body.size() > kBodyBytesMax) {
    return TooBig("number of bytes of the body", payload.body.size(), kBodyBytesMax);
  }
  return absl::OkStatus();
}

size_t PayloadSize(const PayloadView& payload) {
  size_t size = 1 + VarintSize(payload.attributes.size()) + BytesSize(payload.dedup_key) +
                payload.body.size();
  for (const Attribute& attribute : payload.attributes) {
    size += BytesSize(attribute.name) + BytesSize(attribute.value);
  }
  return size;
}

void AppendPayload(std::string* out, const PayloadView& payload) {
  CHECK(CheckPayload(payload).ok());
  PutFixed8(out, kPayloadVersion);
  PutVarint(out, payload.attributes.size());
  for (const Attribute& attribute : payload.attributes) {
    PutBytes(out, attribute.name);
    PutBytes(out, attribute.value);
  }
  PutBytes(out, payload.dedup_key);
  out->append(payload.body);
}

absl::StatusOr<PayloadView> DecodePayload(std::string_view bytes) {
  ByteReader in(bytes);
  uint8_t version = 0;
  if (!in.Fixed8(&version)) return Malformed(bytes, "empty");
  if (version != kPayloadVersion) {
    return Malformed(bytes, "version " + std::to_string(version) + " is not known");
  }
  uint64_t attributes = 0;
  if (!in.Varint(&attributes) || attributes > kAttributesMax) {
    return Malformed(bytes, "bad number of attributes");
  }
  PayloadView payload;
  for (uint64_t i = 0; i < attributes; ++i) {
    Attribute attribute;
    if (!in.Bytes(&attribute.name) || !in.Bytes(&attribute.value)) {
      return Malformed(bytes, "attribute " + std::to_string(i) + " is cut");
    }
    payload.attributes.push_back(attribute);
  }
  if (!in.Bytes(&payload.dedup_key)) return Malformed(bytes, "dedup key is cut");
  CHECK(in.Skip(in.remaining(), &payload.body));
  if (absl::Status status = CheckPayload(payload); !status.ok()) {
    return Malformed(bytes, std::string(status.message()));
  }
  return payload;
}

uint64_t PayloadDigest(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace holdfast
