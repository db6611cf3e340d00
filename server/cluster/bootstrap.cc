#include "server/cluster/bootstrap.h"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "server/answer/failure.h"
#include "server/cluster/node_channel.h"

namespace holdfast {
namespace {

using peer::v1::DescribeRequest;
using peer::v1::DescribeResponse;

constexpr absl::Duration kAskEvery = absl::Milliseconds(200);
constexpr absl::Duration kAnswerWithin = absl::Seconds(1);
constexpr absl::Duration kTellEvery = absl::Seconds(5);

std::string Name(const InitialNode& node) {
  return absl::StrCat("node ", node.node, " at ", node.address);
}

std::string Disk(DiskId disk) {
  return absl::StrCat("disk ", absl::Hex(disk.value(), absl::kZeroPad16));
}

absl::Status Refuse(const std::string& why) { return absl::FailedPreconditionError(why); }

InitialCluster FromProto(const peer::v1::InitialCluster& proto) {
  InitialCluster cluster;
  cluster.cluster_id = proto.cluster_id();
  cluster.shards = proto.shards();
  for (const peer::v1::InitialMember& member : proto.members()) {
    cluster.members.push_back({.node = NodeId(member.node_id()),
                               .disk = DiskId(member.disk_id()),
                               .address = member.address()});
  }
  return cluster;
}

// Asks the other initial nodes who they are.
class Asker {
 public:
  Asker(const BootstrapOptions& options, NodeId self) {
    for (const InitialNode& node : options.nodes) {
      if (node.node == self.value()) continue;
      others_.push_back({node, peer::v1::Bootstrap::NewStub(MakeNodeChannel(node.address))});
    }
  }

  size_t others() const { return others_.size(); }
  // Why each of those that did not answer did not.
  const std::vector<std::string>& silent() const { return silent_; }

  // The answers that came. Error: an address leads to another node.
  absl::StatusOr<std::map<NodeId, DescribeResponse>> Ask() {
    std::map<NodeId, DescribeResponse> answers;
    silent_.clear();
    for (const Other& other : others_) {
      DescribeRequest request;
      request.set_to_node_id(other.node.node);
      DescribeResponse response;
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kAnswerWithin));
      const grpc::Status status = other.stub->Describe(&context, request, &response);
      if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION) {
        return Refuse(status.error_message());
      }
      if (!status.ok()) {
        silent_.push_back(absl::StrCat(Name(other.node), " (", status.error_message(), ")"));
        continue;
      }
      answers[NodeId(other.node.node)] = std::move(response);
    }
    return answers;
  }

 private:
  struct Other {
    InitialNode node;
    std::unique_ptr<peer::v1::Bootstrap::Stub> stub;
  };
  std::vector<Other> others_;
  std::vector<std::string> silent_;
};

// Whether this node may be of `cluster`, which another node is of.
absl::Status CheckCluster(const InitialCluster& cluster, NodeId from, const Identity& self,
                          uint32_t shards) {
  const std::string other =
      absl::StrCat("node ", from.value(), " is of cluster ", cluster.cluster_id);
  const std::string node = absl::StrCat("node ", self.node.value());
  const InitialMember* const me = cluster.Find(self.node);
  if (me == nullptr) {
    return Refuse(absl::StrCat(
        other, ", which was made without ", node, ": to make ", node,
        " a member of it, add it (holdfast cluster add) and start it with --join in place of "
        "--initial-cluster; to make another cluster, give all its nodes empty data directories"));
  }
  if (me->disk != self.disk) {
    return Refuse(
        absl::StrCat(other, ", which knows ", node, " by ", Disk(me->disk),
                     "; this data directory is ", Disk(self.disk),
                     ": a node with another disk is another replica. Start it with its old "
                     "--data-dir, or, if that is lost, remove it (holdfast cluster remove ",
                     self.node.value(), ") and add it again (holdfast cluster add, then --join)"));
  }
  if (cluster.shards == 0 || cluster.cluster_id.empty()) {
    return Refuse(absl::StrCat("node ", from.value(), " does not say what its cluster is"));
  }
  if (shards != 0 && shards != cluster.shards) {
    return Refuse(absl::StrCat(other, ", which has ", cluster.shards, " shards, not ", shards,
                               ": leave --shards out"));
  }
  return absl::OkStatus();
}

// Whether a new node wants the cluster that this one wants.
absl::Status CheckNew(const DescribeResponse& other, const std::string& nodes, uint32_t shards) {
  const std::string name = absl::StrCat("node ", other.node_id());
  if (other.initial_cluster() != nodes) {
    return Refuse(absl::StrCat("this node was told --initial-cluster ", nodes, ", but ", name, " ",
                               other.initial_cluster(), ": start all of them with the same"));
  }
  if (other.shards() != shards) {
    return Refuse(absl::StrCat("this node was told to have ", shards, " shards, but ", name, " ",
                               other.shards(), ": start all of them with the same --shards"));
  }
  if (other.disk_id() == 0) return Refuse(absl::StrCat(name, " does not say which disk it has"));
  return absl::OkStatus();
}

