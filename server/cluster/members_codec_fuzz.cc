// Any bytes: refused, or members that are written and read back the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "server/cluster/members_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto first =
      holdfast::DecodeMembers(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!first.ok()) return 0;
  const auto second = holdfast::DecodeMembers(holdfast::EncodeMembers(*first));
  CHECK(second.ok());
  CHECK(*second == *first);
  return 0;
}
