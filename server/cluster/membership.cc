#include "server/cluster/membership.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "replication/node/group.h"

namespace holdfast {

const ClusterMember* MembersView::Find(NodeId node) const {
  const auto it = members.find(node);
  return it == members.end() ? nullptr : &it->second;
}

NodeId MembersView::NodeOf(ReplicaId replica) const {
  for (const auto& [node, member] : members) {
    if (member.disk != DiskId() && holdfast::ReplicaOf(node, member.disk) == replica) return node;
  }
  return NodeId();
}

ReplicaId MembersView::ReplicaOf(NodeId node) const {
  const ClusterMember* const member = Find(node);
  if (member == nullptr || member->disk == DiskId()) return ReplicaId();
  return holdfast::ReplicaOf(node, member->disk);
}

PeerPlaces MembersView::Places() const {
  PeerPlaces places;
  for (const auto& [node, member] : members) {
    if (member.disk == DiskId() || member.address.empty()) continue;
    places[node] = {.address = member.address, .replica = ReplicaOf(node)};
  }
  return places;
}

MembersView ViewOf(const std::vector<ClusterMember>& members) {
  MembersView view;
  for (const ClusterMember& member : members) view.members[member.node] = member;
  return view;
}

absl::Status CheckStillMember(const MembersView& view, NodeId node, DiskId disk) {
  const ClusterMember* const member = view.Find(node);
  if (member != nullptr && member->disk == disk) return absl::OkStatus();
  const std::string id = absl::StrCat("node ", node.value());
  const std::string why = absl::StrCat(" (disk ", absl::Hex(disk.value(), absl::kZeroPad16),
                                       " is not in version ", view.version, " of its members)");
  if (member == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        id, " was removed from the cluster", why,
        ", and what is in this data directory is of no use to it any more. To have the node back, "
        "add it (holdfast cluster add ",
        node.value(), " HOST:PORT) and start it on an empty --data-dir with --join"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the disk of ", id, " was replaced", why,
      ", and what is in this data directory is of no use to the cluster any more. Start ", id,
      " on its new --data-dir, with --join if that is empty"));
}

Membership::View Membership::Get() const {
  absl::MutexLock lock(&mutex_);
  return view_;
}

bool Membership::Update(MembersView next) {
  absl::MutexLock telling(&telling_);
  View view;
  {
    absl::MutexLock lock(&mutex_);
    if (next.version <= view_->version) return false;
    view_ = view = std::make_shared<const MembersView>(std::move(next));
  }
  for (const Observer& observer : observers_) observer(view);
  return true;
}

void Membership::Observe(Observer observer) {
  absl::MutexLock telling(&telling_);
  observer(Get());
  observers_.push_back(std::move(observer));
}

}  // namespace holdfast
