#include "replication/transport/peer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/status_macros.h"
#include "replication/transport/message_codec.h"

namespace holdfast {
namespace {

constexpr StreamKind kStanding[] = {StreamKind::kControl, StreamKind::kAppend,
                                    StreamKind::kForward};
constexpr StreamKind kAll[] = {StreamKind::kControl, StreamKind::kAppend, StreamKind::kForward,
                               StreamKind::kSnapshot};

SendQueue::Limits QueueLimits(const TransportOptions& options, StreamKind kind) {
  SendQueue::Limits limits;
  limits.frame_bytes_max = options.frame_bytes_max;
  limits.piece_bytes_min = options.piece_bytes_min;
  switch (kind) {
    case StreamKind::kControl:
      limits.records_max = options.control_messages_max;
      limits.bytes_max = options.control_bytes_max;
      break;
    case StreamKind::kAppend:
      limits.records_max = options.append_messages_max;
      limits.bytes_max = options.append_bytes_max;
      break;
    case StreamKind::kForward:
      limits.records_max = options.forwards_max;
      limits.bytes_max = options.forward_bytes_max;
      break;
    case StreamKind::kSnapshot:
      limits.bytes_max = options.snapshot_bytes_max;
      break;
  }
  return limits;
}

// Whether nobody waits for it: heartbeats, but those that a read waits for.
bool MayWait(const raft::Message& message) {
  const bool heartbeat = message.type == raft::MessageType::kHeartbeat ||
                         message.type == raft::MessageType::kHeartbeatResponse;
  return heartbeat && message.context == 0;
}

size_t At(StreamKind kind) { return static_cast<size_t>(kind); }

}  // namespace

Peer::Peer(NodeId node, const LinkEnvironment& environment)
    : node_(node),
      environment_(environment),
      channels_(environment.options),
      since_micros_(WallMicros()) {}

std::shared_ptr<Peer> Peer::Make(NodeId node, const LinkEnvironment& environment) {
  std::shared_ptr<Peer> peer(new Peer(node, environment));
  peer->MakeLinks();
  return peer;
}

void Peer::MakeLinks() {
  for (const StreamKind kind : kAll) {
    const auto keep = kind == StreamKind::kSnapshot ? OutboundLink::Keep::kOnDemand
                                                    : OutboundLink::Keep::kAlwaysUp;
    links_[At(kind)] =
        std::make_shared<OutboundLink>(environment_, kind, node_, keep,
                                       QueueLimits(*environment_.options, kind), weak_from_this());
  }
}

void Peer::Connect(const PeerPlace& place) {
  {
    absl::MutexLock lock(&mutex_);
    place_ = place;
  }
  for (const auto& link : links_) link->Connect(place);
}

void Peer::Hurry() {
  for (const auto& link : links_) link->Hurry();
}

void Peer::Stop(const std::string& why) {
  for (const auto& link : links_) link->Stop(why);
}

void Peer::Send(const std::vector<PeerEnvelope>& messages) {
  const ReplicaId self = environment_.options->self.replica;
  std::vector<Record> control;
  std::vector<Record> appends;
  // The loops of a node beat at the same moments: their heartbeats share a frame.
  OutboundLink::When when =
      environment_.options->loops.size() > 1 ? OutboundLink::When::kSoon : OutboundLink::When::kNow;
  for (const PeerEnvelope& envelope : messages) {
    const bool to_control = StreamOf(envelope.message.type) == StreamKind::kControl;
    if (to_control && !MayWait(envelope.message)) when = OutboundLink::When::kNow;
    (to_control ? control : appends).push_back(EncodeEnvelope(envelope, self));
  }
  if (!control.empty()) link(StreamKind::kControl)->Send(&control, when);
  if (appends.empty()) return;
  if (AppendsMayGo(appends.size())) link(StreamKind::kAppend)->Send(&appends);
  if (!appends.empty()) TellUnreachable(messages, appends);
}

bool Peer::AppendsMayGo(size_t count) {
  absl::MutexLock lock(&mutex_);
  if (!told_up_) dropped_while_down_ += count;
  return told_up_;
}

void Peer::TellUnreachable(const std::vector<PeerEnvelope>& messages,
                           const std::vector<Record>& dropped) {
  std::set<std::pair<ShardId, ReplicaId>> unreachable;
  for (const PeerEnvelope& envelope : messages) {
    if (StreamOf(envelope.message.type) == StreamKind::kControl) continue;
    const bool lost = std::any_of(dropped.begin(), dropped.end(), [&](const Record& record) {
      return record.shard == envelope.shard;
    });
    if (lost) unreachable.emplace(envelope.shard, envelope.message.to);
  }
  for (const auto& [shard, replica] : unreachable) {
    environment_.dispatcher->Unreachable(shard, replica);
  }
}

void Peer::Forward(ShardId shard, SharedBytes request, PeerTransport::ForwardDone done) {
  CHECK(request != nullptr);
  OutboundLink::Queued queued;
  {
    absl::MutexLock lock(&mutex_);
    if (asked_.size() < environment_.options->forwards_max) {
      const uint64_t id = ++asked_so_far_;
      std::vector<Record> records(1);
      Record& record = records[0];
      record.kind = RecordKind::kForwardRequest;
      record.shard = shard;
      record.tag = id;
      PutVarint(&record.header, id);
      record.parts.push_back(std::move(request));
      queued = link(StreamKind::kForward)->Queue(&records);
      if (records.empty()) {
        asked_.emplace(id, Asked{queued.dial, shard, std::exchange(done, nullptr)});
      }
    }
  }
  if (queued.flush) link(StreamKind::kForward)->Flush(queued.dial);
  if (done != nullptr) {
    Finish(shard, std::move(done), {.outcome = ForwardOutcome::kNotSent, .reply = nullptr},
           nullptr);
  }
}

void Peer::Finish(ShardId shard, PeerTransport::ForwardDone done, ForwardResult result,
                  Credit credit) {
  environment_.dispatcher->Run(
      shard, [done = std::move(done), result = std::move(result),
              credit = std::move(credit)]() mutable { std::move(done)(std::move(result)); });
}

SnapshotSend Peer::SendSnapshot(SnapshotPart part) {
  std::vector<Record> records(1);
  Record& record = records[0];
  record.kind = RecordKind::kSnapshotPart;
  record.shard = part.shard;
  record.header = std::move(part.header);
  if (part.data != nullptr) record.parts.push_back(std::move(part.data));
  link(StreamKind::kSnapshot)->Send(&records);
  return records.empty() ? SnapshotSend::kQueued : SnapshotSend::kWait;
}

std::shared_ptr<grpc::Channel> Peer::ChannelFor(StreamKind kind, const std::string& address) {
  return channels_.For(kind, address);
}

bool Peer::AllUpLocked() const {
  return std::all_of(std::begin(kStanding), std::end(kStanding),
                     [this](StreamKind kind) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                       return up_[At(kind)] != DialNumber();
                     });
}

