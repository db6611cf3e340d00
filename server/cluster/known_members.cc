#include "server/cluster/known_members.h"

#include <string>
#include <vector>

#include "base/status_macros.h"
#include "server/cluster/members_codec.h"

namespace holdfast {

absl::StatusOr<MembersView> KnownMembers(const DataDir& data) {
  ASSIGN_OR_RETURN(const std::string known, data.ReadMembers());
  if (!known.empty()) return DecodeMembers(known);
  std::vector<ClusterMember> members;
  for (const InitialMember& member : data.identity().cluster.members) {
    members.push_back({.node = member.node, .disk = member.disk, .address = member.address});
  }
  return ViewOf(members);
}

}  // namespace holdfast
