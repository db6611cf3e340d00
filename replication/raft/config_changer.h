// What a configuration becomes by a change, and which changes do not fit.
//
//                 simple: at most one voter more or less
//                ┌──────┐
//                ▼      │        enter: any steps; the old voters stay as the outgoing half
//             [ voters ]┴──────────────────────────────▶[ voters && voters_outgoing ]
//                ▲                                                   │
//                └───────────────────────────────────────────────────┘
//                   leave: an empty change; learners_next become learners
//
// Source: Ongaro 2014, chapter 4; steps and checks as in etcd-raft. Pure functions without state.

#ifndef HOLDFAST_REPLICATION_RAFT_CONFIG_CHANGER_H_
#define HOLDFAST_REPLICATION_RAFT_CONFIG_CHANGER_H_

#include <cstdint>
#include <string_view>

#include "replication/raft/types.h"

namespace holdfast::raft {

enum class ChangeFault : uint8_t {
  kNone,
  kJoint,          // a joint configuration can only be left
  kNotJoint,       // there is nothing to leave
  kNoVoters,       // nobody would be left to vote, or there is nobody to be the outgoing half
  kTooManyVoters,  // more than one voter changes without a joint configuration
};
std::string_view Describe(ChangeFault fault);

struct ChangedConfiguration {
  ChangeFault fault = ChangeFault::kNone;
  Configuration configuration;  // with a fault: as it was
};

// The steps are taken in their order; one for replica 0, and one that is done already, does
// nothing.
ChangedConfiguration ApplyChange(const Configuration& configuration, const ConfigChange& change);

// Whether the invariants of Configuration hold. One without voters is allowed: nobody has been
// admitted yet.
bool IsValid(const Configuration& configuration);

bool IsJoint(const Configuration& configuration);
bool IsVoter(const Configuration& configuration, ReplicaId replica);  // of either half
bool IsMember(const Configuration& configuration, ReplicaId replica);
// Whether `change` leaves a joint configuration.
bool Leaves(const ConfigChange& change);

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_CONFIG_CHANGER_H_
