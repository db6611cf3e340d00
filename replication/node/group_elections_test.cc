// How leadership goes from one to the next: by elections on broken connections and silence, and by
// handing over.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "replication/node/testing/group_cluster.h"

namespace holdfast {
namespace {

constexpr int64_t kSecond = 1'000'000;

using Strings = std::vector<std::string>;

// A process that ends: its connections break. `late`: how much later the second one notices.
void EndLeader(GroupCluster& cluster, TestReplica& leader, int64_t late) {
  const ReplicaId gone = leader.id();
  leader.Crash();
  for (size_t i = 0; i < cluster.size(); ++i) {
    TestReplica& other = cluster.node(i);
    if (!other.running()) continue;
    other.OnLoop([&] { other.group().ReportBroken(gone); });
    EXPECT_EQ(other.view().leader, ReplicaId());
    cluster.RunFor(late);
    late = 0;
  }
}

TEST(BrokenConnection, AnotherLeadsSoonerThanAfterAnyTimeout) {
  for (const int64_t late : {int64_t{0}, int64_t{20'000}, int64_t{80'000}}) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
      GroupCluster::Options options = {.nodes = 3};
      options.group.seed = seed;
      GroupCluster cluster(options);
      cluster.Start();
      TestReplica& first = cluster.AwaitLeader();
      ASSERT_TRUE(first.Propose("a").ok());
      cluster.RunFor(kSecond);
      const int64_t began = cluster.events().now_micros();
      EndLeader(cluster, first, late);
      TestReplica& second = cluster.AwaitLeader();
      EXPECT_LT(cluster.events().now_micros() - began, kSecond)
          << "seed " << seed << ", " << late << " us late";
      ASSERT_TRUE(second.Propose("b").ok());
      cluster.RunFor(kSecond);
      EXPECT_EQ(second.machine().state().commands, (Strings{"a", "b"}));
    }
  }
}

// A machine that ends, or a cable: nobody is told.
TEST(SilentLeader, IsReplacedSoonAfterTheTimeout) {
  int64_t longest = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    GroupCluster::Options options = {.nodes = 3};
    options.group.seed = seed;
    GroupCluster cluster(options);
    cluster.Start();
    TestReplica& first = cluster.AwaitLeader();
    cluster.RunFor(kSecond);
    const int64_t began = cluster.events().now_micros();
    first.Crash();
    TestReplica& second = cluster.AwaitLeader();
    longest = std::max(longest, cluster.events().now_micros() - began);
    EXPECT_TRUE(second.Propose("b").ok());
  }
  EXPECT_LT(longest, kSecond * 3 / 2);
  EXPECT_GT(longest, kSecond * 9 / 10) << "before the timeout nobody may vote for another";
}

TEST(BrokenConnection, ALeaderThatLivesStaysIt) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  const GroupView before = leader.view();
  TestReplica& follower = cluster.FollowerOf(leader);
  follower.OnLoop([&] { follower.group().ReportBroken(leader.id()); });
  EXPECT_EQ(follower.view().leader, ReplicaId());
  cluster.RunFor(3 * kSecond);
  EXPECT_EQ(leader.view(), before);
  EXPECT_EQ(follower.view().leader, leader.id());
  EXPECT_EQ(follower.view().term, before.term);
}

TEST(Transfer, AnHeirThatDoesNotAnswerIsNotWaitedForLong) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  TestReplica& heir = cluster.FollowerOf(leader);
  cluster.Isolate(heir);
  for (int i = 0; i < 2; ++i) {
    leader.OnLoop([&] { leader.group().TransferLeadership(heir.id()); });
    EXPECT_TRUE(absl::IsUnavailable(leader.Propose("too early")));
    cluster.RunFor(cluster.options().group.transfer_micros - 1);
    EXPECT_TRUE(absl::IsUnavailable(leader.Propose("too early")));
    cluster.RunFor(1);
    EXPECT_TRUE(leader.Propose("a").ok());
    cluster.RunFor(kSecond / 20);
  }
  EXPECT_EQ(leader.machine().state().commands, (Strings{"a", "a"}));
}

TEST(Transfer, ABrokenConnectionToTheHeirEndsIt) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  TestReplica& heir = cluster.FollowerOf(leader);
  cluster.Isolate(heir);
  leader.OnLoop([&] {
    leader.group().TransferLeadership(heir.id());
    leader.group().ReportBroken(heir.id());
  });
  EXPECT_TRUE(leader.Propose("a").ok());
}

// Who was asked to lead ends when it has the votes of the others, who then know of nobody.
TEST(Transfer, AnHeirThatEndsAsACandidateIsReplacedSoonerThanAfterAnyTimeout) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    GroupCluster::Options options = {.nodes = 3};
    options.group.seed = seed;
    GroupCluster cluster(options);
    cluster.Start();
    TestReplica& leader = cluster.AwaitLeader();
    cluster.RunFor(kSecond);
    TestReplica& heir = cluster.FollowerOf(leader);
    leader.OnLoop([&] { leader.group().TransferLeadership(heir.id()); });
    cluster.RunFor(options.message_micros + 1);
    heir.Crash();
    cluster.RunFor(options.message_micros + 1);
    EXPECT_EQ(leader.view().leader, ReplicaId());
    const int64_t began = cluster.events().now_micros();
    TestReplica& next = cluster.AwaitLeader();
    EXPECT_LT(cluster.events().now_micros() - began, kSecond) << "seed " << seed;
    EXPECT_TRUE(next.Propose("a").ok());
  }
}

TEST(BrokenConnection, ToAFollowerIsNoElection) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  const GroupView before = leader.view();
  TestReplica& follower = cluster.FollowerOf(leader);
  leader.OnLoop([&] { leader.group().ReportBroken(follower.id()); });
  ASSERT_TRUE(leader.Propose("a").ok());
  cluster.RunFor(3 * kSecond);
  EXPECT_EQ(leader.view(), before);
  EXPECT_EQ(follower.machine().state().commands, Strings{"a"}) << "probed, and sent again";
}

}  // namespace
}  // namespace holdfast
