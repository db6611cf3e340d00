// The connections of one node to the other nodes of its cluster: Raft messages, forwarded
// requests and snapshots of all shards, over gRPC.
//
// Each node dials each other node and sends over the streams that it dialed (contract:
// proto/holdfast/peer/v1/peer.proto). Four streams, so that nothing large delays what must not
// wait:
//
//   control   votes, heartbeats, transfer, ReadIndex     a connection of its own
//   append    entries and their responses                ┐ one connection
//   forward   requests to the leader, and their replies  ┘
//   snapshot  parts of state, and their answers          a third, made when first used
//
// Everything that waits for a stream goes into one frame. Heartbeats that no read waits for wait
// 1 ms for those of the node's other loops. A record with more than 1 MiB travels in pieces between
// the others. A connection that breaks is reported at once and dialed again after 50 ms..1 s. Each
// stream starts with a greeting in which either side may refuse the other; a receiver hears only
// the newest stream of each kind of a node, so that nothing arrives late from an old one.
//
// When a queue is full:      control   drops the oldest message of the same shard and type
//                            append    drops the new one, and reports its receiver unreachable
//                            forward   answers kNotSent
//                            snapshot  answers kWait
// A receiver reads on only when its loops have taken what it read, so a slow node fills its
// peers' queues, and nobody's memory. Messages of control are dropped instead if a loop does not
// take them.
//
// Bounds: TransportOptions. Per peer its queues, besides one record that is on its way in pieces on
// each; and of what is received on each stream receive_bytes_max and one frame more with the loops,
// and one record of record_bytes_max that is being put together.
// Thread-safety: thread-safe. Ownership: see the constructor.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_PEER_TRANSPORT_H_
#define HOLDFAST_REPLICATION_TRANSPORT_PEER_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/executor.h"
#include "base/types.h"
#include "replication/transport/peer_types.h"

namespace grpc {
class Service;
}

namespace holdfast {

class TransportCore;

// Answers one forwarded request. Move-only; destroyed without an answer it tells the asker
// kUnknown. Thread-safety: thread-compatible; usable on any thread, also after the transport has
// stopped.
class ForwardReply {
 public:
  using Send = absl::AnyInvocable<bool(std::shared_ptr<const std::string>) &&>;
  explicit ForwardReply(Send send) : send_(std::move(send)) {}
  ForwardReply(ForwardReply&& other) : send_(std::exchange(other.send_, nullptr)) {}
  ForwardReply& operator=(ForwardReply&&) = delete;
  ~ForwardReply() {
    if (send_ != nullptr) std::move(send_)(nullptr);
  }

  // False if the asker is gone, so that it will never see the reply. True promises nothing: the
  // connection may break yet. REQUIRES: not nullptr; called at most once.
  bool Answer(std::shared_ptr<const std::string> reply) {
    return std::exchange(send_, nullptr)(std::move(reply));
  }

 private:
  Send send_;
};

// What the owner of some shards is told. Thread-safety: called only on its loop's executor.
class PeerHandler {
 public:
  virtual ~PeerHandler() = default;

  // Messages from `from`, in order, of shards of this loop.
  virtual void OnMessages(NodeId from, std::vector<PeerEnvelope> messages) = 0;
  // Messages with entries to the replica were dropped here.
  virtual void OnUnreachable(ShardId shard, ReplicaId replica) = 0;
  // Told to every loop, in order.
  virtual void OnPeerChange(const PeerChange& change) = 0;
  // A request of `from`, to be executed here and answered.
  virtual void OnForward(NodeId from, ShardId shard, std::shared_ptr<const std::string> request,
                         ForwardReply reply) = 0;
  // The next part of a state. Keep `credit` until the part is dealt with: no more than
  // receive_bytes_max of parts are read before.
  virtual void OnSnapshotPart(NodeId from, SnapshotPart part, std::shared_ptr<void> credit) = 0;
  // An answer to parts that were sent to `from`.
  virtual void OnSnapshotAnswer(NodeId from, ShardId shard, std::string answer) = 0;
  // Told to every loop. kRoom after a kWait, and kBroken.
  virtual void OnSnapshotStream(NodeId to, SnapshotStream event) = 0;
};

// A loop: where the shards that it owns are handled.
struct TransportLoop {
  Executor* executor = nullptr;
  PeerHandler* handler = nullptr;
};

struct TransportOptions {
  PeerIdentity self;                  // its address is told to Start
  std::vector<TransportLoop> loops;   // not empty
  std::vector<size_t> loop_of_shard;  // for each shard an index into loops
  uint64_t seed = 0;                  // of the jitter

