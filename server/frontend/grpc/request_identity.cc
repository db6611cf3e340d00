#include "server/frontend/grpc/request_identity.h"

#include <xxhash.h>

#include <string>
#include <string_view>

namespace holdfast {

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

}  // namespace holdfast
