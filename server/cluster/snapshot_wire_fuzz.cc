// Any bytes, as what goes with a part of a state and as an answer: an error, or what encodes to the
// same bytes again.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "server/cluster/snapshot_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto header = holdfast::DecodePartHeader(bytes); header.ok()) {
    const auto again = holdfast::DecodePartHeader(holdfast::Encode(*header));
    CHECK(again.ok());
    CHECK(*again == *header);
  }
  if (const auto answer = holdfast::DecodeAnswer(bytes); answer.ok()) {
    const auto again = holdfast::DecodeAnswer(holdfast::Encode(*answer));
    CHECK(again.ok());
    CHECK(*again == *answer);
  }
  return 0;
}