  // Queues, each for one peer. Bytes of what waits (Record::size_bytes), besides one record that is
  // on its way in pieces; a record larger than the bound is taken when nothing else waits.
  size_t control_messages_max = 4096;
  size_t control_bytes_max = 4 << 20;
  size_t append_messages_max = 16'384;
  size_t append_bytes_max = 64 << 20;
  size_t forwards_max = 65'536;  // without a reply, in each direction
  size_t forward_bytes_max = 64 << 20;
  size_t snapshot_bytes_max = 4 << 20;
  // Of whole records in a frame; a record with more travels in pieces. At most 4 MiB.
  size_t frame_bytes_max = 1 << 20;
  size_t piece_bytes_min = 64 << 10;
  // The largest record, and so the largest entry, request, reply and part. A node that is sent
  // more closes the stream.
  size_t record_bytes_max = 256 << 20;
  // What one stream has read and its loops have not taken, before it stops reading.
  size_t receive_bytes_max = 8 << 20;
  // Messages of control that one loop has not taken, before more are dropped.
  size_t control_pending_max = 16'384;
  // Streams that have not greeted, before more are refused.
  size_t strangers_max = 256;

  // Before a connection is dialed again: uniform in [d / 2, d], where d starts at twice the
  // minimum and doubles up to the maximum while it does not come up.
  int64_t backoff_min_micros = 50'000;
  int64_t backoff_max_micros = 1'000'000;
  // From dialing to the other's greeting; also how long one who dialed may take to greet.
  int64_t greeting_timeout_micros = 2'000'000;
  // A connection over which nothing came for the first is asked for a sign of life, and is broken
  // if none comes within the second; bytes that are not acknowledged for the second break it too.
  int64_t keepalive_time_micros = 6'000'000;
  int64_t keepalive_timeout_micros = 2'000'000;
};

class PeerTransport {
 public:
  // REQUIRES: options make sense (CHECKed). The loops' executors and handlers must outlive this
  // object, and every task that it has posted.
  explicit PeerTransport(TransportOptions options);
  // Stops if that was not done.
  ~PeerTransport();
  PeerTransport(const PeerTransport&) = delete;
  PeerTransport& operator=(const PeerTransport&) = delete;

  // To be registered with the grpc::ServerBuilder of the port that also serves clients. Owned by
  // this object, which must outlive the server. The server must take messages of 16 MiB, and pings
  // at intervals shorter than keepalive_time_micros.
  grpc::Service* service();
  // Takes streams from now on: `address` is where the others reach this node, which may be known
  // only when the server listens. REQUIRES: called once, before SetPeers.
  void Start(const std::string& address);

  // Whom to dial and to listen to from now on, this node left out. May be called at any time, with
  // any change: a new node is dialed; one that is gone is hung up on, and so is one that must come
  // with another disk; one with a new address is dialed there.
  void SetPeers(PeerPlaces peers);
  // Hangs up on everybody and ends all streams; requests without a reply are answered kUnknown.
  // When it returns nothing more is posted to any loop. Call it before the server's Shutdown.
  // Blocks until gRPC has let go of all streams. Not on a loop or a thread of gRPC.
  void Stop();

  // Sends the messages, in order within a shard. Never blocks; may lose them. `to` need not be a
  // peer. REQUIRES: their types travel (message_codec.h), shards < S. Best called once for all
  // messages of one turn of a loop: they travel in one frame.
  void Send(NodeId to, std::vector<PeerEnvelope> messages);

  // Passes a request to the node; `done` is called exactly once, on the shard's executor.
  using ForwardDone = absl::AnyInvocable<void(ForwardResult) &&>;
  void Forward(NodeId to, ShardId shard, std::shared_ptr<const std::string> request,
               ForwardDone done);

  // Queues a part. Parts of a shard arrive in order, unless the stream breaks.
  SnapshotSend SendSnapshot(NodeId to, SnapshotPart part);
  // Answers parts of `to`: at most 1 MiB. Lost if the stream broke, or if it has
  // snapshot_bytes_max of answers waiting.
  void AnswerSnapshot(NodeId to, ShardId shard, std::string answer);

  // All peers, ascending.
  std::vector<PeerStatus> Status() const;

 private:
  std::shared_ptr<TransportCore> core_;
  std::unique_ptr<grpc::Service> service_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_PEER_TRANSPORT_H_
