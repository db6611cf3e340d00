#include "server/cluster/leader_balancer.h"

namespace holdfast {

ReplicaId PreferredLeader(ShardId shard, std::vector<Candidate> candidates) {
  std::erase_if(candidates, [](const Candidate& candidate) { return !candidate.up; });
  if (candidates.empty()) return ReplicaId();
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.node < b.node; });
  const Candidate& preferred = candidates[shard.value() % candidates.size()];
  return preferred.caught_up ? preferred.replica : ReplicaId();
}

ReplicaId Successor(ReplicaId self, const std::vector<Candidate>& candidates) {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.caught_up != b.caught_up ? a.caught_up : a.match > b.match;
  };
  const Candidate* best = nullptr;
  for (const Candidate& candidate : candidates) {
    if (!candidate.up || candidate.replica == self) continue;
    if (best == nullptr || better(candidate, *best)) best = &candidate;
  }
  return best == nullptr ? ReplicaId() : best->replica;
}

}  // namespace holdfast
