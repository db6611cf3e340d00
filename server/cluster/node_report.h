// What this node says of itself, to the other nodes and to whoever asks how the cluster is.
//
// The service holdfast.peer.v1.Report (proto/holdfast/peer/v1/peer.proto). It answers whoever asks:
// a node that was removed is no peer any more, and must learn it.
//
// Thread-safety: thread-safe. Ownership: the cluster and the membership outlive it.

#ifndef HOLDFAST_SERVER_CLUSTER_NODE_REPORT_H_
#define HOLDFAST_SERVER_CLUSTER_NODE_REPORT_H_

#include <cstdint>
#include <string>

#include "absl/functional/any_invocable.h"
#include "base/types.h"
#include "proto/holdfast/peer/v1/peer.grpc.pb.h"
#include "proto/holdfast/peer/v1/peer.pb.h"
#include "server/cluster/cluster_node.h"
#include "server/cluster/membership.h"

namespace holdfast {

class NodeReporter final : public peer::v1::Report::CallbackService {
 public:
  struct Options {
    std::string cluster_id;
    NodeId node;
    DiskId disk;
    std::string version;
    std::string data_path;  // whose filesystem is told
  };
  NodeReporter(Options options, ClusterNode* cluster, const Membership* membership);

  // `done` is called once, on an engine thread, with a report without members. Asks the filesystem:
  // not on a loop.
  using Done = absl::AnyInvocable<void(peer::v1::NodeReport) &&>;
  void Tell(Done done);

  grpc::ServerUnaryReactor* GetReport(grpc::CallbackServerContext* context,
                                      const peer::v1::GetReportRequest* request,
                                      peer::v1::NodeReport* response) override;

 private:
  const Options options_;
  ClusterNode* const cluster_;
  const Membership* const membership_;
  const int64_t started_micros_;  // monotonic
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_NODE_REPORT_H_
