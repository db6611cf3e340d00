// The members of a cluster as a data directory knows them.

#ifndef HOLDFAST_SERVER_CLUSTER_KNOWN_MEMBERS_H_
#define HOLDFAST_SERVER_CLUSTER_KNOWN_MEMBERS_H_

#include "absl/status/statusor.h"
#include "server/cluster/membership.h"
#include "server/data_dir/data_dir.h"

namespace holdfast {

// As they were known last, or as the cluster was made. Errors: those of DataDir::ReadMembers and
// DecodeMembers. REQUIRES: data.identity().has_cluster().
absl::StatusOr<MembersView> KnownMembers(const DataDir& data);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_KNOWN_MEMBERS_H_
