// What an operator may do to the members of a group, so that a majority stays alive.
//
// Pure functions.

#ifndef HOLDFAST_TESTS_SIM_MEMBERS_H_
#define HOLDFAST_TESTS_SIM_MEMBERS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "replication/raft/types.h"

namespace holdfast::sim {

// "{1 2 3} learners {4}"
std::string MembersText(const raft::Configuration& configuration);
bool Contains(const std::vector<ReplicaId>& list, ReplicaId replica);
bool IsJoint(const raft::Configuration& configuration);
// Voters of either half, and learners.
std::set<ReplicaId> AllMembers(const raft::Configuration& configuration);
// Whether a majority of each half is not in `gone`.
bool MajorityAlive(const raft::Configuration& configuration, const std::set<ReplicaId>& gone);

struct Choice {
  // Must stay a voter, if not 0. Without pre-vote a leader hands over before it goes: a replica
  // that was removed earlier, and does not know it, may otherwise outbid those who are left for
  // ever.
  ReplicaId stays;
  std::vector<ReplicaId> candidates;  // may come in
  std::set<ReplicaId> gone;
  uint64_t number;
};
// One of the changes that fit `configuration` and leave a majority that is not gone, by
// choice.number. nullopt: there is none.
std::optional<raft::ConfigChange> ChooseChange(const raft::Configuration& configuration,
                                               const Choice& choice);
// What leads back from a joint configuration, or rids `configuration` of those in `gone`.
std::optional<raft::ConfigChange> RepairChange(const raft::Configuration& configuration,
                                               const std::set<ReplicaId>& gone);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_MEMBERS_H_
