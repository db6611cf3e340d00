#include "replication/transport/transport_core.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/check.h"

namespace holdfast {
namespace {

// Ends a call at once.
class RefusedStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit RefusedStream(const Refusal& refusal) { Finish(ToStatus(refusal)); }
  void OnDone() override { delete this; }
};

// How long a stop waits for the other ends to take how their streams ended.
constexpr absl::Duration kStopPatience = absl::Milliseconds(500);

constexpr StreamKind kAll[] = {StreamKind::kControl, StreamKind::kAppend, StreamKind::kForward,
                               StreamKind::kSnapshot};

void CheckOptions(const TransportOptions& options) {
  CHECK(!options.self.cluster_id.empty());
  CHECK_GT(options.self.node, NodeId());
  CHECK_GT(options.self.replica, ReplicaId());
  CHECK_GT(options.self.incarnation, 0u);
  CHECK_GT(options.self.shards, 0u);
  CHECK_EQ(options.loop_of_shard.size(), options.self.shards);
  CHECK(!options.loops.empty());
  for (const size_t loop : options.loop_of_shard) CHECK_LT(loop, options.loops.size());
  CHECK_GT(options.frame_bytes_max, 0u);
  CHECK_LE(options.frame_bytes_max, size_t{4} << 20);
  CHECK_GT(options.piece_bytes_min, 0u);
  CHECK_LE(options.piece_bytes_min, options.frame_bytes_max);
  CHECK_GT(options.backoff_min_micros, 0);
  CHECK_LE(options.backoff_min_micros, options.backoff_max_micros);
}

}  // namespace

TransportCore::TransportCore(TransportOptions options)
    : options_(std::move(options)), dispatcher_(options_) {
  CheckOptions(options_);
}

void TransportCore::ForgetStreamsLocked(NodeId node, Changes* changes) {
  for (const StreamKind kind : kAll) {
    const auto slot = slots_.find({node, kind});
    if (slot == slots_.end()) continue;
    if (auto stream = slot->second.stream.lock()) changes->close.push_back(std::move(stream));
    slots_.erase(slot);
  }
}

TransportCore::Changes TransportCore::TakePlaces(PeerPlaces places) {
  Changes changes;
  const LinkEnvironment environment = {
      .options = &options_, .dispatcher = &dispatcher_, .dials = &dials_, .streams = streams_};
  absl::MutexLock lock(&mutex_);
  CHECK(started_);
  if (stopping_) return changes;
  for (const auto& [node, place] : places) {
    const auto old = places_.find(node);
    if (old != places_.end() && old->second == place) continue;
    std::shared_ptr<Peer>& peer = peers_[node];
    if (peer == nullptr) peer = Peer::Make(node, environment);
    changes.connect.emplace_back(peer, place);
    const auto slot = slots_.lower_bound({node, StreamKind::kControl});
    if (slot == slots_.end() || slot->first.first != node) continue;
    if (place.replica != ReplicaId() && slot->second.replica != place.replica) {
      ForgetStreamsLocked(node, &changes);
    }
  }
  for (auto it = peers_.begin(); it != peers_.end();) {
    if (places.count(it->first) > 0) {
      ++it;
      continue;
    }
    ForgetStreamsLocked(it->first, &changes);
    changes.stop.push_back(std::move(it->second));
    it = peers_.erase(it);
  }
  places_ = std::move(places);
  return changes;
}

void TransportCore::Start(const std::string& address) {
  CHECK(!address.empty());
  absl::MutexLock lock(&mutex_);
  CHECK(!started_);
  options_.self.address = address;
  started_ = true;
}

void TransportCore::SetPeers(PeerPlaces places) {
  absl::MutexLock serial(&set_peers_mutex_);
  places.erase(options_.self.node);
  const Changes changes = TakePlaces(std::move(places));
  for (const auto& peer : changes.stop) peer->Stop("it is not a peer any more");
  const grpc::Status closed = ToStatus(
      {peer::v1::REFUSAL_REASON_NOT_A_MEMBER, "the node, or its disk, is not a member any more"});
  for (const auto& stream : changes.close) stream->Close(closed);
  for (const auto& [peer, place] : changes.connect) peer->Connect(place);
}

