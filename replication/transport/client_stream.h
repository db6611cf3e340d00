// One stream that this node dialed: gRPC's client side of a call, reduced to whole buffers.
//
// Thread-safety: thread-safe. Ownership: keeps itself until OnClosed has returned, and the listener
// until then.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_CLIENT_STREAM_H_
#define HOLDFAST_REPLICATION_TRANSPORT_CLIENT_STREAM_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "replication/transport/stream_count.h"

namespace holdfast {

class ClientStream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Called on threads of gRPC.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A message came. The next one comes after Read().
    virtual void OnRead(ClientStream* stream, const grpc::ByteBuffer& buffer) = 0;
    // What was last written has left; the next may be written.
    virtual void OnWritten(ClientStream* stream) = 0;
    // The last call.
    virtual void OnClosed(ClientStream* stream, const grpc::Status& status) = 0;
  };

  // Calls `method` on the channel, writes `first` and reads. `count` counts it until it is gone.
  static std::shared_ptr<ClientStream> Dial(std::shared_ptr<grpc::Channel> channel,
                                            const std::string& method, grpc::ByteBuffer first,
                                            std::shared_ptr<Listener> listener,
                                            std::shared_ptr<StreamCount> count);

  // Does nothing once the stream is broken or closed. REQUIRES: nothing is being written.
  void Write(grpc::ByteBuffer buffer);
  // REQUIRES: nothing is being read.
  void Read();
  // Hangs up; OnClosed follows.
  void Close();

 private:
  ClientStream(std::shared_ptr<grpc::Channel> channel, std::shared_ptr<Listener> listener,
               std::shared_ptr<StreamCount> count);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  // From now on nothing is started, so that gRPC can finish.
  void EndLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::shared_ptr<Listener> listener_;
  const std::shared_ptr<StreamCount> count_;
  grpc::ClientContext context_;
  std::shared_ptr<ClientStream> self_;  // until OnDone

  // Of the operation under way, so touched by one thread at a time.
  grpc::ByteBuffer reading_;
  grpc::ByteBuffer writing_;

  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_CLIENT_STREAM_H_
