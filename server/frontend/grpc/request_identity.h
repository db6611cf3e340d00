// From a client's request_id to what the log remembers of it.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_REQUEST_IDENTITY_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_REQUEST_IDENTITY_H_

#include <google/protobuf/duration.pb.h>

#include <string>
#include <string_view>

#include "queue/command.h"
#include "server/answer/failure.h"

namespace holdfast {

// The identity of one request: a 128-bit digest of method, queue (empty if the method names none)
// and request id. None if `request_id` is empty. The digest is in the log, so how it is made is
// for good: XXH3-128 (seed 0) over method, NUL, queue, NUL, request id.
RequestIdentity MakeRequestIdentity(std::string_view method, std::string_view queue,
                                    std::string_view request_id);

// `lifetime`: nullptr if unset.
Violation CheckRequestIdentity(std::string_view method, std::string_view queue,
                               const std::string& request_id,
                               const google::protobuf::Duration* lifetime, RequestIdentity* out);

// For any request with the fields request_id and request_id_lifetime.
template <class Request>
Violation ReadRequestIdentity(std::string_view method, std::string_view queue,
                              const Request& request, RequestIdentity* out) {
  return CheckRequestIdentity(
      method, queue, request.request_id(),
      request.has_request_id_lifetime() ? &request.request_id_lifetime() : nullptr, out);
}

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_REQUEST_IDENTITY_H_
