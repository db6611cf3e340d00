#include "replication/transport/inbound_stream.h"

#include <grpcpp/server_context.h>

#include <utility>

#include "base/coding.h"
#include "base/status_macros.h"
#include "replication/transport/byte_buffer.h"
#include "replication/transport/message_codec.h"

namespace holdfast {
namespace {

SendQueue::Limits ReplyLimits(const TransportOptions& options, StreamKind kind) {
  SendQueue::Limits limits;
  limits.frame_bytes_max = options.frame_bytes_max;
  limits.piece_bytes_min = options.piece_bytes_min;
  // Replies are bounded by reading no more requests, since none may be lost.
  const bool forward = kind == StreamKind::kForward;
  limits.records_max = forward ? SIZE_MAX : options.forwards_max;
  limits.bytes_max = forward ? SIZE_MAX : options.snapshot_bytes_max;
  return limits;
}

absl::Status OutOfPlace() {
  return absl::InvalidArgumentError("malformed frame from a node: a record out of place");
}

Refusal MalformedRefusal(const absl::Status& status) {
  return {peer::v1::REFUSAL_REASON_MALFORMED, std::string(status.message())};
}

}  // namespace

InboundStream::InboundStream(const InboundEnvironment& environment, StreamKind kind,
                             grpc::CallbackServerContext* context)
    : environment_(environment),
      kind_(kind),
      context_(context),
      reader_({.shards = environment.options->self.shards,
               .record_bytes_max = environment.options->record_bytes_max}),
      queue_(ReplyLimits(*environment.options, kind), environment.options->self.shards) {}

InboundStream* InboundStream::Start(const InboundEnvironment& environment, StreamKind kind,
                                    grpc::CallbackServerContext* context) {
  std::shared_ptr<InboundStream> stream(new InboundStream(environment, kind, context));
  stream->self_ = stream;
  environment.streams->Add();
  environment.dispatcher->After(
      environment.options->greeting_timeout_micros, [weak = std::weak_ptr<InboundStream>(stream)] {
        const auto late = weak.lock();
        if (late == nullptr) return;
        {
          absl::MutexLock lock(&late->mutex_);
          if (late->phase_ != Phase::kGreeting) return;
        }
        late->Close(ToStatus({peer::v1::REFUSAL_REASON_TOO_SLOW, "no greeting came in time"}));
      });
  absl::MutexLock lock(&stream->mutex_);
  stream->ReadOnLocked();
  return stream.get();
}

void InboundStream::Close(const grpc::Status& status) {
  bool greeting = false;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kClosed) {
      greeting = phase_ == Phase::kGreeting;
      phase_ = Phase::kClosed;
      queue_.Clear();
      Finish(status);
    }
  }
  // Whoever found it open has handed on what it had.
  { absl::MutexLock wait(&hand_on_mutex_); }
  if (!greeting) return;
  if (const auto owner = environment_.owner.lock()) owner->OnGreetingOver();
}

void InboundStream::Abandon() { context_->TryCancel(); }

void InboundStream::OnCancel() { Close(grpc::Status::CANCELLED); }

void InboundStream::OnDone() {
  if (const auto owner = environment_.owner.lock()) owner->OnGone(this);
  const std::shared_ptr<StreamCount> streams = environment_.streams;
  self_.reset();  // May be the end of this object.
  streams->Remove();
}

void InboundStream::OnReadDone(bool ok) {
  if (!ok) return Close(grpc::Status::OK);
  bool greeting = false;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kClosed) return;
    greeting = phase_ == Phase::kGreeting;
  }
  if (greeting) {
    Greet();
  } else {
    Receive();
  }
}

void InboundStream::Refuse(const Refusal& refusal) { Close(ToStatus(refusal)); }

void InboundStream::Greet() {
  peer::v1::PeerFrame frame;
  if (absl::Status status = ParseGreeting(reading_, &frame); !status.ok()) {
    return Refuse(MalformedRefusal(status));
  }
  if (!frame.has_hello()) {
    return Refuse({peer::v1::REFUSAL_REASON_MALFORMED, "the first message is not a Hello"});
  }
  const auto owner = environment_.owner.lock();
  if (owner == nullptr) {
    return Refuse({peer::v1::REFUSAL_REASON_STOPPING, "the node is about to stop"});
  }
  if (const auto refusal = owner->Admit(frame.hello(), kind_, self_)) return Refuse(*refusal);
  from_ = NodeId(frame.hello().identity().node_id());
  replica_ = ReplicaId(frame.hello().identity().disk_id());
  peer::v1::PeerFrame answer;
  *answer.mutable_welcome() = MakeWelcome(environment_.options->self, frame.hello());
  writing_buffer_ = ToByteBuffer(answer);
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kClosed) return;
    phase_ = Phase::kOpen;
    writing_ = true;
    StartWrite(&writing_buffer_);
    busy_reading_ = false;
    ReadOnLocked();
  }
  owner->OnGreetingOver();
}

void InboundStream::Receive() {
  ReceivedFrame frame;
  std::vector<Record> records;
  absl::Status status = frame.Parse(reading_);
  if (status.ok()) status = reader_.Read(frame.records(), &records);
  if (status.ok()) {
    const size_t bytes = SizeBytes(records);
    status = HandOn(std::move(records), bytes);
  }
  if (!status.ok()) return Refuse(MalformedRefusal(status));
  absl::MutexLock lock(&mutex_);
  busy_reading_ = false;
  ReadOnLocked();
}

