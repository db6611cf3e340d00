// Any bytes, as a request (first byte even) or a reply: an error, or what encodes to a fixed point.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "server/codec/command_codec.h"
#include "server/engine/forward/forward_codec.h"

namespace holdfast {
namespace {

void TryRequest(std::string_view bytes) {
  const absl::StatusOr<ForwardRequest> request = DecodeForwardRequest(bytes);
  if (!request.ok() || !DecodeCommand(request->command).ok()) return;
  CHECK(EncodeForwardRequest(request->repeated, request->command, {}) == bytes);
}

void TryReply(std::string_view bytes) {
  const auto decode = [](std::string_view from) {
    return DecodeForwardReply(std::make_shared<const std::string>(from));
  };
  const absl::StatusOr<ExecuteResult> first = decode(bytes);
  if (!first.ok()) return;
  const std::string once = EncodeForwardReply(*first);
  const absl::StatusOr<ExecuteResult> second = decode(once);
  CHECK(second.ok());
  CHECK(EncodeForwardReply(*second) == once);
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    holdfast::TryRequest(bytes);
  } else {
    holdfast::TryReply(bytes);
  }
  return 0;
}