// The cluster, if the answers say which it is to be.
absl::StatusOr<std::optional<InitialCluster>> Decide(
    const BootstrapOptions& options, const Identity& self,
    const std::map<NodeId, DescribeResponse>& answers) {
  for (const auto& [node, answer] : answers) {
    if (!answer.has_cluster()) continue;
    InitialCluster cluster = FromProto(answer.cluster());
    RETURN_IF_ERROR(CheckCluster(cluster, node, self, options.shards));
    return cluster;
  }
  const std::string nodes = InitialClusterText(options.nodes);
  for (const auto& [node, answer] : answers) {
    RETURN_IF_ERROR(CheckNew(answer, nodes, self.cluster.shards));
  }
  const bool lowest = options.nodes.front().node == self.node.value();
  if (!lowest || answers.size() + 1 < options.nodes.size()) return std::nullopt;
  std::vector<InitialMember> members;
  for (const InitialNode& node : options.nodes) {
    const auto answer = answers.find(NodeId(node.node));
    const DiskId disk = answer == answers.end() ? self.disk : DiskId(answer->second.disk_id());
    members.push_back({.node = NodeId(node.node), .disk = disk, .address = node.address});
  }
  return MakeCluster(self.cluster.shards, std::move(members));
}

// Answers everything else: a client that comes early is to come again.
class NotYetService final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Refusal();
  }

 private:
  class Refusal final : public grpc::ServerGenericBidiReactor {
   public:
    Refusal() {
      Finish(FailureOf(absl::UnavailableError("this node waits for the other nodes of its cluster"))
                 .ToGrpc());
    }
    void OnDone() override { delete this; }
  };
};

absl::StatusOr<std::unique_ptr<grpc::Server>> Listen(const std::string& address,
                                                     BootstrapService* service,
                                                     NotYetService* others) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(service);
  builder.RegisterCallbackGenericService(others);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen for gRPC on ", address,
                     ": the address is wrong, not of this machine, or in use"));
  }
  return server;
}

}  // namespace

BootstrapService::BootstrapService(const Identity& identity, const std::vector<InitialNode>& nodes,
                                   JoinFn join)
    : join_(std::move(join)) {
  self_.set_node_id(identity.node.value());
  self_.set_disk_id(identity.disk.value());
  self_.set_shards(identity.cluster.shards);
  if (!identity.has_cluster()) {
    self_.set_initial_cluster(InitialClusterText(nodes));
    return;
  }
  peer::v1::InitialCluster* const cluster = self_.mutable_cluster();
  cluster->set_cluster_id(identity.cluster.cluster_id);
  cluster->set_shards(identity.cluster.shards);
  for (const InitialMember& member : identity.cluster.members) {
    peer::v1::InitialMember* const proto = cluster->add_members();
    proto->set_node_id(member.node.value());
    proto->set_disk_id(member.disk.value());
    proto->set_address(member.address);
  }
}

grpc::ServerUnaryReactor* BootstrapService::Describe(grpc::CallbackServerContext* context,
                                                     const DescribeRequest* request,
                                                     DescribeResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (request->to_node_id() == 0) {
    reactor->Finish(FailureOf(absl::InvalidArgumentError("to_node_id is required")).ToGrpc());
  } else if (request->to_node_id() != self_.node_id()) {
    reactor->Finish(
        FailureOf(Refuse(absl::StrCat("the address of node ", request->to_node_id(),
                                      " leads to node ", self_.node_id(),
                                      ": correct --initial-cluster, or --node-id of that one")))
            .ToGrpc());
  } else {
    *response = self_;
    reactor->Finish(grpc::Status::OK);
  }
  return reactor;
}

grpc::ServerUnaryReactor* BootstrapService::Join(grpc::CallbackServerContext* context,
                                                 const peer::v1::JoinRequest* request,
                                                 peer::v1::JoinResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (request->node_id() == 0 || request->disk_id() == 0) {
    reactor->Finish(
        FailureOf(absl::InvalidArgumentError("node_id and disk_id are required, and are not 0"))
            .ToGrpc());
    return reactor;
  }
  if (join_ == nullptr) {
    reactor->Finish(
        FailureOf(absl::UnavailableError("the asked node is of no cluster yet")).ToGrpc());
    return reactor;
  }
  join_(NodeId(request->node_id()), DiskId(request->disk_id()), request->address(),
        [this, reactor, response](absl::StatusOr<std::string> members) {
          if (!members.ok()) return reactor->Finish(FailureOf(members.status()).ToGrpc());
          response->set_cluster_id(self_.cluster().cluster_id());
          response->set_shards(self_.cluster().shards());
          response->set_members(*std::move(members));
          reactor->Finish(grpc::Status::OK);
        });
  return reactor;
}

absl::Status Bootstrap(const BootstrapOptions& options, DataDir* data) {
  const Identity& self = data->identity();
  CHECK(!self.has_cluster());
  CHECK(!options.nodes.empty());
  BootstrapService service(self, options.nodes);
  NotYetService others;
  ASSIGN_OR_RETURN(const std::unique_ptr<grpc::Server> server,
                   Listen(options.listen, &service, &others));
  Asker asker(options, self.node);
  absl::Time tell_at = absl::Now();
  for (;;) {
    ASSIGN_OR_RETURN(const auto answers, asker.Ask());
    ASSIGN_OR_RETURN(std::optional<InitialCluster> cluster, Decide(options, self, answers));
    if (cluster.has_value()) {
      // Who has asked is answered first.
      server->Shutdown(absl::ToChronoTime(absl::Now() + kAnswerWithin));
      return data->SetCluster(*std::move(cluster));
    }
    if (absl::Now() >= tell_at) {
      tell_at = absl::Now() + kTellEvery;
      options.on_waiting(
          asker.silent().empty()
              ? absl::StrCat("waiting for ", Name(options.nodes.front()), " to make the cluster")
              : absl::StrCat("waiting for ", absl::StrJoin(asker.silent(), ", ")));
    }
    if (options.pause(kAskEvery)) {
      return absl::CancelledError("asked to stop before the cluster was made");
    }
  }
}

}  // namespace holdfast