void InboundStream::ReadOnLocked() {
  const TransportOptions& options = *environment_.options;
  if (phase_ == Phase::kClosed || busy_reading_) return;
  if (pending_bytes_ > options.receive_bytes_max ||
      unanswered_ + queue_.records() >= options.forwards_max ||
      queue_.bytes() > options.forward_bytes_max) {
    return;
  }
  busy_reading_ = true;
  StartRead(&reading_);
}

bool InboundStream::BeginHandOn(size_t bytes, size_t requests) {
  absl::MutexLock lock(&mutex_);
  if (phase_ == Phase::kClosed) return false;
  pending_bytes_ += bytes;
  unanswered_ += requests;
  return true;
}

Credit InboundStream::MakeCredit(size_t bytes) {
  return Credit(nullptr, [weak = weak_from_this(), bytes](void*) {
    if (const auto stream = weak.lock()) stream->ReturnCredit(bytes);
  });
}

void InboundStream::ReturnCredit(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  pending_bytes_ -= bytes;
  ReadOnLocked();
}

absl::Status InboundStream::HandOn(std::vector<Record> records, size_t bytes) {
  switch (kind_) {
    case StreamKind::kControl:
    case StreamKind::kAppend:
      return HandOnMessages(std::move(records), bytes);
    case StreamKind::kForward:
      return HandOnRequests(std::move(records), bytes);
    case StreamKind::kSnapshot:
      return HandOnParts(std::move(records), bytes);
  }
  return OutOfPlace();
}

absl::Status InboundStream::HandOnMessages(std::vector<Record> records, size_t bytes) {
  std::vector<PeerEnvelope> messages;
  messages.reserve(records.size());
  for (Record& record : records) {
    ASSIGN_OR_RETURN(PeerEnvelope envelope, DecodeEnvelope(std::move(record), replica_));
    if (StreamOf(envelope.message.type) != kind_) return OutOfPlace();
    messages.push_back(std::move(envelope));
  }
  if (messages.empty()) return absl::OkStatus();
  if (kind_ == StreamKind::kControl) bytes = 0;  // Dropped rather than waited for.
  absl::MutexLock lock(&hand_on_mutex_);
  if (!BeginHandOn(bytes, /*requests=*/0)) return absl::OkStatus();
  const Credit credit = bytes > 0 ? MakeCredit(bytes) : nullptr;
  environment_.dispatcher->Messages(from_, std::move(messages), credit);
  return absl::OkStatus();
}

absl::Status InboundStream::HandOnRequests(std::vector<Record> records, size_t bytes) {
  std::vector<uint64_t> ids;
  for (const Record& record : records) {
    uint64_t id = 0;
    ByteReader header(record.header);
    header.Varint(&id);
    if (record.kind != RecordKind::kForwardRequest || !header.Done() || record.parts.size() != 1) {
      return OutOfPlace();
    }
    ids.push_back(id);
  }
  absl::MutexLock lock(&hand_on_mutex_);
  if (!BeginHandOn(bytes, records.size())) return absl::OkStatus();
  const Credit credit = MakeCredit(bytes);
  for (size_t i = 0; i < records.size(); ++i) {
    const ShardId shard = records[i].shard;
    ForwardReply reply([weak = weak_from_this(), shard, id = ids[i]](SharedBytes answer) {
      const auto stream = weak.lock();
      return stream != nullptr && stream->Answer(shard, id, std::move(answer));
    });
    environment_.dispatcher->Forward(from_, shard, std::move(records[i].parts[0]), std::move(reply),
                                     credit);
  }
  return absl::OkStatus();
}

absl::Status InboundStream::HandOnParts(std::vector<Record> records, size_t bytes) {
  for (const Record& record : records) {
    if (record.kind != RecordKind::kSnapshotPart || record.parts.size() > 1) return OutOfPlace();
  }
  absl::MutexLock lock(&hand_on_mutex_);
  if (!BeginHandOn(bytes, /*requests=*/0)) return absl::OkStatus();
  const Credit credit = MakeCredit(bytes);
  for (Record& record : records) {
    SnapshotPart part = {
        .shard = record.shard, .header = std::move(record.header), .data = nullptr};
    if (!record.parts.empty()) part.data = std::move(record.parts[0]);
    environment_.dispatcher->SnapshotPartCame(from_, std::move(part), credit);
  }
  return absl::OkStatus();
}

bool InboundStream::Answer(ShardId shard, uint64_t id, SharedBytes reply) {
  Record record;
  record.kind = RecordKind::kForwardReply;
  record.shard = shard;
  PutVarint(&record.header, id);
  if (reply != nullptr) record.parts.push_back(std::move(reply));
  {
    absl::MutexLock lock(&mutex_);
    --unanswered_;
  }
  return Send(std::move(record));
}

bool InboundStream::Send(Record record) {
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ != Phase::kOpen || !queue_.Push(std::move(record))) return false;
    if (writing_) return true;
    writing_ = true;
  }
  Flush();
  return true;
}

void InboundStream::OnWriteDone(bool ok) {
  if (!ok) return Close(grpc::Status::CANCELLED);
  Flush();
}

void InboundStream::Flush() {
  OutFrame frame;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kClosed || !queue_.Next(&frame)) {
      writing_ = false;
      ReadOnLocked();
      return;
    }
  }
  writing_buffer_ = ToByteBuffer(std::move(frame));
  absl::MutexLock lock(&mutex_);
  if (phase_ == Phase::kClosed) return;
  StartWrite(&writing_buffer_);
  ReadOnLocked();
}

}  // namespace holdfast
