#include "server/cluster/member_change.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "server/config/address.h"

namespace holdfast {
namespace {

using Kind = MemberChange::Kind;

constexpr size_t kAddressBytesMax = 300;

std::string Name(NodeId node) { return absl::StrCat("node ", node.value()); }

absl::Status Refuse(const std::string& why) { return absl::FailedPreconditionError(why); }

absl::Status CheckAddress(const MembersView& now, const MemberChange& change) {
  if (!IsHostAndPort(change.address, 1) || change.address.size() > kAddressBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", change.address, "' is not HOST:PORT, e.g. 10.0.0.4:7400"));
  }
  for (const auto& [node, member] : now.members) {
    if (node != change.node && member.address == change.address) {
      return Refuse(absl::StrCat(change.address, " is the address of ", Name(node)));
    }
  }
  return absl::OkStatus();
}

// That those who vote without `node` can go on without it.
absl::Status CheckMajorityWithout(const MembersView& now, NodeId node, const std::set<NodeId>& up) {
  std::vector<uint64_t> voters;
  std::vector<uint64_t> down;
  for (const auto& [other, member] : now.members) {
    if (other == node || member.state != MemberState::kVoter || member.disk == DiskId()) continue;
    voters.push_back(other.value());
    if (!up.contains(other)) down.push_back(other.value());
  }
  if (voters.empty()) {
    return Refuse(absl::StrCat(Name(node),
                               " is the only voter: the cluster would be lost. Add "
                               "another node first (holdfast cluster add)"));
  }
  if (2 * (voters.size() - down.size()) > voters.size()) return absl::OkStatus();
  return Refuse(
      absl::StrCat("without ", Name(node), " the voters are ", absl::StrJoin(voters, ", "),
                   ", of which ", absl::StrJoin(down, ", "),
                   " cannot be reached: there would be no majority. Bring them back first"));
}

// Changes a table of the next version in place.
class Changer {
 public:
  Changer(MembersView* next, const MemberChange& change, const std::set<NodeId>& up)
      : next_(*next), change_(change), up_(up) {
    const auto it = next_.members.find(change.node);
    if (it != next_.members.end()) member_ = &it->second;
  }

  absl::Status Apply() {
    switch (change_.kind) {
      case Kind::kAdd:
        return Add();
      case Kind::kRemove:
        return Remove();
      case Kind::kReplace:
        return Replace();
      case Kind::kPromote:
        return Promote();
      case Kind::kMove:
        return Move();
      case Kind::kJoin:
        return Join();
      case Kind::kForget:
        return Forget();
    }
    return absl::InternalError("an unknown change of members");
  }

 private:
  absl::Status NotAMember() const {
    return Refuse(absl::StrCat(Name(change_.node),
                               " is no member of the cluster: add it first "
                               "(holdfast cluster add)"));
  }
  absl::Status IsLeaving() const {
    return Refuse(absl::StrCat(Name(change_.node),
                               " is being removed: try again when it is gone "
                               "(holdfast cluster members)"));
  }

  absl::Status Add() {
    RETURN_IF_ERROR(CheckAddress(next_, change_));
    if (member_ == nullptr) {
      if (next_.members.size() >= kMembersMax) {
        return Refuse(absl::StrCat("the cluster has ", kMembersMax, " members, the most it may"));
      }
      next_.members[change_.node] = {
          .node = change_.node, .disk = {}, .address = change_.address, .state = change_.as};
      return absl::OkStatus();
    }
    if (member_->state == MemberState::kLeaving) return IsLeaving();
    if (member_->address == change_.address) return absl::OkStatus();
    return Refuse(absl::StrCat(Name(change_.node), " is a member already, at ", member_->address,
                               ": to change its address use holdfast cluster move, for a lost disk "
                               "holdfast cluster replace"));
  }

  absl::Status Remove() {
    if (member_ == nullptr || member_->state == MemberState::kLeaving) return absl::OkStatus();
    if (member_->disk == DiskId()) {
      next_.members.erase(change_.node);
      return absl::OkStatus();
    }
    if (member_->state == MemberState::kVoter) {
      RETURN_IF_ERROR(CheckMajorityWithout(next_, change_.node, up_));
    }
    member_->state = MemberState::kLeaving;
    return absl::OkStatus();
  }

  absl::Status Replace() {
    if (member_ == nullptr) return NotAMember();
    if (member_->state == MemberState::kLeaving) return IsLeaving();
    if (!change_.address.empty()) {
      RETURN_IF_ERROR(CheckAddress(next_, change_));
      member_->address = change_.address;
    }
    if (member_->disk == DiskId()) return absl::OkStatus();
    if (up_.contains(change_.node)) {
      return Refuse(absl::StrCat(Name(change_.node),
                                 " is up, with its disk: stop it first; to take "
                                 "it out for good use holdfast cluster remove"));
    }
    if (member_->state == MemberState::kVoter) {
      RETURN_IF_ERROR(CheckMajorityWithout(next_, change_.node, up_));
    }
    member_->disk = DiskId();
    return absl::OkStatus();
  }

  absl::Status Promote() {
    if (member_ == nullptr) return NotAMember();
    if (member_->state == MemberState::kLeaving) return IsLeaving();
    member_->state = MemberState::kVoter;
    return absl::OkStatus();
  }

  absl::Status Move() {
    if (member_ == nullptr) return NotAMember();
    RETURN_IF_ERROR(CheckAddress(next_, change_));
    member_->address = change_.address;
    return absl::OkStatus();
  }

  absl::Status Join() {
    if (member_ == nullptr) return NotAMember();
    if (member_->state == MemberState::kLeaving) return IsLeaving();
    RETURN_IF_ERROR(CheckAddress(next_, change_));
    if (member_->disk != DiskId() && member_->disk != change_.disk) {
      return Refuse(absl::StrCat(
          Name(change_.node), " is known by disk ",
          absl::Hex(member_->disk.value(), absl::kZeroPad16), "; this data directory is ",
          absl::Hex(change_.disk.value(), absl::kZeroPad16),
          ": start it with its old --data-dir, or, if that is lost, replace it (holdfast cluster "
          "replace ",
          change_.node.value(), ") and start it with --join again"));
    }
    member_->disk = change_.disk;
    member_->address = change_.address;
    return absl::OkStatus();
  }

  absl::Status Forget() {
    if (member_ != nullptr && member_->state == MemberState::kLeaving &&
        member_->disk == change_.disk) {
      next_.members.erase(change_.node);
    }
    return absl::OkStatus();
  }

  MembersView& next_;
  const MemberChange& change_;
  const std::set<NodeId>& up_;
  ClusterMember* member_ = nullptr;
};

}  // namespace

absl::StatusOr<MembersView> Changed(const MembersView& now, const MemberChange& change,
                                    const std::set<NodeId>& up) {
  if (change.node == NodeId()) return absl::InvalidArgumentError("the node id is 0");
  MembersView next = now;
  RETURN_IF_ERROR(Changer(&next, change, up).Apply());
  if (next.members != now.members) ++next.version;
  return next;
}

}  // namespace holdfast
