// A cluster of real processes that begins as one node and is changed by the tests that derive from
// it: nodes are 0, 1 and 2, with the ids 1, 2 and 3.

#ifndef HOLDFAST_TESTS_INTEGRATION_GROWING_CLUSTER_H_
#define HOLDFAST_TESTS_INTEGRATION_GROWING_CLUSTER_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/testing/free_address.h"
#include "gtest/gtest.h"
#include "proto/holdfast/v1/admin.grpc.pb.h"
#include "tests/integration/connection.h"
#include "tests/support/process.h"

namespace holdfast::testing {

class GrowingCluster : public ::testing::Test {
 public:
  static constexpr int kShards = 4;

 protected:
  static constexpr absl::Duration kChangeWithin = absl::Seconds(60);
  static constexpr int kQueues = 8;

  GrowingCluster() {
    for (int i = 0; i < 3; ++i) addresses_.push_back(FreeAddress());
    nodes_.resize(3);
    connections_.resize(3);
    Launch(0, "0", {});
    Connect(0);
  }

  // Node i + 1. `flags`, `environment`: further ones.
  void Launch(int node, const std::string& folder, const std::vector<std::string>& flags,
              const std::map<std::string, std::string>& environment = {}) {
    std::vector<std::string> command = {BuiltFile("server/holdfast"),
                                        "serve",
                                        "--data-dir",
                                        absl::StrCat(directory_.path(), "/", folder),
                                        "--node-id",
                                        absl::StrCat(node + 1),
                                        "--listen",
                                        addresses_[node],
                                        "--listen-beanstalk",
                                        "none"};
    command.insert(command.end(), flags.begin(), flags.end());
    if (node == 0) command.insert(command.end(), {"--shards", absl::StrCat(kShards)});
    auto process = Process::Start({.command = command,
                                   .environment = environment,
                                   .log_path = absl::StrCat(directory_.path(), "/log-", folder)});
    ASSERT_TRUE(process.ok()) << process.status();
    nodes_[node] = *std::move(process);
  }
  void Connect(int node) {
    auto connection = Connection::Open(addresses_[node]);
    ASSERT_TRUE(connection.ok()) << connection.status() << nodes_[node]->Log();
    connections_[node] = *std::move(connection);
  }

  template <class Request>
  grpc::Status Call(int node,
                    grpc::Status (v1::Cluster::Stub::*method)(grpc::ClientContext*, const Request&,
                                                              v1::ClusterView*),
                    const Request& request, v1::ClusterView* view) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    v1::Cluster::Stub stub(
        grpc::CreateCustomChannel(addresses_[node], grpc::InsecureChannelCredentials(), arguments));
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(15)));
    return (stub.*method)(&context, request, view);
  }
  v1::ClusterView View(int node) {
    v1::ClusterView view;
    Call(node, &v1::Cluster::Stub::GetCluster, v1::GetClusterRequest(), &view);
    return view;
  }
  grpc::Status Add(int through, int node) {
    v1::AddMemberRequest request;
    request.set_node_id(node + 1);
    request.set_address(addresses_[node]);
    v1::ClusterView view;
    return Call(through, &v1::Cluster::Stub::AddMember, request, &view);
  }
  grpc::Status Remove(int through, int node) {
    v1::RemoveMemberRequest request;
    request.set_node_id(node + 1);
    v1::ClusterView view;
    return Call(through, &v1::Cluster::Stub::RemoveMember, request, &view);
  }
  grpc::Status Replace(int through, int node) {
    v1::ReplaceMemberRequest request;
    request.set_node_id(node + 1);
    v1::ClusterView view;
    return Call(through, &v1::Cluster::Stub::ReplaceMember, request, &view);
  }
  void Join(int node, const std::string& folder,
            const std::map<std::string, std::string>& environment = {}) {
    Launch(node, folder, {"--join", addresses_[0]}, environment);
    Connect(node);
  }

  void Await(const std::string& what, const std::function<bool()>& holds) {
    const absl::Time deadline = absl::Now() + kChangeWithin;
    while (!holds()) {
      if (absl::Now() > deadline) {
        for (const auto& node : nodes_) {
          if (node != nullptr) ADD_FAILURE() << what << "\n" << node->Log();
        }
        FAIL() << "not within a minute: " << what << "\n" << View(0).DebugString();
      }
      // What is asked tells nobody of its changes.
      absl::Notification().WaitForNotificationWithTimeout(absl::Milliseconds(50));
    }
  }
  // A voter leads only what it votes in, so leaders on each node mean that all have been promoted.
  void AwaitLeadersOn(const std::vector<int>& nodes) {
    Await("leaders are spread", [&] {
      const v1::ClusterView view = View(0);
      for (const int node : nodes) {
        bool leads = false;
        for (const uint64_t leader : view.leaders()) leads |= leader == uint64_t(node + 1);
        if (!leads) return false;
      }
      return view.leaders_size() == kShards;
    });
  }

  void EnqueueSome(int node, int count) {
    for (int i = 0; i < count; ++i) {
      v1::EnqueueRequest request;
      v1::EnqueueResponse response;
      request.set_queue(absl::StrCat("queue-", ++jobs_ % kQueues));
      request.add_jobs()->set_body("job");
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
      const grpc::Status status = connections_[node]->stub()->Enqueue(&context, request, &response);
      ASSERT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
    }
  }
  int Count(int node) {
    v1::ListQueuesResponse response;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    const grpc::Status status = connections_[node]->stub()->ListQueues(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    int count = 0;
    for (const v1::Queue& queue : response.queues()) {
      count += static_cast<int>(queue.counts().ready());
    }
    return count;
  }
  // Until all of them have applied the same entries, with the same result.
  void AwaitEqualCopies(const std::vector<int>& nodes) {
    Await("all copies are equal", [&] {
      v1::ListReplicasResponse first;
      for (const int node : nodes) {
        v1::ListReplicasResponse response;
        grpc::ClientContext context;
        context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
        if (!connections_[node]->admin()->ListReplicas(&context, {}, &response).ok()) return false;
        for (v1::Replica& replica : *response.mutable_replicas()) replica.clear_leading();
        if (node == nodes.front()) first = response;
        if (response.SerializeAsString() != first.SerializeAsString()) return false;
      }
      return first.replicas_size() == kShards;
    });
  }
  void GrowToThree() {
    EnqueueSome(0, 40);
    for (const int node : {1, 2}) {
      ASSERT_TRUE(Add(0, node).ok());
      ASSERT_TRUE(Add(0, node).ok()) << "it may be repeated";
      Join(node, absl::StrCat(node));
    }
    AwaitLeadersOn({0, 1, 2});
  }

  void ExpectItEnds(int node, const std::string& says) {
    const auto ended = nodes_[node]->Wait(kChangeWithin);
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->code, 1) << ended->ToString();
    EXPECT_NE(nodes_[node]->Log().find(says), std::string::npos) << nodes_[node]->Log();
  }

  TemporaryDirectory directory_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Process>> nodes_;
  std::vector<std::unique_ptr<Connection>> connections_;
  int jobs_ = 0;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_GROWING_CLUSTER_H_
