// A cluster that changes, of real processes: it grows from one node to three with jobs in it, gets
// a node with a lost disk back, shrinks again, refuses what would lose its majority, and tells how
// its nodes are.

#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "proto/holdfast/v1/admin.grpc.pb.h"
#include "tests/integration/connection.h"
#include "tests/integration/rpc_outcome.h"
#include "tests/support/process.h"

namespace holdfast {
namespace {

using testing::BuiltFile;
using testing::Connection;
using testing::FreeAddress;
using testing::JudgeCall;
using testing::kClockLibrary;
using testing::Process;
using testing::TemporaryDirectory;

constexpr absl::Duration kWithin = absl::Seconds(60);
constexpr int kQueues = 8;
constexpr int kShards = 4;

class MembersTest : public ::testing::Test {
 protected:
  MembersTest() {
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
                                        addresses_[node]};
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
    const absl::Time deadline = absl::Now() + kWithin;
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

  void ExpectItEnds(int node, const std::string& says) {
    const auto ended = nodes_[node]->Wait(kWithin);
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->code, 1) << ended->ToString();
    EXPECT_NE(nodes_[node]->Log().find(says), std::string::npos) << nodes_[node]->Log();
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
  void GrowToThree() {
    EnqueueSome(0, 40);
    for (const int node : {1, 2}) {
      ASSERT_TRUE(Add(0, node).ok());
      ASSERT_TRUE(Add(0, node).ok()) << "it may be repeated";
      Join(node, absl::StrCat(node));
    }
    AwaitLeadersOn({0, 1, 2});
  }

