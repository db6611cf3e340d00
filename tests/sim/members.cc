#include "tests/sim/members.h"

#include <algorithm>

#include "base/prng.h"

namespace holdfast::sim {
namespace {

using raft::ConfigChange;
using raft::ConfigStep;
using raft::Configuration;

bool MajorityOf(const std::vector<ReplicaId>& voters, const std::set<ReplicaId>& gone) {
  const auto alive = std::count_if(voters.begin(), voters.end(),
                                   [&gone](ReplicaId voter) { return !gone.contains(voter); });
  return voters.empty() || static_cast<size_t>(alive) * 2 > voters.size();
}

// The voters after `steps`.
std::vector<ReplicaId> VotersAfter(const Configuration& configuration,
                                   const std::vector<ConfigStep>& steps) {
  std::set<ReplicaId> voters(configuration.voters.begin(), configuration.voters.end());
  for (const ConfigStep& step : steps) {
    if (step.kind == ConfigStep::Kind::kAddVoter) {
      voters.insert(step.replica);
    } else if (step.kind != ConfigStep::Kind::kUpdate) {
      voters.erase(step.replica);
    }
  }
  return {voters.begin(), voters.end()};
}

ConfigStep DrawStep(Prng& random, const std::vector<ReplicaId>& replicas,
                    const Configuration& configuration) {
  const ReplicaId replica = replicas[random.Below(replicas.size())];
  const bool voter = Contains(configuration.voters, replica);
  const bool learner = Contains(configuration.learners, replica);
  using enum ConfigStep::Kind;
  if (voter) return {random.Chance(1, 3) ? kAddLearner : kRemove, replica};
  if (learner) return {random.Chance(3, 4) ? kAddVoter : kRemove, replica};
  return {random.Chance(1, 2) ? kAddLearner : kAddVoter, replica};
}

}  // namespace

std::string MembersText(const Configuration& configuration) {
  const auto list = [](const std::vector<ReplicaId>& replicas) {
    std::string text;
    for (const ReplicaId replica : replicas) {
      if (!text.empty()) text += " ";
      text += std::to_string(replica.value());
    }
    return text;
  };
  std::string text = "{" + list(configuration.voters) + "}";
  if (IsJoint(configuration)) text += " from {" + list(configuration.voters_outgoing) + "}";
  if (!configuration.learners.empty()) text += " learners {" + list(configuration.learners) + "}";
  return text;
}

bool Contains(const std::vector<ReplicaId>& list, ReplicaId replica) {
  return std::find(list.begin(), list.end(), replica) != list.end();
}

bool IsJoint(const Configuration& configuration) { return !configuration.voters_outgoing.empty(); }

std::set<ReplicaId> AllMembers(const Configuration& configuration) {
  std::set<ReplicaId> members(configuration.voters.begin(), configuration.voters.end());
  members.insert(configuration.voters_outgoing.begin(), configuration.voters_outgoing.end());
  members.insert(configuration.learners.begin(), configuration.learners.end());
  return members;
}

bool MajorityAlive(const Configuration& configuration, const std::set<ReplicaId>& gone) {
  return MajorityOf(configuration.voters, gone) && MajorityOf(configuration.voters_outgoing, gone);
}

std::optional<ConfigChange> ChooseChange(const Configuration& configuration, const Choice& choice) {
  Prng random(choice.number);
  ConfigChange change;
  if (IsJoint(configuration)) {
    if (configuration.auto_leave) return std::nullopt;
    return change;
  }
  const std::set<ReplicaId> members = AllMembers(configuration);
  std::vector<ReplicaId> replicas(members.begin(), members.end());
  for (const ReplicaId candidate : choice.candidates) {
    if (!members.contains(candidate)) replicas.push_back(candidate);
  }
  const uint64_t steps = random.Chance(2, 3) ? 1 : random.Between(2, 3);
  for (uint64_t i = 0; i < steps; ++i) {
    const ConfigStep step = DrawStep(random, replicas, configuration);
    const bool repeated =
        std::any_of(change.steps.begin(), change.steps.end(),
                    [&step](const ConfigStep& other) { return other.replica == step.replica; });
    const bool dead = choice.gone.contains(step.replica) && step.kind != ConfigStep::Kind::kRemove;
    if (!repeated && !dead) change.steps.push_back(step);
  }
  using enum ConfigChange::Transition;
  change.transition = random.Chance(1, 2) ? kAuto : random.Chance(1, 2) ? kImplicit : kExplicit;
  const std::vector<ReplicaId> voters = VotersAfter(configuration, change.steps);
  // Somebody stays who knows the configuration: replicas that are new to the group cannot begin.
  const bool some_stay = std::any_of(voters.begin(), voters.end(), [&](ReplicaId voter) {
    return Contains(configuration.voters, voter);
  });
  const bool stays = choice.stays == ReplicaId() || Contains(voters, choice.stays);
  if (change.steps.empty() || !some_stay || !stays || !MajorityOf(voters, choice.gone)) {
    return std::nullopt;
  }
  return change;
}

std::optional<ConfigChange> RepairChange(const Configuration& configuration,
                                         const std::set<ReplicaId>& gone) {
  if (IsJoint(configuration)) {
    if (configuration.auto_leave) return std::nullopt;
    return ConfigChange{};
  }
  for (const ReplicaId member : AllMembers(configuration)) {
    if (!gone.contains(member)) continue;
    ConfigChange change;
    change.steps.push_back({ConfigStep::Kind::kRemove, member});
    return change;
  }
  return std::nullopt;
}

}  // namespace holdfast::sim
