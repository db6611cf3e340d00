// How a node that was added (holdfast cluster add) becomes part of a running cluster: it tells any
// member its disk, which the table of members then has, and learns who the others are.
//
// The RPC: proto/holdfast/peer/v1/peer.proto, Bootstrap.Join.

#ifndef HOLDFAST_SERVER_CLUSTER_JOIN_H_
#define HOLDFAST_SERVER_CLUSTER_JOIN_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/data_dir/data_dir.h"

namespace holdfast {

struct JoinOptions {
  std::string through;  // HOST:PORT of a member
  std::string address;  // HOST:PORT at which the others reach this node
  uint32_t shards = 0;  // that the cluster must have; 0: any
  // Waits for so long; true: give up.
  std::function<bool(absl::Duration)> pause;
  // Told now and then what is waited for.
  std::function<void(const std::string&)> on_waiting;
};

// Gives the data directory its cluster and the cluster's members. Blocks until then. Errors,
// besides those of the data directory: CANCELLED: `pause` said so; FAILED_PRECONDITION,
// INVALID_ARGUMENT: the cluster refused, with what to do. REQUIRES:
// !data->identity().has_cluster().
absl::Status Join(const JoinOptions& options, DataDir* data);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_JOIN_H_
