#include "server/cluster/reconciler.h"

#include <vector>

#include "server/cluster/leader_balancer.h"

namespace holdfast {
namespace {

using raft::ConfigStep;

GroupStep Change(ConfigStep::Kind kind, ReplicaId replica) {
  return {.change = ConfigStep{.kind = kind, .replica = replica}, .hand_over_to = {}};
}

class Planner {
 public:
  Planner(const raft::Status& status, const MembersView& table, const std::set<NodeId>& up)
      : status_(status),
        table_(table),
        up_(up),
        voters_(status.configuration.voters.begin(), status.configuration.voters.end()),
        learners_(status.configuration.learners.begin(), status.configuration.learners.end()) {
    raft::Status all = status;
    // A learner that is caught up is judged as a voter is.
    for (auto& [replica, progress] : all.progress) progress.learner = false;
    candidates_ = CandidatesOf(
        all, [&](ReplicaId replica) { return table.NodeOf(replica); },
        [&](NodeId node) { return up.contains(node); });
    for (const Candidate& candidate : candidates_) {
      if (candidate.up && candidate.caught_up) healthy_.insert(candidate.replica);
    }
  }

  GroupStep Plan() const {
    for (const auto& [node, member] : table_.members) {
      const ReplicaId replica = table_.ReplicaOf(node);
      if (replica == ReplicaId() || member.state == MemberState::kLeaving) continue;
      const bool learns = learners_.contains(replica);
      if (!voters_.contains(replica) && !learns && up_.contains(node)) {
        return Change(ConfigStep::Kind::kAddLearner, replica);
      }
      if (learns && member.state == MemberState::kVoter && healthy_.contains(replica) &&
          IsLive(With(replica))) {
        return Change(ConfigStep::Kind::kAddVoter, replica);
      }
    }
    for (const ReplicaId replica : learners_) {
      if (!IsWanted(replica)) return Change(ConfigStep::Kind::kRemove, replica);
    }
    for (const ReplicaId replica : voters_) {
      if (IsWanted(replica) || !IsLive(Without(replica))) continue;
      if (replica != status_.id) return Change(ConfigStep::Kind::kRemove, replica);
      return {.change = std::nullopt, .hand_over_to = Heir()};
    }
    return {};
  }

 private:
  bool IsWanted(ReplicaId replica) const {
    const ClusterMember* const member = table_.Find(table_.NodeOf(replica));
    return member != nullptr && member->state != MemberState::kLeaving;
  }
  std::set<ReplicaId> With(ReplicaId replica) const {
    std::set<ReplicaId> voters = voters_;
    voters.insert(replica);
    return voters;
  }
  std::set<ReplicaId> Without(ReplicaId replica) const {
    std::set<ReplicaId> voters = voters_;
    voters.erase(replica);
    return voters;
  }
  bool IsLive(const std::set<ReplicaId>& voters) const {
    size_t live = 0;
    for (const ReplicaId replica : voters) live += healthy_.contains(replica) ? 1 : 0;
    return 2 * live > voters.size();
  }
  // Among the voters that stay.
  ReplicaId Heir() const {
    std::vector<Candidate> staying;
    for (const Candidate& candidate : candidates_) {
      if (voters_.contains(candidate.replica) && IsWanted(candidate.replica)) {
        staying.push_back(candidate);
      }
    }
    return Successor(status_.id, staying);
  }

  const raft::Status& status_;
  const MembersView& table_;
  const std::set<NodeId>& up_;
  const std::set<ReplicaId> voters_;
  const std::set<ReplicaId> learners_;
  std::vector<Candidate> candidates_;
  std::set<ReplicaId> healthy_;  // up and caught up, or the leader
};

}  // namespace

GroupStep NextStep(const raft::Status& status, const MembersView& table,
                   const std::set<NodeId>& up) {
  // Without a table the group is as it was made; and one change at a time.
  if (table.version == 0 || !status.configuration.voters_outgoing.empty()) return {};
  if (status.transferee != ReplicaId()) return {};
  return Planner(status, table, up).Plan();
}

std::set<ReplicaId> ReplicasIn(const raft::Configuration& configuration) {
  std::set<ReplicaId> replicas;
  for (const auto* some : {&configuration.voters, &configuration.voters_outgoing,
                           &configuration.learners, &configuration.learners_next}) {
    replicas.insert(some->begin(), some->end());
  }
  return replicas;
}

}  // namespace holdfast
