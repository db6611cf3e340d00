// What an operator's command, or a node that joins, makes of the table of members.
//
// Pure. Each change that is there already changes nothing, so all may be repeated.
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CLUSTER_MEMBER_CHANGE_H_
#define HOLDFAST_SERVER_CLUSTER_MEMBER_CHANGE_H_

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "base/types.h"
#include "server/cluster/membership.h"

namespace holdfast {

struct MemberChange {
  enum class Kind : uint8_t {
    kAdd,      // invites the node to come with an empty disk: a voter once it has caught up
    kRemove,   // takes it out of all groups
    kReplace,  // its disk is lost: invites it to come with another one
    kPromote,  // a learner is to vote
    kMove,     // it is reached at another address
    kJoin,     // an invited node has come with this disk
    kForget,   // it has left all groups
  };
  Kind kind = Kind::kAdd;
  NodeId node;
  std::string address = {};              // kAdd, kMove, kJoin; kReplace: "" as it was
  DiskId disk = {};                      // kJoin, kForget
  MemberState as = MemberState::kVoter;  // kAdd: kVoter or kLearner
};

// The table after the change: of the next version, or equal to `now` if it is there already.
// `up`: the nodes that are reached now. FAILED_PRECONDITION, with what to do, if it would leave
// voters of which no majority is up, or does not fit what is there; INVALID_ARGUMENT: the address
// is none.
absl::StatusOr<MembersView> Changed(const MembersView& now, const MemberChange& change,
                                    const std::set<NodeId>& up);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_MEMBER_CHANGE_H_
