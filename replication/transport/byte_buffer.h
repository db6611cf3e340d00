// Messages of proto/holdfast/peer/v1 as gRPC's byte buffers, without copying bodies.
//
// The only place where PeerFrame.records is written and read by hand. Thread-safety: functions
// without state; a ReceivedFrame is thread-compatible.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_BYTE_BUFFER_H_
#define HOLDFAST_REPLICATION_TRANSPORT_BYTE_BUFFER_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "proto/holdfast/peer/v1/peer.pb.h"
#include "replication/transport/record.h"

namespace holdfast {

// A PeerFrame with `frame` as its records. The buffer shares the ranges' owners.
grpc::ByteBuffer ToByteBuffer(OutFrame frame);
// A PeerFrame with a greeting.
grpc::ByteBuffer ToByteBuffer(const peer::v1::PeerFrame& frame);

// INVALID_ARGUMENT if it is no PeerFrame.
absl::Status ParseGreeting(const grpc::ByteBuffer& buffer, peer::v1::PeerFrame* frame);

// The records of one PeerFrame that was received.
class ReceivedFrame {
 public:
  // INVALID_ARGUMENT if it is not a PeerFrame with records and nothing else.
  absl::Status Parse(const grpc::ByteBuffer& buffer);
  // Valid as long as this object.
  absl::Span<const std::string_view> records() const { return views_; }

 private:
  std::vector<grpc::Slice> slices_;
  std::vector<std::string_view> views_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_BYTE_BUFFER_H_
