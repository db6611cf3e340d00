// Any bytes: an error, or a command that encodes to a fixed point.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "server/codec/command_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<holdfast::DecodedCommand> first = holdfast::DecodeCommand(bytes);
  if (!first.ok()) return 0;
  const std::string once = holdfast::EncodeCommand(first->command, first->payloads);
  const absl::StatusOr<holdfast::DecodedCommand> second = holdfast::DecodeCommand(once);
  CHECK(second.ok());
  CHECK(holdfast::EncodeCommand(second->command, second->payloads) == once);
  return 0;
}
