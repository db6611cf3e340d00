// Any bytes: an error, or a payload that encodes to bytes that decode to the same.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "server/codec/payload_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<holdfast::PayloadView> payload = holdfast::DecodePayload(bytes);
  if (!payload.ok()) return 0;
  std::string again;
  holdfast::AppendPayload(&again, *payload);
  CHECK_EQ(again.size(), holdfast::PayloadSize(*payload));
  const absl::StatusOr<holdfast::PayloadView> second = holdfast::DecodePayload(again);
  CHECK(second.ok());
  CHECK(second->attributes == payload->attributes);
  CHECK(second->dedup_key == payload->dedup_key && second->body == payload->body);
  return 0;
}