void Peer::OnLinkUp(StreamKind kind, DialNumber dial, ReplicaId replica) {
  absl::MutexLock lock(&mutex_);
  if (dial <= ended_[At(kind)]) return;
  // The end of the dial before it may be on its way here still; it must be told first.
  const bool overtaken = std::exchange(up_[At(kind)], dial) != DialNumber();
  if (overtaken && kind != StreamKind::kSnapshot) TellDownLocked("it was dialed again");
  replica_ = replica;
  if (kind == StreamKind::kSnapshot) {
    environment_.dispatcher->SnapshotStreamChanged(node_, SnapshotStream::kRoom);
    return;
  }
  if (told_up_ || !AllUpLocked()) return;
  told_up_ = true;
  since_micros_ = WallMicros();
  problem_.clear();
  told_refusal_.clear();
  environment_.dispatcher->Change(
      {.kind = PeerChange::Kind::kUp, .node = node_, .replica = replica_, .why = {}});
}

void Peer::OnLinkDown(StreamKind kind, const LinkEnd& end) {
  absl::MutexLock lock(&mutex_);
  ended_[At(kind)] = std::max(ended_[At(kind)], end.dial);
  if (up_[At(kind)] <= end.dial) up_[At(kind)] = DialNumber();
  if (!AllUpLocked()) {
    TellDownLocked(end.why);
    if (kind != StreamKind::kSnapshot) problem_ = end.why;
  }
  if (end.refused) TellRefusedLocked(end.why);
  if (kind == StreamKind::kForward) AnswerUnrepliedLocked(end);
  if (kind == StreamKind::kSnapshot) {
    environment_.dispatcher->SnapshotStreamChanged(node_, SnapshotStream::kBroken);
  }
}

