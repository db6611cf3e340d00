// Who the nodes of the cluster are, as this node knows it: which disk each of them has, and where
// it is reached.
//
// Starts as what the data directory says (what was known last, or the initial members) and follows
// the table that is logged in shard 0, which says who the members shall be: the leader of each
// shard makes its group so (reconciler.h). Stored form: members_codec.h.
//
// Thread-safety: thread-safe. Views are immutable.

#ifndef HOLDFAST_SERVER_CLUSTER_MEMBERSHIP_H_
#define HOLDFAST_SERVER_CLUSTER_MEMBERSHIP_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/types.h"
#include "replication/transport/peer_types.h"

namespace holdfast {

enum class MemberState : uint8_t {
  kVoter = 0,
  kLearner = 1,  // has a copy of everything, and no vote
  kLeaving = 2,  // to be taken out of all groups; then it is no member
};

struct ClusterMember {
  NodeId node;
  DiskId disk;          // 0: it is invited, and has not come yet
  std::string address;  // HOST:PORT; "": the cluster is of this node alone and never told others
  MemberState state = MemberState::kVoter;
  bool operator==(const ClusterMember&) const = default;
};
inline constexpr size_t kMembersMax = 64;

// The members as of one moment.
struct MembersView {
  uint64_t version = 0;  // rises with each change of the table; 0: there is none yet
  std::map<NodeId, ClusterMember> members;
  bool operator==(const MembersView&) const = default;

  // nullptr: it is no member.
  const ClusterMember* Find(NodeId node) const;
  // The node that the replica is; 0: none of them.
  NodeId NodeOf(ReplicaId replica) const;
  // The replica that the node is; 0: it is no member, or its disk is not known.
  ReplicaId ReplicaOf(NodeId node) const;
  // What PeerTransport::SetPeers takes: those that have come.
  PeerPlaces Places() const;
};
// Of version 0.
MembersView ViewOf(const std::vector<ClusterMember>& members);
// Whether the node with this disk, which was a member once, still is one by `view`.
// FAILED_PRECONDITION, with what to do: it never will be again, by no later view either, since a
// node that is added or that replaces its disk comes with another one.
absl::Status CheckStillMember(const MembersView& view, NodeId node, DiskId disk);

class Membership {
 public:
  using View = std::shared_ptr<const MembersView>;
  using Observer = std::function<void(const View&)>;

  explicit Membership(MembersView first)
      : view_(std::make_shared<const MembersView>(std::move(first))) {}

  View Get() const;
  // Takes a view of a later version and tells the observers; false, and nothing happens, for any
  // other.
  bool Update(MembersView next);
  // Tells `observer` the present view, at once, and each later one, in order and one at a time. It
  // must not call back into this object, and is told until this object is destroyed.
  void Observe(Observer observer);

 private:
  absl::Mutex telling_;  // before mutex_
  mutable absl::Mutex mutex_;
  View view_ ABSL_GUARDED_BY(mutex_);
  std::vector<Observer> observers_ ABSL_GUARDED_BY(telling_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_MEMBERSHIP_H_
