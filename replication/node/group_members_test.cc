// Replicas that come and go, and what groups once stood still on when they did (each found by the
// simulator; the seeds are in the commits).

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/node/testing/group_cluster.h"
#include "replication/raft/configuration.h"

namespace holdfast {
namespace {

using raft::ConfigStep;

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kHour = 3600 * kSecond;

void Change(TestReplica* leader, ConfigStep::Kind kind, ReplicaId replica) {
  raft::ConfigChange change;
  change.steps.push_back({.kind = kind, .replica = replica});
  leader->OnLoop(
      [&] { EXPECT_EQ(leader->group().ProposeConfigChange(change), raft::ProposeResult::kOk); });
}

// A state from before its receiver joined was sent again and again, and its pin prolonged.
TEST(Joining, AStateFromBeforeIsNotKeptWhenANewerOneIsThere) {
  GroupCluster::Options options{.nodes = 1};
  options.group.keep_bytes = 0;
  options.group.tail_bytes_max = 0;
  GroupCluster cluster(options);
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  ASSERT_TRUE(leader.Propose("a").ok());
  cluster.RunFor(kSecond);
  leader.OnLoop([&] { leader.machine().Flush(); });
  cluster.RunFor(kSecond);
  TestReplica& added = cluster.AddNode();
  added.Start({});
  Change(&leader, ConfigStep::Kind::kAddLearner, added.id());
  cluster.RunFor(5 * kSecond);
  EXPECT_TRUE(added.machine().state().commands.empty()) << "the flushed state does not name it";
  leader.OnLoop([&] { leader.machine().Flush(); });
  EXPECT_TRUE(cluster.Await([&] { return !added.machine().state().commands.empty(); }));
}

// Without ticks the leader that it had heard of counted as present for ever.
TEST(Joining, AReplicaWithoutAConfigurationVotesWhenItsLeaderIsGone) {
  GroupCluster cluster({.nodes = 1});
  cluster.Start();
  TestReplica& first = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  TestReplica& second = cluster.AddNode();
  second.Start({});
  Change(&first, ConfigStep::Kind::kAddVoter, second.id());
  ASSERT_TRUE(cluster.Await([&] { return second.view().leader == first.id(); }));
  ASSERT_TRUE(second.group().GetStatus()->configuration.voters.empty());
  first.Crash();
  first.Start({first.id()});
  EXPECT_TRUE(cluster.Await([&] { return first.machine().leading(); }));
}

// It asked the one that was removed for its vote again.
TEST(Leaving, WhoRemainsKnowsItAfterARestart) {
  GroupCluster cluster({.nodes = 2});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& other = cluster.FollowerOf(leader);
  cluster.RunFor(kSecond);
  Change(&leader, ConfigStep::Kind::kRemove, other.id());
  ASSERT_TRUE(
      cluster.Await([&] { return leader.group().GetStatus()->configuration.voters.size() == 1; }));
  cluster.RunFor(kSecond);
  other.Crash();
  leader.Crash();
  leader.Start({leader.id(), other.id()});
  EXPECT_TRUE(cluster.Await([&] { return leader.machine().leading(); }));
}

// Being alone it did not tick, and being a candidate it did not ask again.
TEST(Leaving, ACandidateThatBecomesTheOnlyVoterAsksAgain) {
  GroupCluster cluster({.nodes = 2});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& other = cluster.FollowerOf(leader);
  cluster.RunFor(kSecond);
  const LogIndex last = other.store().Describe(ShardId()).last;
  Change(&leader, ConfigStep::Kind::kRemove, leader.id());
  // It has the change and does not know that it is agreed on.
  ASSERT_TRUE(cluster.Await([&] { return other.store().Describe(ShardId()).last > last; }));
  cluster.Isolate(other);
  ASSERT_EQ(other.group().GetStatus()->configuration.voters.size(), 2u);
  ASSERT_TRUE(cluster.Await(
      [&] { return other.group().GetStatus()->soft_state.role == raft::Role::kPreCandidate; }));
  cluster.Heal();
  EXPECT_TRUE(cluster.Await([&] { return other.machine().leading(); }));
}

// --- A majority that is lost for good.

constexpr ShardId kShard;

raft::Configuration Alone(const TestReplica& replica) {
  raft::Configuration configuration;
  configuration.voters = {replica.id()};
  return configuration;
}

// That it votes goes into the log, and with the next flush into the state.
void KeepForGood(TestReplica* replica, GroupCluster* cluster, ReplicaId voter) {
  Change(replica, ConfigStep::Kind::kAddVoter, voter);
  cluster->RunFor(kSecond);
  replica->OnLoop([&] { replica->machine().Flush(); });
  cluster->RunFor(kSecond);
}

TEST(ForcedAlone, AReplicaLeadsWithAllThatIsInItsLogAndStaysAlone) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  ASSERT_TRUE(leader.Propose("a").ok());
  cluster.RunFor(kSecond);
  leader.OnLoop([&] { leader.machine().Flush(); });
  ASSERT_TRUE(leader.Propose("b").ok());
  cluster.RunFor(kSecond);
  cluster.Isolate(leader);
  ASSERT_TRUE(leader.Propose("never agreed on").ok());
  cluster.RunFor(kSecond);
  for (size_t i = 0; i < cluster.size(); ++i) cluster.node(i).Crash();
  leader.StartForcedAlone();
  ASSERT_TRUE(cluster.Await([&] { return leader.machine().leading(); }));
  EXPECT_EQ(leader.machine().state().commands,
            (std::vector<std::string>{"a", "b", "never agreed on"}));
  KeepForGood(&leader, &cluster, leader.id());
  leader.Crash();
  leader.Start({});
  ASSERT_TRUE(cluster.Await([&] { return leader.machine().leading(); }));
  EXPECT_EQ(leader.group().GetStatus()->configuration, Alone(leader));
  EXPECT_EQ(leader.machine().state().commands.size(), 3u);
}

TEST(ForcedAlone, ChangesOfTheMembersInItsLogArePassedOver) {
  GroupCluster cluster({.nodes = 2});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  TestReplica& added = cluster.AddNode();
  Change(&leader, ConfigStep::Kind::kAddLearner, added.id());
  cluster.RunFor(kSecond);
  ASSERT_EQ(leader.group().GetStatus()->configuration.learners.size(), 1u);
  cluster.Isolate(leader);
  Change(&leader, ConfigStep::Kind::kAddVoter, added.id());  // never agreed on
  cluster.RunFor(kSecond);
  for (size_t i = 0; i < cluster.size(); ++i) cluster.node(i).Crash();
  const LogIndex last = leader.store().Describe(kShard).last;
  for (const char* when : {"begun and killed", "repeated"}) {
    leader.StartForcedAlone();
    ASSERT_TRUE(cluster.Await([&] { return leader.machine().leading(); })) << when;
    EXPECT_EQ(leader.group().GetStatus()->configuration, Alone(leader)) << when;
    EXPECT_GT(leader.store().Describe(kShard).last, last) << when;
    leader.Crash();
  }
  cluster.Heal();
  leader.StartForcedAlone();
  cluster.AwaitLeader();
  KeepForGood(&leader, &cluster, leader.id());
  EXPECT_EQ(leader.durable().applied.configuration, raft::EncodeConfiguration(Alone(leader)));
  leader.Crash();
  leader.Start({});
  ASSERT_TRUE(cluster.Await([&] { return leader.machine().leading(); }));
  // Who joins now learns of the new configuration, not of those before.
  TestReplica& fresh = cluster.AddNode();
  fresh.Start({});
  KeepForGood(&leader, &cluster, fresh.id());
  ASSERT_TRUE(cluster.Await([&] { return fresh.group().GetStatus().has_value(); }));
  EXPECT_TRUE(cluster.Await([&] {
    return fresh.group().GetStatus()->configuration.voters ==
           std::vector<ReplicaId>{leader.id(), fresh.id()};
  }));
}

// What is passed on names a third replica as its sender, and carries the clock of who passed it on.
TEST(PassedOn, AMessageDoesNotTellTheClockOfWhoItNames) {
  GroupCluster cluster({.nodes = 3});
  cluster.Start();
  TestReplica& leader = cluster.AwaitLeader();
  cluster.RunFor(kSecond);
  for (const raft::MessageType type :
       {raft::MessageType::kReadIndex, raft::MessageType::kTransferLeader}) {
    leader.OnLoop([&] {
      for (size_t i = 0; i < cluster.size(); ++i) {
        if (cluster.node(i).id() == leader.id()) continue;
        PeerMessage message;
        message.message.type = type;
        message.message.from = cluster.node(i).id();
        message.message.to = leader.id();
        message.wall_micros = leader.executor().WallMicros() + kHour;
        leader.Receive(std::move(message), nullptr);
      }
      EXPECT_NEAR(static_cast<double>(leader.group().WallMicros()),
                  static_cast<double>(leader.executor().WallMicros()), 10'000);
    });
  }
}

}  // namespace
}  // namespace holdfast
