// What an operator may do to the members of a group, so that a majority stays alive.
//
// Pure functions.

#ifndef HOLDFAST_TESTS_SIM_MEMBERS_H_
#define HOLDFAST_TESTS_SIM_MEMBERS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "base/types.h"
#include "replication/raft/types.h"

namespace holdfast::sim {

bool Contains(const std::vector<ReplicaId>& list, ReplicaId replica);
bool IsJoint(const raft::Configuration& configuration);
// Voters of either half, and learners.
std::set<ReplicaId> AllMembers(const raft::Configuration& configuration);
// Whether a majority of each half is not in `gone`.
bool MajorityAlive(const raft::Configuration& configuration, const std::set<ReplicaId>& gone);

// One of the changes that fit `configuration` and leave a majority that is not in `gone`, chosen
// by `choice`; `candidates` may come in. nullopt: there is none.
std::optional<raft::ConfigChange> ChooseChange(const raft::Configuration& configuration,
                                               const std::vector<ReplicaId>& candidates,
                                               const std::set<ReplicaId>& gone, uint64_t choice);
// What leads back from a joint configuration, or rids `configuration` of those in `gone`.
std::optional<raft::ConfigChange> RepairChange(const raft::Configuration& configuration,
                                               const std::set<ReplicaId>& gone);

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_MEMBERS_H_
