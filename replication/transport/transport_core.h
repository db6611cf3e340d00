// The peers of a transport and the streams that they dialed: who may speak, and whose stream is
// the newest.
//
// Invariants: of each kind at most one stream of a node is open, the one with the greatest
// (incarnation, epoch); a stream that is not newer than one seen before is refused.
// Thread-safety: thread-safe. Ownership: by shared_ptr; streams refer to it weakly.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_TRANSPORT_CORE_H_
#define HOLDFAST_REPLICATION_TRANSPORT_TRANSPORT_CORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "replication/transport/dispatcher.h"
#include "replication/transport/inbound_stream.h"
#include "replication/transport/peer.h"
#include "replication/transport/peer_transport.h"
#include "replication/transport/stream_count.h"
#include "replication/transport/stream_kind.h"

namespace holdfast {

class TransportCore final : public InboundOwner,
                            public std::enable_shared_from_this<TransportCore> {
 public:
  explicit TransportCore(TransportOptions options);

  void Start(const std::string& address);
  void SetPeers(PeerPlaces places);
  void Stop();
  // A stream that somebody has begun to dial.
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Accept(
      StreamKind kind, grpc::CallbackServerContext* context);

  // nullptr: no such peer.
  std::shared_ptr<Peer> Find(NodeId node) const;
  // The open snapshot stream that the node dialed, or nullptr.
  std::shared_ptr<InboundStream> SnapshotStreamOf(NodeId node) const;
  std::vector<PeerStatus> Status() const;
  Dispatcher* dispatcher() { return &dispatcher_; }
  const TransportOptions& options() const { return options_; }

 private:
  // The newest stream of a kind that a node has dialed; it may be gone.
  struct Slot {
    ReplicaId replica;
    uint64_t incarnation = 0;
    uint64_t epoch = 0;
    std::weak_ptr<InboundStream> stream;
  };
  struct Changes {
    std::vector<std::pair<std::shared_ptr<Peer>, PeerPlace>> connect;
    std::vector<std::shared_ptr<Peer>> stop;
    std::vector<std::shared_ptr<InboundStream>> close;
  };
  using SlotKey = std::pair<NodeId, StreamKind>;

  std::optional<Refusal> Admit(const peer::v1::Hello& hello, StreamKind kind,
                               const std::shared_ptr<InboundStream>& stream) override;
  void OnGreetingOver() override;
  void OnGone(InboundStream* stream) override;

  Changes TakePlaces(PeerPlaces places);
  void ForgetStreamsLocked(NodeId node, Changes* changes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  TransportOptions options_;  // unchanged after Start, before which nobody reads the address
  Dispatcher dispatcher_;
  std::atomic<uint64_t> dials_ = 0;
  const std::shared_ptr<StreamCount> streams_ = std::make_shared<StreamCount>();

  absl::Mutex set_peers_mutex_;  // one SetPeers or Stop at a time

  mutable absl::Mutex mutex_;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  PeerPlaces places_ ABSL_GUARDED_BY(mutex_);
  std::map<NodeId, std::shared_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);
  std::map<SlotKey, Slot> slots_ ABSL_GUARDED_BY(mutex_);
  size_t strangers_ ABSL_GUARDED_BY(mutex_) = 0;
  // Every stream that has been accepted and is not gone, so alive while the lock is held.
  absl::flat_hash_set<InboundStream*> accepted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_TRANSPORT_CORE_H_
