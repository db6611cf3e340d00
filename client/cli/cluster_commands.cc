#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/cluster_output.h"
#include "client/cli/context.h"

namespace holdfast {
namespace {

struct Arguments {
  uint64_t node = 0;
  std::string address;
  bool learner = false;
  std::vector<uint32_t> shards;
};

void Print(CliContext* context, const v1::ClusterView& view) {
  if (context->json()) return context->PrintJson(ClusterJson(view));
  std::fputs(ClusterText(view).c_str(), stdout);
}

template <class Request>
void CallAndPrint(CliContext* context,
                  grpc::Status (v1::Cluster::Stub::*method)(grpc::ClientContext*, const Request&,
                                                            v1::ClusterView*),
                  const Request& request) {
  const auto view = context->Call(method, request);
  if (view.has_value()) Print(context, *view);
}

// A subcommand about one node.
template <class Run>
CLI::App* AddOnNode(CLI::App* cluster, const char* name, const char* help,
                    const std::shared_ptr<Arguments>& arguments, Run run) {
  CLI::App* const command = cluster->add_subcommand(name, help);
  command->add_option("NODE", arguments->node, "The node's id")
      ->required()
      ->check(CLI::Range(uint64_t{1}, uint64_t{INT64_MAX}));
  command->callback([arguments, run] { run(*arguments); });
  return command;
}

void AddShow(CLI::App* cluster, CliContext* context) {
  const auto show = [context] {
    CallAndPrint(context, &v1::Cluster::Stub::GetCluster, v1::GetClusterRequest());
  };
  cluster->add_subcommand("status", "Shows how the members and the shards are")
      ->alias("members")
      ->callback(show);
}

void AddChanges(CLI::App* cluster, CliContext* context) {
  auto add = std::make_shared<Arguments>();
  CLI::App* command = AddOnNode(cluster, "add", "Invites a node; then start it with --join", add,
                                [context](const Arguments& arguments) {
                                  v1::AddMemberRequest request;
                                  request.set_node_id(arguments.node);
                                  request.set_address(arguments.address);
                                  request.set_learner(arguments.learner);
                                  CallAndPrint(context, &v1::Cluster::Stub::AddMember, request);
                                });
  command->add_option("ADDRESS", add->address, "HOST:PORT at which the others reach it")
      ->required();
  command->add_flag("--learner", add->learner, "It does not vote until it is promoted");

  AddOnNode(cluster, "remove", "Takes a node out for good", std::make_shared<Arguments>(),
            [context](const Arguments& arguments) {
              v1::RemoveMemberRequest request;
              request.set_node_id(arguments.node);
              CallAndPrint(context, &v1::Cluster::Stub::RemoveMember, request);
            });

  auto replace = std::make_shared<Arguments>();
  command = AddOnNode(cluster, "replace",
                      "Invites a node whose disk is lost to come with another; it must be down",
                      replace, [context](const Arguments& arguments) {
                        v1::ReplaceMemberRequest request;
                        request.set_node_id(arguments.node);
                        request.set_address(arguments.address);
                        CallAndPrint(context, &v1::Cluster::Stub::ReplaceMember, request);
                      });
  command->add_option("ADDRESS", replace->address, "HOST:PORT, if it is another than before");

  AddOnNode(cluster, "promote", "Lets a learner vote", std::make_shared<Arguments>(),
            [context](const Arguments& arguments) {
              v1::PromoteMemberRequest request;
              request.set_node_id(arguments.node);
              CallAndPrint(context, &v1::Cluster::Stub::PromoteMember, request);
            });

  auto move = std::make_shared<Arguments>();
  command = AddOnNode(cluster, "move", "Changes where the others reach a node", move,
                      [context](const Arguments& arguments) {
                        v1::UpdateMemberAddressRequest request;
                        request.set_node_id(arguments.node);
                        request.set_address(arguments.address);
                        CallAndPrint(context, &v1::Cluster::Stub::UpdateMemberAddress, request);
                      });
  command->add_option("ADDRESS", move->address, "HOST:PORT")->required();

  auto transfer = std::make_shared<Arguments>();
  command = AddOnNode(cluster, "transfer", "Hands the leadership of shards to a node", transfer,
                      [context](const Arguments& arguments) {
                        v1::TransferLeadershipRequest request;
                        request.set_node_id(arguments.node);
                        for (const uint32_t shard : arguments.shards) request.add_shards(shard);
                        CallAndPrint(context, &v1::Cluster::Stub::TransferLeadership, request);
                      });
  command->add_option("--shard", transfer->shards, "Only this one; may be repeated")
      ->allow_extra_args(false);
}

// It works on the data directory of a node that does not run, and parses its own arguments.
void AddRecover(CLI::App* cluster, CliContext* context) {
  const char* const help =
      "After the loss of a majority: makes a node the only one (holdfast cluster recover --help)";
  cluster->add_subcommand("recover", help)->callback([context] {
    context->Misuse(absl::InvalidArgumentError(
        "'cluster recover' comes first, its flags after it: holdfast cluster recover --help"));
  });
}

}  // namespace

void AddClusterCommands(CLI::App* app, CliContext* context) {
  CLI::App* const cluster =
      app->add_subcommand("cluster", "Shows and changes the members of the cluster");
  cluster->require_subcommand(1);
  AddShow(cluster, context);
  AddChanges(cluster, context);
  AddRecover(cluster, context);
}

}  // namespace holdfast
