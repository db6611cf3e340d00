// One stream that another node dialed: greets, hands on what it reads, writes replies.
//
//   kGreeting ──Hello admitted──▶ kOpen ──broken, malformed, superseded, stop──▶ kClosed
//
// What it reads is decoded whole before any of it is handed on. Once Close has returned, nothing
// more is.
// Bounds: it stops reading while receive_bytes_max are with the loops, forwards_max requests are
// unanswered, or the queue of replies is over its bound.
// Thread-safety: thread-safe. Ownership: keeps itself until gRPC has let go of it.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_INBOUND_STREAM_H_
#define HOLDFAST_REPLICATION_TRANSPORT_INBOUND_STREAM_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "replication/transport/dispatcher.h"
#include "replication/transport/frame_reader.h"
#include "replication/transport/greeting.h"
#include "replication/transport/peer_transport.h"
#include "replication/transport/send_queue.h"
#include "replication/transport/stream_count.h"
#include "replication/transport/stream_kind.h"

namespace holdfast {

class InboundStream;

// Who decides which streams there are.
class InboundOwner {
 public:
  virtual ~InboundOwner() = default;
  // Whether the dialer may speak. If so, its older stream of this kind has been closed.
  virtual std::optional<Refusal> Admit(const peer::v1::Hello& hello, StreamKind kind,
                                       const std::shared_ptr<InboundStream>& stream) = 0;
  // It has been admitted, refused or broken: it counts among the strangers no longer.
  virtual void OnGreetingOver() = 0;
  // gRPC has let go of the stream, which is about to be destroyed.
  virtual void OnGone(InboundStream* stream) = 0;
};

struct InboundEnvironment {
  const TransportOptions* options = nullptr;
  Dispatcher* dispatcher = nullptr;
  std::shared_ptr<StreamCount> streams;
  std::weak_ptr<InboundOwner> owner;
};

class InboundStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public std::enable_shared_from_this<InboundStream> {
 public:
  // Begins to read. `context` is gRPC's, of the call.
  static InboundStream* Start(const InboundEnvironment& environment, StreamKind kind,
                              grpc::CallbackServerContext* context);

  // Ends it with this status, if it has not ended.
  void Close(const grpc::Status& status);
  // Makes gRPC let go of a stream that has been closed, also if the other end takes nothing any
  // more, not even how it ended. REQUIRES: OnGone has not been called, nor returns meanwhile.
  void Abandon();
  // Queues a record for the dialer; false if the stream has ended or, but for replies to forwards,
  // its queue is full.
  bool Send(Record record);

 private:
  enum class Phase : uint8_t { kGreeting, kOpen, kClosed };

  InboundStream(const InboundEnvironment& environment, StreamKind kind,
                grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void Greet();
  void Refuse(const Refusal& refusal);
  void Receive();
  // The kinds of records that this stream carries, decoded and handed on.
  absl::Status HandOn(std::vector<Record> records, size_t bytes);
  absl::Status HandOnMessages(std::vector<Record> records, size_t bytes);
  absl::Status HandOnRequests(std::vector<Record> records, size_t bytes);
  absl::Status HandOnParts(std::vector<Record> records, size_t bytes);
  // Accounts for what is about to be handed on; false if it may not be any more.
  bool BeginHandOn(size_t bytes, size_t requests) ABSL_EXCLUSIVE_LOCKS_REQUIRED(hand_on_mutex_);
  Credit MakeCredit(size_t bytes);
  void ReturnCredit(size_t bytes);
  bool Answer(ShardId shard, uint64_t id, SharedBytes reply);
  void ReadOnLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes what is queued. REQUIRES: writing_ was set by the caller.
  void Flush();

  const InboundEnvironment environment_;
  const StreamKind kind_;
  grpc::CallbackServerContext* const context_;  // valid until OnDone
  std::shared_ptr<InboundStream> self_;         // until OnDone

  // Of the thread that handles a read, or a write.
  grpc::ByteBuffer reading_;
  FrameReader reader_;
  grpc::ByteBuffer writing_buffer_;
  // Set by the greeting, before kOpen.
  NodeId from_;
  ReplicaId replica_;

  // Held while something is handed on, so that Close can wait for that. Not held by what a dropped
  // task may call back: Answer, ReturnCredit.
  absl::Mutex hand_on_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);

  absl::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kGreeting;
  // A read, or the handling of what was read, is under way.
  bool busy_reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  size_t pending_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // with the loops
  size_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;
  SendQueue queue_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_INBOUND_STREAM_H_
