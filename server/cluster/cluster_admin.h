// Changes the table of members, whichever node this is: reads it from shard 0, changes it, and
// writes it back if nobody else has meanwhile.
//
// Thread-safety: thread-safe. Ownership: what Parts points to outlives it, and every callback.

#ifndef HOLDFAST_SERVER_CLUSTER_CLUSTER_ADMIN_H_
#define HOLDFAST_SERVER_CLUSTER_CLUSTER_ADMIN_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/types.h"
#include "server/cluster/cluster_node.h"
#include "server/cluster/member_change.h"
#include "server/cluster/membership.h"
#include "server/engine/engine.h"

namespace holdfast {

class ClusterAdmin {
 public:
  struct Parts {
    Engine* engine = nullptr;
    ClusterNode* cluster = nullptr;
    Membership* membership = nullptr;
    bool alone_only = false;  // --sync interval: there must be no other voters
  };
  using Done = absl::AnyInvocable<void(absl::StatusOr<MembersView>) &&>;

  explicit ClusterAdmin(Parts parts) : parts_(parts) {}

  // `address`: where the other nodes reach this one. What is asked before is refused UNAVAILABLE.
  void Start(const std::string& address);

  // The table after the change, which is agreed on then. `done` is called once, on an engine thread
  // or within the call. Errors: those of Changed (member_change.h) and of the engine; ABORTED:
  // others changed it too often meanwhile.
  void Change(const MemberChange& change, Done done);

  const Membership& membership() const { return *parts_.membership; }
  const ClusterNode& cluster() const { return *parts_.cluster; }

  // Asks the leader of each of the shards to hand over to the node. FAILED_PRECONDITION: it does
  // not vote, or is not connected.
  absl::Status Transfer(const std::vector<ShardId>& shards, NodeId to);

 private:
  void Try(const MemberChange& change, int tries_left, Done done);
  absl::StatusOr<MembersView> Next(const ClusterRecordRow& record,
                                   const MemberChange& change) const;

  const Parts parts_;
  mutable absl::Mutex mutex_;
  std::string address_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_CLUSTER_ADMIN_H_