void Peer::TellDownLocked(const std::string& why) {
  if (!told_up_) return;
  told_up_ = false;
  since_micros_ = WallMicros();
  environment_.dispatcher->Change(
      {.kind = PeerChange::Kind::kDown, .node = node_, .replica = replica_, .why = why});
}

void Peer::TellRefusedLocked(const std::string& why) {
  if (told_refusal_ == why) return;
  told_refusal_ = why;
  environment_.dispatcher->Change(
      {.kind = PeerChange::Kind::kRefused, .node = node_, .replica = replica_, .why = why});
}

void Peer::AnswerUnrepliedLocked(const LinkEnd& end) {
  for (const uint64_t id : end.unsent) {
    const auto it = asked_.find(id);
    if (it == asked_.end()) continue;
    Finish(it->second.shard, std::move(it->second.done),
           {.outcome = ForwardOutcome::kNotSent, .reply = nullptr}, nullptr);
    asked_.erase(it);
  }
  for (auto it = asked_.begin(); it != asked_.end();) {
    const auto asked = it++;
    if (asked->second.dial > end.dial) continue;
    Finish(asked->second.shard, std::move(asked->second.done),
           {.outcome = ForwardOutcome::kUnknown, .reply = nullptr}, nullptr);
    asked_.erase(asked);
  }
}

absl::Status Peer::OnLinkRecords(StreamKind kind, DialNumber dial, std::vector<Record> records,
                                 Credit credit) {
  absl::MutexLock lock(&mutex_);
  if (dial <= ended_[At(kind)]) return absl::OkStatus();
  for (Record& record : records) {
    if (record.kind == RecordKind::kForwardReply && kind == StreamKind::kForward) {
      RETURN_IF_ERROR(TakeReplyLocked(dial, std::move(record), credit));
    } else if (record.kind == RecordKind::kSnapshotAnswer && kind == StreamKind::kSnapshot &&
               record.parts.empty()) {
      environment_.dispatcher->SnapshotAnswerCame(node_, record.shard, std::move(record.header),
                                                  credit);
    } else {
      return absl::InvalidArgumentError("malformed frame from a node: a record out of place");
    }
  }
  return absl::OkStatus();
}

absl::Status Peer::TakeReplyLocked(DialNumber dial, Record record, const Credit& credit) {
  uint64_t id = 0;
  ByteReader header(record.header);
  header.Varint(&id);
  if (!header.Done() || record.parts.size() > 1) {
    return absl::InvalidArgumentError("malformed reply from a node");
  }
  const auto it = asked_.find(id);
  if (it == asked_.end() || it->second.dial != dial) {
    return absl::InvalidArgumentError("a reply from a node to what was not asked");
  }
  ForwardResult result = {.outcome = ForwardOutcome::kUnknown, .reply = nullptr};
  if (!record.parts.empty()) {
    result = {.outcome = ForwardOutcome::kReplied, .reply = std::move(record.parts[0])};
  }
  Finish(it->second.shard, std::move(it->second.done), std::move(result), credit);
  asked_.erase(it);
  return absl::OkStatus();
}

void Peer::OnLinkRoom(StreamKind kind, DialNumber dial) {
  if (kind != StreamKind::kSnapshot) return;
  absl::MutexLock lock(&mutex_);
  if (dial <= ended_[At(kind)]) return;
  environment_.dispatcher->SnapshotStreamChanged(node_, SnapshotStream::kRoom);
}

PeerStatus Peer::Status() const {
  PeerStatus status;
  status.node = node_;
  {
    absl::MutexLock lock(&mutex_);
    status.address = place_.address;
    status.replica = replica_;
    status.up = told_up_;
    status.problem = problem_;
    status.since_micros = since_micros_;
    status.dropped_appends = dropped_while_down_;
  }
  for (const StreamKind kind : kAll) {
    const OutboundLink::Traffic traffic = link(kind)->traffic();
    status.sent_frames += traffic.frames;
    status.sent_bytes += traffic.bytes;
    if (kind == StreamKind::kControl) status.dropped_control = traffic.dropped;
    if (kind == StreamKind::kAppend) status.dropped_appends += traffic.dropped;
  }
  return status;
}

}  // namespace holdfast
