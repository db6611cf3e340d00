#include "replication/transport/outbound_link.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "replication/transport/byte_buffer.h"

namespace holdfast {
namespace {

constexpr int64_t kLingerMicros = 1'000;

FrameReader::Limits ReaderLimits(const TransportOptions& options) {
  return {.shards = options.self.shards, .record_bytes_max = options.record_bytes_max};
}

}  // namespace

OutboundLink::OutboundLink(const LinkEnvironment& environment, StreamKind kind, NodeId to,
                           Keep keep, const SendQueue::Limits& limits,
                           std::weak_ptr<LinkOwner> owner)
    : environment_(environment),
      kind_(kind),
      to_(to),
      keep_(keep),
      owner_(std::move(owner)),
      queue_(limits, environment.options->self.shards),
      jitter_(environment.options->seed + to.value() * kStreamKinds + static_cast<uint64_t>(kind)) {
}

void OutboundLink::Connect(const PeerPlace& place) {
  LinkEnd end;
  std::shared_ptr<ClientStream> old;
  {
    absl::MutexLock lock(&mutex_);
    if (phase_ == Phase::kStopped) return;
    place_ = place;
    attempts_ = 0;
    if (dial_ != DialNumber()) {
      end.why = absl::StrCat("node ", to_.value(), " is at ", place.address, " now");
      old = EndLocked(&end);
    }
    phase_ = Phase::kIdle;
    if (keep_ == Keep::kAlwaysUp || wanted_) DialLocked();
  }
  if (end.dial == DialNumber()) return;
  if (old != nullptr) old->Close();
  if (const auto owner = owner_.lock()) owner->OnLinkDown(kind_, end);
}

void OutboundLink::Stop(const std::string& why) {
  LinkEnd end;
  std::shared_ptr<ClientStream> old;
  {
    absl::MutexLock lock(&mutex_);
    if (dial_ != DialNumber()) {
      end.why = why;
      old = EndLocked(&end);
    }
    phase_ = Phase::kStopped;
  }
  if (end.dial == DialNumber()) return;
  if (old != nullptr) old->Close();
  if (const auto owner = owner_.lock()) owner->OnLinkDown(kind_, end);
}

void OutboundLink::DialLocked() {
  const TransportOptions& options = *environment_.options;
  const auto owner = owner_.lock();
  if (owner == nullptr) return;
  phase_ = Phase::kGreeting;
  dial_ = DialNumber(environment_.dials->fetch_add(1) + 1);
  wanted_ = false;
  writing_ = true;  // the greeting
  ++attempts_;
  incoming_ = std::make_shared<Incoming>(ReaderLimits(options));
  peer::v1::PeerFrame hello;
  *hello.mutable_hello() = MakeHello(options.self, to_, dial_.value());
  // What the stream reports waits for the lock, so it finds stream_ set.
  stream_ = ClientStream::Dial(owner->ChannelFor(kind_, place_.address), MethodOf(kind_),
                               ToByteBuffer(hello), shared_from_this(), environment_.streams);
  environment_.dispatcher->After(options.greeting_timeout_micros,
                                 [weak = weak_from_this(), dial = dial_] {
                                   const auto link = weak.lock();
                                   if (link == nullptr) return;
                                   {
                                     absl::MutexLock lock(&link->mutex_);
                                     if (link->dial_ != dial || link->phase_ != Phase::kGreeting)
                                       return;
                                   }
                                   link->Break(dial, "it does not answer", /*refused=*/false);
                                 });
}

std::shared_ptr<ClientStream> OutboundLink::EndLocked(LinkEnd* end) {
  end->dial = std::exchange(dial_, DialNumber());
  end->was_up = phase_ == Phase::kUp;
  end->unsent = queue_.Clear();
  writing_ = false;
  lingers_ = false;
  room_wanted_ = false;
  incoming_.reset();
  return std::exchange(stream_, nullptr);
}

int64_t OutboundLink::BackoffLocked() {
  const TransportOptions& options = *environment_.options;
  const uint32_t doublings = std::clamp(attempts_, 1u, 20u);
  const int64_t ceiling =
      std::min(options.backoff_max_micros, options.backoff_min_micros << doublings);
  const int64_t floor = std::max<int64_t>(ceiling / 2, 1);
  return static_cast<int64_t>(
      jitter_.Between(static_cast<uint64_t>(floor), static_cast<uint64_t>(ceiling)));
}

void OutboundLink::Break(DialNumber dial, const std::string& why, bool refused) {
  LinkEnd end;
  end.why = why;
  end.refused = refused;
  std::shared_ptr<ClientStream> old;
  int64_t backoff = 0;
  uint64_t wait = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (dial == DialNumber() || dial_ != dial) return;
    old = EndLocked(&end);
    phase_ = Phase::kWaiting;
    wait = ++waits_;
    backoff = BackoffLocked();
  }
  if (old != nullptr) old->Close();
  if (const auto owner = owner_.lock()) owner->OnLinkDown(kind_, end);
  environment_.dispatcher->After(backoff, [weak = weak_from_this(), wait] {
    if (const auto link = weak.lock()) link->OnBackoffOver(wait);
  });
}

