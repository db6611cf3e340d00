// One other node as this node speaks to it: its four links, and the requests that wait for its
// replies.
//
// It is up while control, append and forward are; what happens is told to the loops in order.
//
// Invariants: every request is answered exactly once; a reply that comes after its dial has ended
// is ignored.
// Thread-safety: thread-safe. Ownership: by shared_ptr; Stop ends what holds on to it.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_PEER_H_
#define HOLDFAST_REPLICATION_TRANSPORT_PEER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "replication/transport/channels.h"
#include "replication/transport/outbound_link.h"
#include "replication/transport/peer_transport.h"
#include "replication/transport/peer_types.h"
#include "replication/transport/stream_kind.h"

namespace holdfast {

class Peer final : public LinkOwner, public std::enable_shared_from_this<Peer> {
 public:
  static std::shared_ptr<Peer> Make(NodeId node, const LinkEnvironment& environment);

  // Dials `place`, also if it is there already.
  void Connect(const PeerPlace& place);
  // It has dialed this node, so it is there: it is dialed back at once.
  void Hurry();
  void Stop(const std::string& why);

  // As PeerTransport's.
  void Send(const std::vector<PeerEnvelope>& messages);
  void Forward(ShardId shard, SharedBytes request, PeerTransport::ForwardDone done);
  SnapshotSend SendSnapshot(SnapshotPart part);
  PeerStatus Status() const;

 private:
  // A request without a reply.
  struct Asked {
    DialNumber dial;
    ShardId shard;
    PeerTransport::ForwardDone done;
  };

  Peer(NodeId node, const LinkEnvironment& environment);
  void MakeLinks();
  OutboundLink* link(StreamKind kind) const { return links_[static_cast<size_t>(kind)].get(); }

  std::shared_ptr<grpc::Channel> ChannelFor(StreamKind kind, const std::string& address) override;
  void OnLinkUp(StreamKind kind, DialNumber dial, ReplicaId replica) override;
  void OnLinkDown(StreamKind kind, const LinkEnd& end) override;
  absl::Status OnLinkRecords(StreamKind kind, DialNumber dial, std::vector<Record> records,
                             Credit credit) override;
  void OnLinkRoom(StreamKind kind, DialNumber dial) override;

  // Only while it is told to be up: otherwise appends that a break of one link does not lose could
  // be lost with the next one, untold.
  bool AppendsMayGo(size_t count);
  void TellUnreachable(const std::vector<PeerEnvelope>& messages,
                       const std::vector<Record>& dropped);
  void TellDownLocked(const std::string& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellRefusedLocked(const std::string& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AnswerUnrepliedLocked(const LinkEnd& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakeReplyLocked(DialNumber dial, Record record, const Credit& credit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Calls `done` on the shard's loop.
  void Finish(ShardId shard, PeerTransport::ForwardDone done, ForwardResult result, Credit credit);
  bool AllUpLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t WallMicros() const { return environment_.options->loops[0].executor->WallMicros(); }

  const NodeId node_;
  const LinkEnvironment environment_;
  Channels channels_;
  std::array<std::shared_ptr<OutboundLink>, kStreamKinds> links_;

  mutable absl::Mutex mutex_;
  PeerPlace place_ ABSL_GUARDED_BY(mutex_);
  std::array<DialNumber, kStreamKinds> up_ ABSL_GUARDED_BY(mutex_);     // 0: not up
  std::array<DialNumber, kStreamKinds> ended_ ABSL_GUARDED_BY(mutex_);  // the last that ended
  bool told_up_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t since_micros_ ABSL_GUARDED_BY(mutex_);  // when told_up_ became so
  uint64_t dropped_while_down_ ABSL_GUARDED_BY(mutex_) = 0;
  ReplicaId replica_ ABSL_GUARDED_BY(mutex_);
  std::string problem_ ABSL_GUARDED_BY(mutex_) = "not connected yet";
  std::string told_refusal_ ABSL_GUARDED_BY(mutex_);  // since it was last up
  uint64_t asked_so_far_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, Asked> asked_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_PEER_H_
