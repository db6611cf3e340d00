#include "server/cluster/node_report.h"

#include <sys/statvfs.h>

#include <utility>
#include <vector>

#include "google/protobuf/util/time_util.h"
#include "server/cluster/members_codec.h"

namespace holdfast {
namespace {

using google::protobuf::util::TimeUtil;

void FillDisk(const std::string& path, v1::NodeStatus* status) {
  struct statvfs disk = {};
  if (statvfs(path.c_str(), &disk) != 0) return;
  status->set_disk_bytes(disk.f_blocks * disk.f_frsize);
  status->set_disk_free_bytes(disk.f_bavail * disk.f_frsize);
}

void Fill(const ReplicaProgress& replica, v1::ReplicaStatus* status) {
  status->set_shard(replica.shard.value());
  status->set_leading(replica.leading);
  status->set_votes(replica.votes);
  status->set_term(replica.term.value());
  status->set_applied_index(replica.applied.value());
  status->set_commit_index(replica.commit.value());
  status->set_last_index(replica.last.value());
}

}  // namespace

NodeReporter::NodeReporter(Options options, ClusterNode* cluster, const Membership* membership)
    : options_(std::move(options)),
      cluster_(cluster),
      membership_(membership),
      started_micros_(cluster->executor()->MonotonicMicros()) {}

void NodeReporter::Tell(Done done) {
  peer::v1::NodeReport report;
  report.set_cluster_id(options_.cluster_id);
  report.set_node_id(options_.node.value());
  report.set_disk_id(options_.disk.value());
  v1::NodeStatus* const status = report.mutable_status();
  status->set_version(options_.version);
  *status->mutable_uptime() =
      TimeUtil::MicrosecondsToDuration(cluster_->executor()->MonotonicMicros() - started_micros_);
  FillDisk(options_.data_path, status);
  cluster_->AskReplicas([this, report = std::move(report),
                         done = std::move(done)](std::vector<ReplicaProgress> replicas) mutable {
    for (const ReplicaProgress& replica : replicas) {
      Fill(replica, report.mutable_status()->add_replicas());
    }
    // Any moment between the question and the answer would do.
    report.set_wall_micros(cluster_->executor()->WallMicros());
    std::move(done)(std::move(report));
  });
}

grpc::ServerUnaryReactor* NodeReporter::GetReport(grpc::CallbackServerContext* context,
                                                  const peer::v1::GetReportRequest* request,
                                                  peer::v1::NodeReport* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  Tell([this, reactor, response, known = request->members_version()](peer::v1::NodeReport report) {
    *response = std::move(report);
    const Membership::View members = membership_->Get();
    if (members->version > known) response->set_members(EncodeMembers(*members));
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace holdfast
