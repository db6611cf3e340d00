#include "server/cluster/peer_loop.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "server/cluster/reconciler.h"

namespace holdfast {
namespace {

using raft::MessageType;

// For how long a handing over for balance keeps others of the node from beginning.
constexpr int64_t kBalanceApartMicros = 300'000;
// A node that has been connected for so long has started all of its shards.
constexpr int64_t kSettledAfterMicros = 1'000'000;
// What was proposed may take so long, until it is proposed again.
constexpr int64_t kChangeApartMicros = 1'000'000;
// A message that may wait for another one waits so long.
constexpr int64_t kMayWaitMicros = 5'000;

}  // namespace

PeerLoop::PeerLoop(const Options& options, Parts parts)
    : options_(options),
      parts_(std::move(parts)),
      members_(std::make_shared<const MembersView>()),
      silence_(2 * options.balance_every_micros),
      sender_(options.send, SenderParts()),
      receiver_(options.receive, ReceiverParts()) {}

SnapshotSender::Parts PeerLoop::SenderParts() {
  return {
      .executor = parts_.executor,
      .send = [this](NodeId to,
                     SnapshotPart part) { return transport_->SendSnapshot(to, std::move(part)); },
      .report =
          [this](ShardId shard, ReplicaId replica, raft::Core::SnapshotResult result) {
            parts_.shards.at(shard).group->ReportSnapshot(replica, result);
          }};
}

SnapshotReceiver::Parts PeerLoop::ReceiverParts() {
  return {.executor = parts_.executor,
          .reader = [this](ShardId shard) { return parts_.shards.at(shard).reader; },
          .stage =
              [this](ShardId shard, const raft::SnapshotDescriptor& snapshot) {
                return parts_.shards.at(shard).shard->Stage(snapshot);
              },
          .received =
              [this](ShardId shard, PeerMessage message, std::shared_ptr<StagedState> staged) {
                parts_.shards.at(shard).group->StepSnapshot(std::move(message), std::move(staged));
              },
          .answer =
              [this](NodeId to, ShardId shard, std::string answer) {
                transport_->AnswerSnapshot(to, shard, std::move(answer));
              }};
}

void PeerLoop::SetMembers(Membership::View members) {
  CHECK(parts_.executor->IsCurrent());
  members_ = std::move(members);
  if (!balancing_ && options_.balance_every_micros > 0) {
    balancing_ = true;
    Balance();
  }
}

// --- Messages.

void PeerLoop::Send(ShardId shard, PeerMessage message, std::shared_ptr<const PinnedState> state) {
  CHECK(parts_.executor->IsCurrent());
  const NodeId to = members_->NodeOf(message.message.to);
  if (state != nullptr) {
    if (to == NodeId()) {
      // Not at once: the group is in the middle of its duties.
      parts_.executor->Post([this, shard, replica = message.message.to] {
        parts_.shards.at(shard).group->ReportSnapshot(replica, raft::Core::SnapshotResult::kFailed);
      });
      return;
    }
    return sender_.Start(to, shard, std::move(message), std::move(state),
                         parts_.shards.at(shard).reader);
  }
  if (to == NodeId() || transport_ == nullptr) return;
  const bool urgent = outbox_.Add(
      to,
      {.shard = shard, .wall_micros = message.wall_micros, .message = std::move(message.message)});
  if (urgent && !std::exchange(flush_posted_, true)) {
    parts_.executor->Post([this] {
      flush_posted_ = false;
      Flush(Outbox::Which::kUrgent);
    });
  }
  if (!urgent && !std::exchange(flush_timed_, true)) {
    parts_.executor->RunAt(parts_.executor->MonotonicMicros() + kMayWaitMicros, [this] {
      flush_timed_ = false;
      Flush(Outbox::Which::kAll);
    });
  }
}

void PeerLoop::Flush(Outbox::Which which) {
  outbox_.Take(which, [this](NodeId to, std::vector<PeerEnvelope> messages) {
    transport_->Send(to, std::move(messages));
  });
}

// Who is passed on names a third replica: its own node may have asked another one.
bool PeerLoop::IsSender(NodeId from, const raft::Message& message) const {
  if (message.type == MessageType::kTransferLeader || message.type == MessageType::kReadIndex) {
    return true;
  }
  return members_->NodeOf(message.from) == from;
}

void PeerLoop::OnMessages(NodeId from, std::vector<PeerEnvelope> messages) {
  silence_.Heard(from);
  for (PeerEnvelope& envelope : messages) {
    if (!IsSender(from, envelope.message)) continue;
    // Who sent it did not know yet, and looks for another one.
    if (leaving_ && envelope.message.type == MessageType::kTimeoutNow) continue;
    parts_.shards.at(envelope.shard)
        .group->Step({.message = std::move(envelope.message), .wall_micros = envelope.wall_micros});
  }
}

void PeerLoop::OnUnreachable(ShardId shard, ReplicaId replica) {
  parts_.shards.at(shard).group->ReportUnreachable(replica);
}

void PeerLoop::OnPeerChange(const PeerChange& change) {
  if (change.kind == PeerChange::Kind::kUp) {
    up_since_[change.node] = parts_.executor->MonotonicMicros();
  } else if (change.kind == PeerChange::Kind::kDown) {
    up_since_.erase(change.node);
    for (const auto& [shard, parts] : parts_.shards) parts.group->ReportBroken(change.replica);
  }
  if (parts_.hooks.on_peer_change) parts_.hooks.on_peer_change(options_.index, change);
}

void PeerLoop::OnForward(NodeId, ShardId shard, std::shared_ptr<const std::string> request,
                         ForwardReply reply) {
  parts_.shards.at(shard).forwards->Handle(
      std::move(request),
      [reply = std::move(reply)](std::shared_ptr<const std::string> answer) mutable {
        reply.Answer(std::move(answer));
      });
}

void PeerLoop::OnSnapshotPart(NodeId from, SnapshotPart part, std::shared_ptr<void> credit) {
  receiver_.OnPart(from, std::move(part), std::move(credit));
}

void PeerLoop::OnSnapshotAnswer(NodeId from, ShardId shard, std::string answer) {
  sender_.OnAnswer(from, shard, answer);
}

void PeerLoop::OnSnapshotStream(NodeId to, SnapshotStream event) { sender_.OnStream(to, event); }

// --- Who leads.

std::vector<Candidate> PeerLoop::Candidates(const raft::Status& status,
                                            int64_t up_for_micros) const {
  const int64_t now = parts_.executor->MonotonicMicros();
  return CandidatesOf(
      status,
      [this](ReplicaId replica) {
        const ClusterMember* const member = members_->Find(members_->NodeOf(replica));
        const bool stays = member != nullptr && member->state != MemberState::kLeaving;
        return stays ? member->node : NodeId();
      },
      [&](NodeId node) {
        const auto since = up_since_.find(node);
        return since != up_since_.end() && now - since->second >= up_for_micros;
      });
}

void PeerLoop::Balance() {
  if (leaving_) return;
  const int64_t now = parts_.executor->MonotonicMicros();
  parts_.executor->RunAt(now + options_.balance_every_micros, [this] { Balance(); });
  silence_.Tick(now);
  for (const auto& [shard, parts] : parts_.shards) {
    if (!parts.group->leading()) {
      leads_since_.erase(shard);
      listens_since_.erase(shard);
      continue;
    }
    JudgeNodes(shard, *parts.shard);
    const std::optional<raft::Status> status = parts.group->GetStatus();
    if (!status.has_value()) continue;
    if (!ReconcileShard(shard, *parts.group, *status, now)) {
      BalanceShard(shard, *parts.group, *status, now);
    }
  }
  ForgetThoseWhoLeft(now);
}

// Also nodes that are no members any more, or were none when this node became one.
void PeerLoop::JudgeNodes(ShardId shard, Shard& machine) {
  const int64_t since = listens_since_.try_emplace(shard, silence_.now()).first->second;
  machine.LoseNodes(
      [&](NodeId node) { return silence_.Of(node, since) >= options_.lost_after_micros; });
}

bool PeerLoop::ReconcileShard(ShardId shard, Group& group, const raft::Status& status,
                              int64_t now) {
  std::set<NodeId> up = {options_.self};
  for (const auto& [node, since] : up_since_) up.insert(node);
  const GroupStep step = NextStep(status, *members_, up);
  if (step.change.has_value()) {
    int64_t& changed_at = changed_at_[shard];
    if (changed_at != 0 && now - changed_at < kChangeApartMicros) return true;
    changed_at = now;
    raft::ConfigChange change;
    change.steps.push_back(*step.change);
    group.ProposeConfigChange(change);
    return true;
  }
  if (step.hand_over_to == ReplicaId()) return false;
  group.TransferLeadership(step.hand_over_to);
  return true;
}

void PeerLoop::ForgetThoseWhoLeft(int64_t now) {
  const auto is_leaving = [](const auto& member) {
    return member.second.state == MemberState::kLeaving;
  };
  if (std::none_of(members_->members.begin(), members_->members.end(), is_leaving)) return;
  std::set<ReplicaId> in_use;
  for (const auto& [shard, parts] : parts_.shards) {
    const std::optional<raft::Status> status = parts.group->GetStatus();
    if (!status.has_value()) return;
    in_use.merge(ReplicasIn(status->configuration));
  }
  parts_.in_use->Set(options_.index, std::move(in_use));
  const auto first = parts_.shards.find(ShardId(0));
  if (first == parts_.shards.end() || !first->second.group->leading()) return;
  if (now - forgot_at_ < kChangeApartMicros || !parts_.hooks.on_left) return;
  for (const auto& [node, member] : members_->members) {
    if (member.state != MemberState::kLeaving) continue;
    if (parts_.in_use->MayContain(members_->ReplicaOf(node))) continue;
    forgot_at_ = now;
    parts_.hooks.on_left(member);
  }
}

void PeerLoop::BalanceShard(ShardId shard, Group& group, const raft::Status& status, int64_t now) {
  const int64_t since = leads_since_.try_emplace(shard, now).first->second;
  int64_t free_from = parts_.next_balance_micros->load(std::memory_order_relaxed);
  if (now - since < options_.balance_after_micros || now < free_from) return;
  if (status.transferee != ReplicaId()) return;
  const ReplicaId preferred =
      PreferredLeader(shard, Candidates(status, options_.balance_after_micros));
  if (preferred == ReplicaId() || preferred == status.id) return;
  if (!parts_.next_balance_micros->compare_exchange_strong(free_from, now + kBalanceApartMicros)) {
    return;
  }
  // Not again at once if it fails: nothing is accepted meanwhile.
  leads_since_[shard] = now;
  group.TransferLeadership(preferred);
}

void PeerLoop::HandOver() {
  CHECK(parts_.executor->IsCurrent());
  leaving_ = true;
  for (const auto& [shard, parts] : parts_.shards) {
    const std::optional<raft::Status> status = parts.group->GetStatus();
    if (!status.has_value() || status->soft_state.role != raft::Role::kLeader) continue;
    if (status->transferee != ReplicaId()) continue;
    ReplicaId& asked = asked_[shard];
    asked = Heir(*status, asked);
    if (asked != ReplicaId()) parts.group->TransferLeadership(asked);
  }
}

// Rather one that did not start a moment ago; nor the one that was asked and did not take over.
ReplicaId PeerLoop::Heir(const raft::Status& status, ReplicaId asked) const {
  for (const int64_t up_for_micros : {kSettledAfterMicros, int64_t{0}}) {
    std::vector<Candidate> candidates = Candidates(status, up_for_micros);
    std::erase_if(candidates,
                  [&](const Candidate& candidate) { return candidate.replica == asked; });
    const ReplicaId heir = Successor(status.id, candidates);
    if (heir != ReplicaId()) return heir;
  }
  return ReplicaId();
}

std::vector<ReplicaProgress> PeerLoop::Replicas() const {
  CHECK(parts_.executor->IsCurrent());
  std::vector<ReplicaProgress> replicas;
  for (const auto& [shard, parts] : parts_.shards) {
    const std::optional<raft::Status> status = parts.group->GetStatus();
    if (!status.has_value()) continue;
    const std::vector<ReplicaId>& voters = status->configuration.voters;
    replicas.push_back(
        {.shard = shard,
         .leading = parts.group->leading(),
         .votes = std::find(voters.begin(), voters.end(), status->id) != voters.end(),
         .term = status->hard_state.term,
         .applied = status->applied,
         .commit = status->hard_state.commit,
         .last = parts.group->last_index()});
  }
  return replicas;
}

}  // namespace holdfast
