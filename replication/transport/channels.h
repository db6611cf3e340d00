// The connections to one other node: one for control, one for append and forward together, one for
// snapshots.
//
// A dial gets a fresh channel unless the other stream of its connection has one that is not
// broken: gRPC's own backoff between attempts, which starts at a second, never plays a part.
// Thread-safety: thread-safe.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_CHANNELS_H_
#define HOLDFAST_REPLICATION_TRANSPORT_CHANNELS_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "replication/transport/peer_transport.h"
#include "replication/transport/stream_kind.h"

namespace holdfast {

class Channels {
 public:
  explicit Channels(const TransportOptions* options) : options_(options) {}

  std::shared_ptr<grpc::Channel> For(StreamKind kind, const std::string& address);

 private:
  const TransportOptions* const options_;

  absl::Mutex mutex_;
  std::weak_ptr<grpc::Channel> bulk_ ABSL_GUARDED_BY(mutex_);  // append and forward
  std::string bulk_address_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_CHANNELS_H_