void OutboundLink::OnBackoffOver(uint64_t wait) {
  absl::MutexLock lock(&mutex_);
  if (wait == waits_) EndWaitLocked();
}

void OutboundLink::Hurry() {
  absl::MutexLock lock(&mutex_);
  EndWaitLocked();
}

void OutboundLink::EndWaitLocked() {
  if (phase_ != Phase::kWaiting) return;
  ++waits_;
  phase_ = Phase::kIdle;
  if (keep_ == Keep::kAlwaysUp || wanted_) DialLocked();
}

void OutboundLink::OnRead(ClientStream* stream, const grpc::ByteBuffer& buffer) {
  Phase phase = Phase::kIdle;
  {
    absl::MutexLock lock(&mutex_);
    if (stream != stream_.get()) return;
    phase = phase_;
  }
  if (phase == Phase::kGreeting) {
    Welcomed(stream, buffer);
  } else {
    Received(stream, buffer);
  }
}

void OutboundLink::Welcomed(ClientStream* stream, const grpc::ByteBuffer& buffer) {
  peer::v1::PeerFrame frame;
  const absl::Status parsed = ParseGreeting(buffer, &frame);
  DialNumber dial;
  std::optional<Refusal> refusal;
  {
    absl::MutexLock lock(&mutex_);
    if (stream != stream_.get()) return;
    dial = dial_;
    if (!parsed.ok()) {
      refusal = Refusal{peer::v1::REFUSAL_REASON_MALFORMED, std::string(parsed.message())};
    } else if (!frame.has_welcome()) {
      refusal = Refusal{peer::v1::REFUSAL_REASON_MALFORMED, "the answer is not a Welcome"};
    } else {
      refusal = CheckWelcome(frame.welcome(), environment_.options->self, to_, place_);
    }
    if (!refusal) {
      phase_ = Phase::kUp;
      attempts_ = 0;
    }
  }
  if (refusal) return Break(dial, refusal->message, /*refused=*/true);
  const ReplicaId replica(frame.welcome().identity().disk_id());
  if (const auto owner = owner_.lock()) owner->OnLinkUp(kind_, dial, replica);
  stream->Read();
}

void OutboundLink::Received(ClientStream* stream, const grpc::ByteBuffer& buffer) {
  std::shared_ptr<Incoming> incoming;
  DialNumber dial;
  {
    absl::MutexLock lock(&mutex_);
    if (stream != stream_.get()) return;
    incoming = incoming_;
    dial = dial_;
  }
  ReceivedFrame frame;
  std::vector<Record> records;
  absl::Status status = frame.Parse(buffer);
  if (status.ok()) status = incoming->reader.Read(frame.records(), &records);
  if (!status.ok()) return Break(dial, std::string(status.message()), /*refused=*/false);
  Credit credit = TakeCredit(dial, SizeBytes(records));
  if (const auto owner = owner_.lock()) {
    status = owner->OnLinkRecords(kind_, dial, std::move(records), std::move(credit));
    if (!status.ok()) return Break(dial, std::string(status.message()), /*refused=*/false);
  }
  credit.reset();
  {
    absl::MutexLock lock(&mutex_);
    if (dial != dial_) return;
    if (incoming->pending_bytes > environment_.options->receive_bytes_max) {
      incoming->stopped = true;
      return;
    }
  }
  stream->Read();
}

