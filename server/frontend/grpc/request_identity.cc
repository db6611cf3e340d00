#include "server/frontend/grpc/request_identity.h"

#include <xxhash.h>

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "server/frontend/grpc/validation.h"

namespace holdfast {
namespace {

constexpr size_t kRequestIdBytesMax = 128;
constexpr SpanRange kLifetimeRange = {LogDuration::Seconds(1), kRequestLifetimeMax, false};

}  // namespace

RequestIdentity MakeRequestIdentity(std::string_view method, std::string_view queue,
                                    std::string_view request_id) {
  RequestIdentity identity;
  if (request_id.empty()) return identity;
  std::string text;
  text.reserve(method.size() + queue.size() + request_id.size() + 2);
  text.append(method).append(1, '\0').append(queue).append(1, '\0').append(request_id);
  const XXH128_hash_t digest = XXH3_128bits(text.data(), text.size());
  identity.digest_high = digest.high64;
  identity.digest_low = digest.low64;
  if (!identity.has_digest()) identity.digest_low = 1;  // 0, 0 means none
  return identity;
}

Violation CheckRequestIdentity(std::string_view method, std::string_view queue,
                               const std::string& request_id,
                               const google::protobuf::Duration* lifetime, RequestIdentity* out) {
  if (request_id.size() > kRequestIdBytesMax) {
    return MakeViolation("request_id", absl::StrCat("has ", request_id.size(), " bytes, more than ",
                                                    kRequestIdBytesMax));
  }
  *out = MakeRequestIdentity(method, queue, request_id);
  if (lifetime == nullptr) return nullptr;
  if (request_id.empty()) {
    return MakeViolation("request_id_lifetime", "is set, and there is no request_id");
  }
  return CheckSpan("request_id_lifetime", *lifetime, kLifetimeRange, &out->lifetime);
}

}  // namespace holdfast
