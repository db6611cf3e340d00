// Puts one of gRPC's threads to sleep where there is one too many.
//
// gRPC 1.51 calls callbacks from half as many threads as the machine has cores, but from two at
// least. On a machine of two or three cores that is one more than its own rule has, and it is dear:
// whoever finds something to do wakes the other first, to watch the connections in its place. With
// one thread a cluster of three nodes on two cores did a quarter more of unary calls.
//
//   SparePoller spare;   // while it lives
//
// It sleeps in a callback of a call on a channel that leads nowhere. docs/adr/0011.
//
// REQUIRES: one at a time in a process, in which no callback of gRPC waits for another one.
// Thread-safety: the constructor and the destructor, one after the other.

#ifndef HOLDFAST_BASE_SPARE_POLLER_H_
#define HOLDFAST_BASE_SPARE_POLLER_H_

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <optional>

#include "absl/synchronization/notification.h"

namespace holdfast {

class SparePoller {
 public:
  SparePoller();
  ~SparePoller();
  SparePoller(const SparePoller&) = delete;
  SparePoller& operator=(const SparePoller&) = delete;

 private:
  grpc::ClientContext context_;
  const grpc::ByteBuffer request_{nullptr, 0};
  grpc::ByteBuffer response_;
  std::optional<grpc::GenericStub> stub_;  // nullopt: no thread is spare
  absl::Notification wake_;
  absl::Notification woken_;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_SPARE_POLLER_H_
