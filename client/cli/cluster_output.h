// How the cluster is, as text for people and JSON for programs. JSON keys are the proto's field
// names; a member also has `leads`, how many shards it leads, and `lag`, the greatest of its
// shards.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_CLIENT_CLI_CLUSTER_OUTPUT_H_
#define HOLDFAST_CLIENT_CLI_CLUSTER_OUTPUT_H_

#include <nlohmann/json.hpp>
#include <string>

#include "proto/holdfast/v1/admin.pb.h"

namespace holdfast {

nlohmann::json ClusterJson(const v1::ClusterView& view);
// A table of the members, then what is wrong with them, with the shards and with the clocks.
std::string ClusterText(const v1::ClusterView& view);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_CLUSTER_OUTPUT_H_
