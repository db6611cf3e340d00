// A connection to Holdfast: the generated calls, with deadlines and safe retries.
//
//   holdfast::Client client({.endpoint = "127.0.0.1:7400"});
//   holdfast::v1::EnqueueRequest request;
//   request.set_queue("mail");
//   request.add_jobs()->set_body("hello");
//   auto response = client.Call(&holdfast::v1::Holdfast::Stub::Enqueue, request);
//
// Retries. What certainly was not executed and what has lost its answer (IsPassing in status.h) is
// tried again, with growing pauses, until the deadline. A request that has a request_id field and
// none set gets one, so that a retry cannot do its work twice; the cluster remembers it for as long
// as a retry may come.
//
// Thread-safety: thread-safe.

#ifndef HOLDFAST_CLIENT_CLIENT_H_
#define HOLDFAST_CLIENT_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/duration.h"
#include "client/status.h"
#include "grpcpp/grpcpp.h"
#include "proto/holdfast/v1/admin.grpc.pb.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"

namespace holdfast {

// 128 random bits as text: a request_id that no one else uses.
std::string MakeRequestId();
// How long the cluster is to remember the request ids of calls that are repeated within `timeout`,
// as holdfast.proto asks for it; at most 5 minutes.
absl::Duration RequestIdLifetime(absl::Duration timeout);

class Client {
 public:
  struct Options {
    // HOST:PORT; or several IPv4 ADDRESS:PORT with commas, nodes of one cluster that stand in for
    // each other: the first that answers is used until it does not.
    std::string endpoint = "127.0.0.1:7400";
    // Until a call's answer, all retries included; a Reserve's wait is added to it.
    absl::Duration timeout = absl::Seconds(15);
    // Sent bodies and received jobs are bounded by the server.
    int message_bytes_max = 128 << 20;
  };
  explicit Client(const Options& options);

  // Calls a unary method of Holdfast or Cluster. Errors: as the method documents them;
  // DEADLINE_EXCEEDED.
  template <class Stub, class Request, class Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                Request request) {
    absl::Duration timeout = options_.timeout;
    if constexpr (requires { request.set_request_id(""); }) {
      if (request.request_id().empty()) {
        request.set_request_id(MakeRequestId());
        *request.mutable_request_id_lifetime() = ToProto(RequestIdLifetime(timeout));
      }
    }
    if constexpr (requires { request.wait(); }) {
      timeout += FromProto(request.wait());
    }
    const absl::Time deadline = absl::Now() + timeout;
    Response response;
    const absl::Status status = Retry(deadline, [&](grpc::ClientContext* context) {
      return (StubOf<Stub>()->*method)(context, request, &response);
    });
    if (!status.ok()) return status;
    return response;
  }

  // What the node is and what it takes. Errors: as the method documents them; DEADLINE_EXCEEDED.
  absl::StatusOr<v1::NodeInfo> GetNodeInfo();

  // For streams and for what Call does not do.
  v1::Holdfast::Stub* stub() { return stub_.get(); }
  const Options& options() const { return options_; }

 private:
  template <class Stub>
  Stub* StubOf() {
    if constexpr (std::is_same_v<Stub, v1::Cluster::Stub>) {
      return cluster_.get();
    } else {
      return stub_.get();
    }
  }
  absl::Status Retry(absl::Time deadline,
                     const std::function<grpc::Status(grpc::ClientContext*)>& call);

  const Options options_;
  std::unique_ptr<v1::Holdfast::Stub> stub_;
  std::unique_ptr<v1::Admin::Stub> admin_;
  std::unique_ptr<v1::Cluster::Stub> cluster_;
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLIENT_H_
