// The dialing side of one stream by hand: says what a test wants said, also what no node would say.
//
// Thread-safety: thread-compatible; calls block until they have succeeded or the stream has ended.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_TESTING_RAW_PEER_H_
#define HOLDFAST_REPLICATION_TRANSPORT_TESTING_RAW_PEER_H_

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>

#include "proto/holdfast/peer/v1/peer.pb.h"
#include "replication/transport/stream_kind.h"

namespace holdfast {

class RawPeer {
 public:
  RawPeer(const std::string& address, StreamKind kind);
  // Hangs up.
  ~RawPeer();

  // Whether it could be written.
  bool Write(const grpc::ByteBuffer& buffer);
  bool WriteBytes(const std::string& bytes);
  bool WriteFrame(const peer::v1::PeerFrame& frame);
  // Whether a message came.
  bool Read(grpc::ByteBuffer* buffer);
  // Reads until the stream has ended, and returns how.
  grpc::Status Finish();

 private:
  bool Next();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_TESTING_RAW_PEER_H_