void TransportCore::Stop() {
  absl::MutexLock serial(&set_peers_mutex_);
  std::vector<std::shared_ptr<Peer>> peers;
  std::vector<std::shared_ptr<InboundStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    for (auto& [node, peer] : peers_) peers.push_back(std::move(peer));
    peers_.clear();
    for (InboundStream* stream : accepted_) streams.push_back(stream->shared_from_this());
  }
  for (const auto& peer : peers) peer->Stop("this node is about to stop");
  for (const auto& stream : streams) {
    stream->Close(ToStatus({peer::v1::REFUSAL_REASON_STOPPING, "the node is about to stop"}));
  }
  peers.clear();
  streams.clear();
  if (streams_->AwaitNone(kStopPatience)) return;
  {
    absl::MutexLock lock(&mutex_);
    for (InboundStream* stream : accepted_) stream->Abandon();
  }
  streams_->AwaitNone(absl::InfiniteDuration());
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* TransportCore::Accept(
    StreamKind kind, grpc::CallbackServerContext* context) {
  absl::MutexLock lock(&mutex_);
  if (!started_ || stopping_) {
    return new RefusedStream(
        {peer::v1::REFUSAL_REASON_STOPPING, "the node is about to start, or to stop"});
  }
  if (strangers_ >= options_.strangers_max) {
    return new RefusedStream(
        {peer::v1::REFUSAL_REASON_TOO_MANY_STREAMS, "too many streams have not greeted yet"});
  }
  ++strangers_;
  const InboundEnvironment environment = {.options = &options_,
                                          .dispatcher = &dispatcher_,
                                          .streams = streams_,
                                          .owner = weak_from_this()};
  InboundStream* stream = InboundStream::Start(environment, kind, context);
  accepted_.insert(stream);
  return stream;
}

std::optional<Refusal> TransportCore::Admit(const peer::v1::Hello& hello, StreamKind kind,
                                            const std::shared_ptr<InboundStream>& stream) {
  const NodeId node(hello.identity().node_id());
  const ReplicaId replica(hello.identity().disk_id());
  std::shared_ptr<InboundStream> old;
  std::shared_ptr<Peer> peer;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      return Refusal{peer::v1::REFUSAL_REASON_STOPPING, "the node is about to stop"};
    }
    const auto place = places_.find(node);
    const PeerPlace* known = place == places_.end() ? nullptr : &place->second;
    if (auto refusal = CheckHello(hello, options_.self, known)) return refusal;
    Slot& slot = slots_[{node, kind}];
    const uint64_t incarnation = hello.identity().incarnation();
    const uint64_t epoch = hello.epoch();
    if (slot.replica == replica &&
        std::tie(incarnation, epoch) <= std::tie(slot.incarnation, slot.epoch)) {
      return Refusal{peer::v1::REFUSAL_REASON_STALE_CONNECTION,
                     absl::StrCat("node ", node.value(), " has dialed again since (start ",
                                  slot.incarnation, ", connection ", slot.epoch, "; this is start ",
                                  incarnation, ", connection ", epoch,
                                  "): if this goes on, its data directory was copied or set back, "
                                  "and two nodes must not run with one")};
    }
    old = slot.stream.lock();
    // Its first stream after a start shows that it takes those of others, too.
    if (const auto it = peers_.find(node); incarnation > slot.incarnation && it != peers_.end()) {
      peer = it->second;
    }
    slot = {replica, incarnation, epoch, stream};
  }
  if (peer != nullptr) peer->Hurry();
  if (old != nullptr) {
    old->Close(ToStatus({peer::v1::REFUSAL_REASON_STALE_CONNECTION,
                         "a newer connection has taken the place of this one"}));
  }
  return std::nullopt;
}

void TransportCore::OnGreetingOver() {
  absl::MutexLock lock(&mutex_);
  --strangers_;
}

void TransportCore::OnGone(InboundStream* stream) {
  absl::MutexLock lock(&mutex_);
  accepted_.erase(stream);
}

std::shared_ptr<Peer> TransportCore::Find(NodeId node) const {
  absl::MutexLock lock(&mutex_);
  const auto it = peers_.find(node);
  return it == peers_.end() ? nullptr : it->second;
}

std::shared_ptr<InboundStream> TransportCore::SnapshotStreamOf(NodeId node) const {
  absl::MutexLock lock(&mutex_);
  const auto it = slots_.find({node, StreamKind::kSnapshot});
  return it == slots_.end() ? nullptr : it->second.stream.lock();
}

std::vector<PeerStatus> TransportCore::Status() const {
  std::vector<std::shared_ptr<Peer>> peers;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [node, peer] : peers_) peers.push_back(peer);
  }
  std::vector<PeerStatus> statuses;
  statuses.reserve(peers.size());
  for (const auto& peer : peers) statuses.push_back(peer->Status());
  return statuses;
}

}  // namespace holdfast
