// The members of a cluster as text: what the cluster's record in shard 0 holds, and the file
// members.json of a data directory. Layout: FORMAT.md, "Members".
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CLUSTER_MEMBERS_CODEC_H_
#define HOLDFAST_SERVER_CLUSTER_MEMBERS_CODEC_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/cluster/membership.h"

namespace holdfast {

// Equal views give equal bytes. REQUIRES: at most kMembersMax members.
std::string EncodeMembers(const MembersView& view);
// Total and strict. DATA_LOSS: not what EncodeMembers writes; UNIMPLEMENTED: of a later format.
absl::StatusOr<MembersView> DecodeMembers(std::string_view text);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_MEMBERS_CODEC_H_