  TemporaryDirectory directory_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Process>> nodes_;
  std::vector<std::unique_ptr<Connection>> connections_;
  int jobs_ = 0;
};

TEST_F(MembersTest, OneNodeGrowsToThreeThatServeWithoutTheFirst) {
  GrowToThree();
  EnqueueSome(2, 40);
  nodes_[0]->Kill();
  EnqueueSome(1, 40);
  EXPECT_EQ(Count(1), jobs_);
  EXPECT_EQ(Count(2), jobs_);
}

TEST_F(MembersTest, AMemberComesBackAfterARestartWithoutFlags) {
  GrowToThree();
  nodes_[2]->Kill();
  EnqueueSome(0, 20);
  Launch(2, "2", {});
  Connect(2);
  AwaitLeadersOn({2});
  EXPECT_EQ(Count(2), jobs_);
}

TEST_F(MembersTest, ANodeThatIsRemovedHandsOverAndIsForgotten) {
  GrowToThree();
  ASSERT_TRUE(Remove(1, 0).ok()) << "through another one";
  Await("node 1 is forgotten", [&] { return View(1).members_size() == 2; });
  ExpectItEnds(0, "node 1 was removed from the cluster");
  EnqueueSome(1, 20);
  EnqueueSome(2, 20);
  EXPECT_EQ(Count(2), jobs_);
  EXPECT_TRUE(Remove(1, 0).ok()) << "it may be repeated";
  Launch(0, "0", {});
  ExpectItEnds(0, "holdfast cluster add 1");
}

TEST_F(MembersTest, ANodeThatWasRemovedWhileItWasAwayLearnsItFromTheOthers) {
  GrowToThree();
  nodes_[2]->Kill();
  Await("its loss is noticed", [&] { return !View(0).members(2).connected(); });
  ASSERT_TRUE(Remove(0, 2).ok());
  Await("node 3 is forgotten", [&] { return View(0).members_size() == 2; });

  // Alone it cannot know, and waits.
  nodes_[0]->Signal(SIGSTOP);
  nodes_[1]->Signal(SIGSTOP);
  Launch(2, "2", {});
  Connect(2);
  Await("it has asked both, in vain", [&] {
    const v1::ClusterView view = View(2);
    return view.members_size() == 3 && !view.members(0).has_status() &&
           !view.members(1).has_status() && view.members(2).has_status();
  });
  EXPECT_TRUE(nodes_[2]->Running()) << nodes_[2]->Log();
  nodes_[0]->Signal(SIGCONT);
  ExpectItEnds(2, "node 3 was removed from the cluster");
  nodes_[1]->Signal(SIGCONT);
}

TEST_F(MembersTest, ALostDiskIsReplaced) {
  GrowToThree();
  EXPECT_EQ(Replace(0, 2).error_code(), grpc::StatusCode::FAILED_PRECONDITION) << "it is up";
  nodes_[2]->Kill();
  EnqueueSome(0, 20);
  Await("the replacement is taken", [&] { return Replace(0, 2).ok(); });
  Join(2, "2-again");
  AwaitLeadersOn({2});
  nodes_[1]->Kill();
  EnqueueSome(0, 20);
  EXPECT_EQ(Count(2), jobs_);
}

TEST_F(MembersTest, WhatWouldLoseTheMajorityIsRefusedAndSaysWhy) {
  const grpc::Status alone = Remove(0, 0);
  EXPECT_EQ(alone.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(alone.error_message().find("only voter"), std::string::npos) << alone.error_message();
  EXPECT_EQ(JudgeCall(alone).reason, "CLUSTER_CHANGE_REFUSED");
  GrowToThree();
  nodes_[2]->Kill();
  Await("its loss is noticed", [&] { return !View(0).members(2).connected(); });
  const grpc::Status status = Remove(0, 1);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find("no majority"), std::string::npos)
      << status.error_message();
  EXPECT_TRUE(Remove(0, 2).ok()) << "the one that is dead";
  Await("node 3 is forgotten", [&] { return View(0).members_size() == 2; });
}

bool IsHealthy(const v1::ClusterView& view) {
  for (const v1::ShardStatus& shard : view.shards()) {
    if (shard.health() != v1::SHARD_HEALTH_OK) return false;
  }
  return view.shards_size() == kShards && view.members_size() == 3;
}

TEST_F(MembersTest, AnyNodeTellsHowAllOfThemAre) {
  GrowToThree();
  Await("every member keeps up", [&] { return IsHealthy(View(1)); });
  const v1::ClusterView view = View(1);
  EXPECT_EQ(view.warnings_size(), 0) << view.DebugString();
  for (const v1::Member& member : view.members()) {
    const v1::NodeStatus& status = member.status();
    EXPECT_TRUE(member.connected() && member.problem().empty()) << member.DebugString();
    EXPECT_EQ(member.has_since(), member.node_id() != view.node_id());
    EXPECT_FALSE(status.version().empty());
    EXPECT_GT(status.uptime().seconds() + status.uptime().nanos(), 0);
    EXPECT_GT(status.disk_free_bytes(), 0u);
    EXPECT_GE(status.disk_bytes(), status.disk_free_bytes());
    EXPECT_LT(member.clock_offset().seconds(), 1);
    ASSERT_EQ(status.replicas_size(), kShards);
    for (int shard = 0; shard < kShards; ++shard) {
      const v1::ReplicaStatus& replica = status.replicas(shard);
      EXPECT_TRUE(replica.votes());
      EXPECT_EQ(replica.leading(), view.shards(shard).leader() == member.node_id());
      EXPECT_GT(replica.applied_index(), 0u);
      EXPECT_GE(replica.last_index(), replica.applied_index());
    }
  }

  nodes_[2]->Signal(SIGSTOP);
  Await("one that stands still does not answer", [&] { return !View(0).members(2).has_status(); });
  const v1::ClusterView still = View(0);
  EXPECT_FALSE(still.members(2).problem().empty());
  EXPECT_FALSE(IsHealthy(still));
  nodes_[2]->Kill();
  Await("its loss is noticed", [&] { return !View(0).members(2).connected(); });
  EXPECT_FALSE(View(0).members(2).problem().empty());
  EXPECT_TRUE(View(0).members(2).has_since());
}

TEST_F(MembersTest, AWrongClockIsWarnedOf) {
  ASSERT_TRUE(Add(0, 1).ok());
  Join(1, "1",
       {{"LD_PRELOAD", kClockLibrary}, {"FAKETIME", "+2s"}, {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}});
  Await("the two are asked", [&] {
    const v1::ClusterView view = View(0);
    return view.members_size() == 2 && view.members(1).has_status();
  });
  const v1::ClusterView view = View(0);
  const auto micros = [](const google::protobuf::Duration& duration) {
    return duration.seconds() * 1'000'000 + duration.nanos() / 1000;
  };
  const v1::Member& wrong = view.members(1);
  EXPECT_LE(std::abs(micros(wrong.clock_offset()) - 2'000'000),
            micros(wrong.clock_uncertainty()) + 1000)
      << wrong.DebugString();
  ASSERT_EQ(view.warnings_size(), 1);
  EXPECT_NE(view.warnings(0).find("ahead of that of node 1"), std::string::npos)
      << view.warnings(0);
  EXPECT_EQ(View(1).warnings_size(), 1);
  Await("both say so in their logs", [&] {
    return nodes_[0]->Log().find("the clock of node 2 is ") != std::string::npos &&
           nodes_[1]->Log().find("the clock of node 1 is ") != std::string::npos;
  });
  // The library leaves files in memory if it is killed.
  nodes_[1]->Signal(SIGTERM);
  EXPECT_TRUE(nodes_[1]->Wait(kWithin).ok());
}

TEST_F(MembersTest, ANodeThatWasNotAddedIsRefused) {
  Launch(1, "1", {"--join", addresses_[0]});
  ExpectItEnds(1, "add it first");
}

}  // namespace
}  // namespace holdfast