Credit OutboundLink::TakeCredit(DialNumber dial, size_t bytes) {
  {
    absl::MutexLock lock(&mutex_);
    if (dial == dial_) incoming_->pending_bytes += bytes;
  }
  return Credit(nullptr, [weak = weak_from_this(), dial, bytes](void*) {
    if (const auto link = weak.lock()) link->ReturnCredit(dial, bytes);
  });
}

void OutboundLink::ReturnCredit(DialNumber dial, size_t bytes) {
  std::shared_ptr<ClientStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    if (dial != dial_) return;
    incoming_->pending_bytes -= bytes;
    if (!incoming_->stopped || incoming_->pending_bytes > environment_.options->receive_bytes_max) {
      return;
    }
    incoming_->stopped = false;
    stream = stream_;
  }
  stream->Read();
}

void OutboundLink::OnClosed(ClientStream* stream, const grpc::Status& status) {
  DialNumber dial;
  {
    absl::MutexLock lock(&mutex_);
    if (stream != stream_.get()) return;
    dial = dial_;
  }
  const bool refused = status.error_code() == grpc::StatusCode::FAILED_PRECONDITION;
  const std::string why = status.ok() ? "it hung up" : status.error_message();
  Break(dial, why, refused);
}

void OutboundLink::OnWritten(ClientStream* stream) {
  DialNumber dial;
  {
    absl::MutexLock lock(&mutex_);
    if (stream != stream_.get()) return;
    dial = dial_;
  }
  Flush(dial);
}

bool OutboundLink::PushLocked(Record&& record) {
  if (queue_.Push(std::move(record))) return true;
  ++traffic_.dropped;
  if (kind_ != StreamKind::kControl) return false;
  // One older message makes room for one that says the same anew.
  const ShardId shard = record.shard;
  return queue_.DropOldest(shard, record.tag) && queue_.Push(std::move(record));
}

OutboundLink::Queued OutboundLink::Queue(std::vector<Record>* records, When when) {
  absl::MutexLock lock(&mutex_);
  if (phase_ != Phase::kUp) {
    traffic_.dropped += records->size();
    wanted_ = true;
    if (keep_ == Keep::kOnDemand && phase_ == Phase::kIdle) DialLocked();
    return Queued();
  }
  size_t left = 0;
  for (size_t i = 0; i < records->size(); ++i) {
    if (!PushLocked(std::move((*records)[i]))) {
      if (left != i) (*records)[left] = std::move((*records)[i]);
      ++left;
    }
  }
  records->resize(left);
  if (left > 0) room_wanted_ = true;
  if (writing_ || queue_.empty()) return {dial_, false};
  // Two that may wait have found one another.
  if (when == When::kSoon && !std::exchange(lingers_, true)) {
    environment_.dispatcher->After(kLingerMicros, [weak = weak_from_this(), dial = dial_] {
      if (const auto link = weak.lock()) link->EndLinger(dial);
    });
    return {dial_, false};
  }
  writing_ = true;
  lingers_ = false;
  return {dial_, true};
}

void OutboundLink::EndLinger(DialNumber dial) {
  {
    absl::MutexLock lock(&mutex_);
    if (dial != dial_ || !std::exchange(lingers_, false)) return;
    writing_ = true;
  }
  Flush(dial);
}

void OutboundLink::Flush(DialNumber dial) {
  OutFrame frame;
  std::shared_ptr<ClientStream> stream;
  bool room = false;
  {
    absl::MutexLock lock(&mutex_);
    if (dial == DialNumber() || dial != dial_) return;
    if (phase_ == Phase::kUp && queue_.Next(&frame)) {
      stream = stream_;
      ++traffic_.frames;
      traffic_.bytes += frame.size_bytes();
    } else {
      writing_ = false;
    }
    if (room_wanted_ && queue_.bytes() <= queue_.limits().bytes_max / 2) {
      room_wanted_ = false;
      room = true;
    }
  }
  if (stream != nullptr) stream->Write(ToByteBuffer(std::move(frame)));
  if (!room) return;
  if (const auto owner = owner_.lock()) owner->OnLinkRoom(kind_, dial);
}

DialNumber OutboundLink::Send(std::vector<Record>* records, When when) {
  const Queued queued = Queue(records, when);
  if (queued.flush) Flush(queued.dial);
  return queued.dial;
}

OutboundLink::Traffic OutboundLink::traffic() const {
  absl::MutexLock lock(&mutex_);
  return traffic_;
}

}  // namespace holdfast
