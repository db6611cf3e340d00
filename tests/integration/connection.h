// A plain gRPC connection of a test to one start of the server.

#ifndef HOLDFAST_TESTS_INTEGRATION_CONNECTION_H_
#define HOLDFAST_TESTS_INTEGRATION_CONNECTION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "proto/holdfast/v1/admin.grpc.pb.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"

namespace holdfast::testing {

// Thread-safety: thread-safe once opened.
class Connection {
 public:
  // UNAVAILABLE when nothing answers at `address` within `timeout`.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(
      const std::string& address, absl::Duration timeout = absl::Seconds(20)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(64 << 20);
    // A pool of its own: the port may have belonged to a server that is dead now.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    auto channel =
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    const auto deadline = absl::ToChronoTime(absl::Now() + timeout);
    if (!channel->WaitForConnected(deadline)) {
      return absl::UnavailableError(absl::StrCat("no connection to ", address));
    }
    return std::unique_ptr<Connection>(new Connection(channel));
  }
  v1::Holdfast::StubInterface* stub() { return stub_.get(); }
  v1::Admin::StubInterface* admin() { return admin_.get(); }
  v1::Cluster::StubInterface* cluster() { return cluster_.get(); }

 private:
  explicit Connection(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::Holdfast::NewStub(channel)),
        admin_(v1::Admin::NewStub(channel)),
        cluster_(v1::Cluster::NewStub(channel)) {}
  const std::unique_ptr<v1::Holdfast::Stub> stub_;
  const std::unique_ptr<v1::Admin::Stub> admin_;
  const std::unique_ptr<v1::Cluster::Stub> cluster_;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CONNECTION_H_
