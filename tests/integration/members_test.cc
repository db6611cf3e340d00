// A cluster that changes, of real processes: it grows from one node to three with jobs in it, gets
// a node with a lost disk back, shrinks again, refuses what would lose its majority, and tells how
// its nodes are.

#include <signal.h>

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/integration/growing_cluster.h"
#include "tests/integration/rpc_outcome.h"
#include "tests/support/process.h"

namespace holdfast {
namespace {

using testing::JudgeCall;
using testing::kClockLibrary;
using MembersTest = testing::GrowingCluster;

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
  return view.shards_size() == MembersTest::kShards && view.members_size() == 3;
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
  EXPECT_TRUE(nodes_[1]->Wait(kChangeWithin).ok());
}

TEST_F(MembersTest, ANodeThatWasNotAddedIsRefused) {
  Launch(1, "1", {"--join", addresses_[0]});
  ExpectItEnds(1, "add it first");
}

}  // namespace
}  // namespace holdfast
