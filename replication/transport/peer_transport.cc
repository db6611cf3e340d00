#include "replication/transport/peer_transport.h"

#include <utility>

#include "base/check.h"
#include "proto/holdfast/peer/v1/peer.grpc.pb.h"
#include "replication/transport/transport_core.h"

namespace holdfast {
namespace {

using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// The generated service with all methods raw: a stream gives and takes whole buffers.
using RawService = peer::v1::Peer::WithRawCallbackMethod_Control<
    peer::v1::Peer::WithRawCallbackMethod_Append<peer::v1::Peer::WithRawCallbackMethod_Forward<
        peer::v1::Peer::WithRawCallbackMethod_Snapshot<peer::v1::Peer::Service>>>>;

class PeerService final : public RawService {
 public:
  explicit PeerService(std::shared_ptr<TransportCore> core) : core_(std::move(core)) {}

  Reactor* Control(grpc::CallbackServerContext* context) override {
    return core_->Accept(StreamKind::kControl, context);
  }
  Reactor* Append(grpc::CallbackServerContext* context) override {
    return core_->Accept(StreamKind::kAppend, context);
  }
  Reactor* Forward(grpc::CallbackServerContext* context) override {
    return core_->Accept(StreamKind::kForward, context);
  }
  Reactor* Snapshot(grpc::CallbackServerContext* context) override {
    return core_->Accept(StreamKind::kSnapshot, context);
  }

 private:
  const std::shared_ptr<TransportCore> core_;
};

}  // namespace

PeerTransport::PeerTransport(TransportOptions options)
    : core_(std::make_shared<TransportCore>(std::move(options))),
      service_(std::make_unique<PeerService>(core_)) {}

PeerTransport::~PeerTransport() { Stop(); }

grpc::Service* PeerTransport::service() { return service_.get(); }

void PeerTransport::Start(const std::string& address) { core_->Start(address); }

void PeerTransport::SetPeers(PeerPlaces peers) { core_->SetPeers(std::move(peers)); }

void PeerTransport::Stop() { core_->Stop(); }

void PeerTransport::Send(NodeId to, std::vector<PeerEnvelope> messages) {
  if (const auto peer = core_->Find(to)) peer->Send(messages);
}

void PeerTransport::Forward(NodeId to, ShardId shard, std::shared_ptr<const std::string> request,
                            ForwardDone done) {
  if (const auto peer = core_->Find(to)) {
    return peer->Forward(shard, std::move(request), std::move(done));
  }
  core_->dispatcher()->Run(shard, [done = std::move(done)]() mutable {
    std::move(done)({.outcome = ForwardOutcome::kNotSent, .reply = nullptr});
  });
}

SnapshotSend PeerTransport::SendSnapshot(NodeId to, SnapshotPart part) {
  const auto peer = core_->Find(to);
  return peer == nullptr ? SnapshotSend::kWait : peer->SendSnapshot(std::move(part));
}

void PeerTransport::AnswerSnapshot(NodeId to, ShardId shard, std::string answer) {
  const auto stream = core_->SnapshotStreamOf(to);
  if (stream == nullptr) return;
  Record record;
  record.kind = RecordKind::kSnapshotAnswer;
  record.shard = shard;
  record.header = std::move(answer);
  stream->Send(std::move(record));
}

std::vector<PeerStatus> PeerTransport::Status() const { return core_->Status(); }

}  // namespace holdfast
