#include "server/cluster/cluster_node.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "replication/node/group.h"
#include "server/cluster/members_codec.h"

namespace holdfast {
namespace {

// How often a handing over that came to nothing is tried again.
constexpr absl::Duration kHandOverEvery = absl::Milliseconds(100);

Forwarder::Result ResultOf(ForwardOutcome outcome) {
  switch (outcome) {
    case ForwardOutcome::kReplied:
      return Forwarder::Result::kReplied;
    case ForwardOutcome::kNotSent:
      return Forwarder::Result::kNotSent;
    case ForwardOutcome::kUnknown:
      break;
  }
  return Forwarder::Result::kUnknown;
}

}  // namespace

ClusterNode::ClusterNode(Options options, NodeEngine* engine, Membership* membership)
    : options_(std::move(options)),
      engine_(engine),
      membership_(membership),
      in_use_(engine->loop_count()) {
  CHECK_GT(options_.snapshot_bytes_per_second, 0u);
  for (size_t i = 0; i < engine->loop_count(); ++i) {
    PeerLoop::Options loop = options_.loop;
    loop.index = i;
    loop.self = engine->options().node;
    loop.send.incarnation = engine->options().incarnation;
    loop.send.bytes_per_second =
        std::max<uint64_t>(options_.snapshot_bytes_per_second / engine->loop_count(), 1);
    loops_.push_back(std::make_unique<PeerLoop>(loop, LoopParts(i)));
  }
  transport_ = std::make_unique<PeerTransport>(MakeTransportOptions());
  for (const auto& loop : loops_) loop->Attach(transport_.get());
  engine->leaders()->Observe(
      [this](ShardId, const LeaderTable::Leader&) { absl::MutexLock lock(&leaders_mutex_); });
}

ClusterNode::~ClusterNode() { Stop(); }

PeerLoop::Parts ClusterNode::LoopParts(size_t index) {
  PeerLoop::Parts parts;
  parts.executor = engine_->loop(index);
  parts.next_balance_micros = &next_balance_micros_;
  parts.in_use = &in_use_;
  parts.hooks = options_.hooks;
  for (uint32_t i = 0; i < engine_->options().shards; ++i) {
    const ShardId shard(i);
    if (engine_->LoopIndexOf(shard) != index) continue;
    parts.shards[shard] = {.group = engine_->group(shard),
                           .shard = engine_->shard(shard),
                           .reader = engine_->ReaderOf(shard),
                           .forwards = engine_->forward_server(shard)};
  }
  return parts;
}

TransportOptions ClusterNode::MakeTransportOptions() const {
  const NodeEngine::Options& engine = engine_->options();
  TransportOptions options = options_.transport;
  options.self = {.cluster_id = engine.cluster_id,
                  .node = engine.node,
                  .replica = ReplicaOf(engine.node, engine.disk),
                  .shards = engine.shards,
                  .incarnation = engine.incarnation,
                  .address = {}};
  options.seed = engine.disk.value() ^ engine.incarnation;
  for (size_t i = 0; i < loops_.size(); ++i) {
    options.loops.push_back({.executor = engine_->loop(i), .handler = loops_[i].get()});
  }
  for (uint32_t shard = 0; shard < engine.shards; ++shard) {
    options.loop_of_shard.push_back(engine_->LoopIndexOf(ShardId(shard)));
  }
  return options;
}

void ClusterNode::Start(const std::string& address) {
  transport_->Start(address);
  {
    absl::MutexLock lock(&audience_->mutex);
    audience_->node = this;
  }
  membership_->Observe([audience = audience_](const Membership::View& view) {
    absl::MutexLock lock(&audience->mutex);
    if (audience->node != nullptr) audience->node->SetMembers(view);
  });
}

void ClusterNode::SetMembers(const Membership::View& view) {
  // The loops first: what comes from a new member is understood.
  for (size_t i = 0; i < loops_.size(); ++i) {
    engine_->loop(i)->Post([loop = loops_[i].get(), view] { loop->SetMembers(view); });
  }
  transport_->SetPeers(view->Places());
}

bool ClusterNode::OthersLead() const {
  for (uint32_t shard = 0; shard < engine_->options().shards; ++shard) {
    const NodeId leader = engine_->leaders()->NodeOf(ShardId(shard));
    if (leader == NodeId() || leader == engine_->options().node) return false;
  }
  return true;
}

bool ClusterNode::LeaveLeadership(absl::Time deadline) {
  bool others = false;
  for (const PeerStatus& peer : transport_->Status()) others |= peer.up;
  const auto others_lead = [this] { return OthersLead(); };
  absl::MutexLock lock(&leaders_mutex_);
  while (!OthersLead() && others && absl::Now() < deadline) {
    for (size_t i = 0; i < loops_.size(); ++i) {
      engine_->loop(i)->Post([loop = loops_[i].get()] { loop->HandOver(); });
    }
    leaders_mutex_.AwaitWithDeadline(absl::Condition(&others_lead),
                                     std::min(deadline, absl::Now() + kHandOverEvery));
  }
  return OthersLead();
}

void ClusterNode::Stop() {
  {
    absl::MutexLock lock(&audience_->mutex);
    audience_->node = nullptr;
  }
  transport_->Stop();
}

void ClusterNode::Send(ShardId shard, PeerMessage message,
                       std::shared_ptr<const PinnedState> state) {
  loops_[engine_->LoopIndexOf(shard)]->Send(shard, std::move(message), std::move(state));
}

void ClusterNode::Forward(ReplicaId to, ShardId shard, std::shared_ptr<const std::string> request,
                          Done done) {
  transport_->Forward(NodeOf(to), shard, std::move(request),
                      [done = std::move(done)](ForwardResult result) mutable {
                        std::move(done)(ResultOf(result.outcome), std::move(result.reply));
                      });
}

NodeId ClusterNode::NodeOf(ReplicaId replica) const { return membership_->Get()->NodeOf(replica); }

void ClusterNode::OnClusterRecord(const ClusterRecordRow& record) {
  absl::StatusOr<MembersView> members = DecodeMembers(record.record);
  if (members.ok()) {
    membership_->Update(*std::move(members));
  } else if (options_.on_problem) {
    options_.on_problem(members.status());
  }
}

void ClusterNode::AskReplicas(absl::AnyInvocable<void(std::vector<ReplicaProgress>) &&> done) {
  struct Asked {
    absl::Mutex mutex;
    size_t loops_left ABSL_GUARDED_BY(mutex) = 0;
    std::vector<ReplicaProgress> replicas ABSL_GUARDED_BY(mutex);
    absl::AnyInvocable<void(std::vector<ReplicaProgress>) &&> done;
  };
  const auto asked = std::make_shared<Asked>();
  asked->done = std::move(done);
  {
    absl::MutexLock lock(&asked->mutex);
    asked->loops_left = loops_.size();
  }
  for (size_t i = 0; i < loops_.size(); ++i) {
    engine_->loop(i)->Post([asked, loop = loops_[i].get()] {
      std::vector<ReplicaProgress> all = loop->Replicas();
      {
        absl::MutexLock lock(&asked->mutex);
        asked->replicas.insert(asked->replicas.end(), all.begin(), all.end());
        if (--asked->loops_left > 0) return;
        all = std::move(asked->replicas);
      }
      std::sort(all.begin(), all.end(),
                [](const auto& a, const auto& b) { return a.shard < b.shard; });
      std::move(asked->done)(std::move(all));
    });
  }
}

std::set<NodeId> ClusterNode::NodesUp() const {
  std::set<NodeId> up = {engine_->options().node};
  for (const PeerStatus& peer : transport_->Status()) {
    if (peer.up) up.insert(peer.node);
  }
  return up;
}

void ClusterNode::TransferLeadership(ShardId shard, NodeId to) {
  const ReplicaId replica = membership_->Get()->ReplicaOf(to);
  engine_->loop(engine_->LoopIndexOf(shard))->Post([group = engine_->group(shard), replica] {
    group->TransferLeadership(replica);
  });
}

}  // namespace holdfast
