// One stream to another node, kept up: dials, greets, sends what is queued, dials again.
//
//   kIdle ──wanted──▶ kGreeting ──Welcome──▶ kUp
//     ▲                   │                   │ broken, refused, malformed, timed out
//     └──not wanted── kWaiting ◀──────────────┘ (backoff; then again if wanted)
//   Stop: from any to kStopped, the end.
//
// Invariants: the queue is empty but in kUp, so nothing that was meant for one connection goes
// over the next; at most one frame is being written.
// Bounds: those of its queue, and of TransportOptions for what is received.
// Thread-safety: thread-safe. The owner is called (but for ChannelFor) without a lock of the link,
// on threads of gRPC, of the caller, or of a loop; calls that belong to one dial may overtake one
// another, so they carry its number. Ownership: by shared_ptr; streams and timers keep it alive.
// The owner may go first.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_OUTBOUND_LINK_H_
#define HOLDFAST_REPLICATION_TRANSPORT_OUTBOUND_LINK_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/prng.h"
#include "replication/transport/client_stream.h"
#include "replication/transport/dispatcher.h"
#include "replication/transport/frame_reader.h"
#include "replication/transport/greeting.h"
#include "replication/transport/peer_transport.h"
#include "replication/transport/send_queue.h"
#include "replication/transport/stream_count.h"
#include "replication/transport/stream_kind.h"

namespace holdfast {

// Names one attempt of one link to connect; rising over all links of a process. 0: none.
using DialNumber = StrongInt<struct DialNumberTag, uint64_t>;

// How a dial ended.
struct LinkEnd {
  DialNumber dial;
  bool was_up = false;
  bool refused = false;  // an operator must do something
  std::string why;
  std::vector<uint64_t> unsent;  // tags of records that were queued and have not left
};

class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  // A connection for a dial of the link. Called with the link's lock held: must not call it.
  virtual std::shared_ptr<grpc::Channel> ChannelFor(StreamKind kind,
                                                    const std::string& address) = 0;
  virtual void OnLinkUp(StreamKind kind, DialNumber dial, ReplicaId replica) = 0;
  virtual void OnLinkDown(StreamKind kind, const LinkEnd& end) = 0;
  // Records from the acceptor. `credit` is the room that they take. An error breaks the link.
  virtual absl::Status OnLinkRecords(StreamKind kind, DialNumber dial, std::vector<Record> records,
                                     Credit credit) = 0;
  // There is room in the queue again, after a record was not taken.
  virtual void OnLinkRoom(StreamKind kind, DialNumber dial) = 0;
};

// What all links of a transport share.
struct LinkEnvironment {
  const TransportOptions* options = nullptr;
  Dispatcher* dispatcher = nullptr;
  std::atomic<uint64_t>* dials = nullptr;  // given out so far
  std::shared_ptr<StreamCount> streams;
};

class OutboundLink final : public ClientStream::Listener,
                           public std::enable_shared_from_this<OutboundLink> {
 public:
  // Whether it dials by itself, or only when something is to be sent.
  enum class Keep : uint8_t { kAlwaysUp, kOnDemand };
  struct Traffic {
    uint64_t frames = 0;
    uint64_t bytes = 0;
    uint64_t dropped = 0;  // records that were not taken, or taken and dropped for newer ones
  };

  OutboundLink(const LinkEnvironment& environment, StreamKind kind, NodeId to, Keep keep,
               const SendQueue::Limits& limits, std::weak_ptr<LinkOwner> owner);

  // Goes to `place` from now on: hangs up and, if always up or wanted, dials at once.
  void Connect(const PeerPlace& place);
  // The other node is there: what waits to dial again does it now.
  void Hurry();
  // Hangs up for good. OnLinkDown comes, if it was not idle, before this returns.
  void Stop(const std::string& why);

  // kSoon: may wait 1 ms for records that it shares a frame with; goes with what is sent next.
  enum class When : uint8_t { kNow, kSoon };
  // Queues the records, in order, and begins to send. What is not taken stays in *records. Returns
  // the dial over which the others go, 0 if it is not up.
  DialNumber Send(std::vector<Record>* records, When when = When::kNow);
  // The same in two steps, for a caller with a lock of its own: what Queue returns goes to Flush
  // after unlocking.
  struct Queued {
    DialNumber dial;
    bool flush = false;
  };
  Queued Queue(std::vector<Record>* records, When when = When::kNow);
  void Flush(DialNumber dial);

  Traffic traffic() const;

 private:
  enum class Phase : uint8_t { kIdle, kGreeting, kUp, kWaiting, kStopped };
  // What is received over one dial.
  struct Incoming {
    explicit Incoming(const FrameReader::Limits& limits) : reader(limits) {}
    FrameReader reader;        // of the thread that handles a read
    size_t pending_bytes = 0;  // with the loops; guarded by the link's mutex
    bool stopped = false;      // reads on when pending_bytes has gone down; likewise
  };

  void OnRead(ClientStream* stream, const grpc::ByteBuffer& buffer) override;
  void OnWritten(ClientStream* stream) override;
  void OnClosed(ClientStream* stream, const grpc::Status& status) override;

  void DialLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the dial, if it is the present one, and plans the next.
  void Break(DialNumber dial, const std::string& why, bool refused);
  // Ends the present dial; the stream that is returned must be closed without the lock.
  std::shared_ptr<ClientStream> EndLocked(LinkEnd* end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t BackoffLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnBackoffOver(uint64_t wait);
  // Sends what may wait, unless something has taken it along.
  void EndLinger(DialNumber dial);
  void EndWaitLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Welcomed(ClientStream* stream, const grpc::ByteBuffer& buffer);
  void Received(ClientStream* stream, const grpc::ByteBuffer& buffer);
  Credit TakeCredit(DialNumber dial, size_t bytes);
  void ReturnCredit(DialNumber dial, size_t bytes);
  bool PushLocked(Record&& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const LinkEnvironment environment_;
  const StreamKind kind_;
  const NodeId to_;
  const Keep keep_;
  const std::weak_ptr<LinkOwner> owner_;

  mutable absl::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kIdle;
  PeerPlace place_ ABSL_GUARDED_BY(mutex_);
  DialNumber dial_ ABSL_GUARDED_BY(mutex_);  // the present one; 0 in kIdle, kWaiting, kStopped
  std::shared_ptr<ClientStream> stream_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Incoming> incoming_ ABSL_GUARDED_BY(mutex_);
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;       // kOnDemand: something is to be sent
  bool room_wanted_ ABSL_GUARDED_BY(mutex_) = false;  // a record was not taken
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool lingers_ ABSL_GUARDED_BY(mutex_) = false;   // the queue waits for a timer
  uint32_t attempts_ ABSL_GUARDED_BY(mutex_) = 0;  // since it was last up
  uint64_t waits_ ABSL_GUARDED_BY(mutex_) = 0;     // numbers the timers: an old one is ignored
  SendQueue queue_ ABSL_GUARDED_BY(mutex_);
  Traffic traffic_ ABSL_GUARDED_BY(mutex_);
  Prng jitter_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_OUTBOUND_LINK_H_
