// How the nodes of a new cluster find one another.
//
//   every new node: listens, and asks all the others who they are, again and again
//     one of them is of a cluster ─▶ take it over, or refuse: it does not have this node's disk
//     all are new and want the same, and this node has the lowest id ─▶ make the cluster
//
// A node answers for its cluster from the moment at which that is durable in its data directory,
// and only one node makes clusters, so there is never more than one. A node whose disk was wiped is
// new, but the others are not: it is refused, whichever id it has.
//
// The RPC: proto/holdfast/peer/v1/peer.proto, service Bootstrap.

#ifndef HOLDFAST_SERVER_CLUSTER_BOOTSTRAP_H_
#define HOLDFAST_SERVER_CLUSTER_BOOTSTRAP_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/types.h"
#include "proto/holdfast/peer/v1/peer.grpc.pb.h"
#include "proto/holdfast/peer/v1/peer.pb.h"
#include "server/config/serve_config.h"
#include "server/data_dir/data_dir.h"

namespace holdfast {

// Answers what a node is, and takes nodes into its cluster. Thread-safety: thread-safe.
class BootstrapService final : public peer::v1::Bootstrap::CallbackService {
 public:
  // `nodes`: of a node without a cluster, what it was told of the one to be.
  // `join`: makes a node that asks a member (join.h); nullptr: of a node without a cluster.
  // It answers with the members, encoded, that node among them.
  using JoinDone = absl::AnyInvocable<void(absl::StatusOr<std::string>) &&>;
  using JoinFn =
      std::function<void(NodeId node, DiskId disk, const std::string& address, JoinDone done)>;
  BootstrapService(const Identity& identity, const std::vector<InitialNode>& nodes,
                   JoinFn join = nullptr);

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const peer::v1::DescribeRequest* request,
                                     peer::v1::DescribeResponse* response) override;
  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const peer::v1::JoinRequest* request,
                                 peer::v1::JoinResponse* response) override;

 private:
  peer::v1::DescribeResponse self_;
  const JoinFn join_;
};

struct BootstrapOptions {
  std::string listen;              // HOST:PORT
  std::vector<InitialNode> nodes;  // ascending, this node among them
  uint32_t shards = 0;             // that the cluster must have; 0: any
  // Waits for so long; true: give up.
  std::function<bool(absl::Duration)> pause;
  // Told now and then what is waited for.
  std::function<void(const std::string&)> on_waiting;
};

// Gives the data directory its cluster; serves Bootstrap meanwhile. Blocks until then.
// Errors, besides those of the data directory: CANCELLED: `pause` said so; UNAVAILABLE: it cannot
// listen; FAILED_PRECONDITION, with what to do: the others are of a cluster that does not have this
// node, or knows it with another disk; they want another cluster (nodes or number of shards); an
// address leads to another node.
// REQUIRES: !data->identity().has_cluster().
absl::Status Bootstrap(const BootstrapOptions& options, DataDir* data);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_BOOTSTRAP_H_
