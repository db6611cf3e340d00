// A cluster that changes, of real processes: it grows from one node to three with jobs in it, gets
// a node with a lost disk back, shrinks again, and refuses what would lose its majority.

#include <string>

#include "gtest/gtest.h"
#include "tests/integration/growing_cluster.h"

namespace holdfast {
namespace {

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
  EnqueueSome(1, 20);
  nodes_[0]->Kill();
  EnqueueSome(2, 20);
  EXPECT_EQ(Count(2), jobs_);
  EXPECT_TRUE(Remove(1, 0).ok()) << "it may be repeated";
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

TEST_F(MembersTest, ANodeThatWasNotAddedIsRefused) {
  Launch(1, "1", {"--join", addresses_[0]});
  const auto ended = nodes_[1]->Wait(absl::Seconds(20));
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->code, 1);
  EXPECT_NE(nodes_[1]->Log().find("add it first"), std::string::npos) << nodes_[1]->Log();
}

}  // namespace
}  // namespace holdfast
