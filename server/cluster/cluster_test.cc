// Whole nodes as a cluster in one process: they elect, replicate, bring up those that were away,
// and spread and hand over leadership.

#include <atomic>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "server/cluster/membership.h"
#include "server/cluster/testing/test_cluster.h"

namespace holdfast {
namespace {

constexpr NodeId kNodes[] = {NodeId(1), NodeId(2), NodeId(3)};

std::string Queue(int i) { return absl::StrCat("queue-", i); }

// All nodes have the same state at the same position of each shard.
void ExpectEqualStates(TestCluster& cluster, uint32_t shards) {
  ASSERT_TRUE(cluster.AwaitCaughtUp());
  for (uint32_t i = 0; i < shards; ++i) {
    EXPECT_TRUE(cluster.Await([&] {
      const TestCluster::Seen first = cluster.See(kNodes[0], ShardId(i));
      for (const NodeId node : kNodes) {
        const TestCluster::Seen seen = cluster.See(node, ShardId(i));
        if (seen.applied != first.applied || seen.hash != first.hash) return false;
      }
      return true;
    })) << "shard "
        << i;
  }
}

void EnqueueSome(TestCluster& cluster, int jobs, size_t bytes = 10) {
  for (int i = 0; i < jobs; ++i) {
    ASSERT_TRUE(cluster.Enqueue(Queue(i % 8), std::string(bytes, 'x')).ok());
  }
}

int64_t Jobs(TestCluster& cluster) {
  int64_t jobs = 0;
  for (int i = 0; i < 8; ++i) jobs += cluster.JobsIn(Queue(i));
  return jobs;
}

TEST(Cluster, ThreeNodesElectAndReplicate) {
  TestCluster cluster({.shards = 4});
  cluster.StartAll();
  ASSERT_TRUE(cluster.AwaitLeaders());
  EnqueueSome(cluster, 40);
  EXPECT_EQ(Jobs(cluster), 40);
  ExpectEqualStates(cluster, 4);
}

TEST(Cluster, TwoOfThreeServeAndTheThirdCatchesUpByLog) {
  TestCluster cluster({.shards = 4});
  cluster.StartAll();
  ASSERT_TRUE(cluster.AwaitLeaders());
  EnqueueSome(cluster, 20);
  cluster.Crash(NodeId(3));
  EnqueueSome(cluster, 40);
  cluster.Start(NodeId(3));
  ExpectEqualStates(cluster, 4);
  EXPECT_EQ(Jobs(cluster), 60);
}

TEST(Cluster, ANodeThatHasCaughtUpHasAppliedWhatWasCommittedBefore) {
  TestCluster cluster({.shards = 4});
  cluster.StartAll();
  ASSERT_TRUE(cluster.AwaitLeaders());
  cluster.Crash(NodeId(3));
  EnqueueSome(cluster, 200, 10'000);
  std::vector<LogIndex> committed;
  for (uint32_t i = 0; i < 4; ++i) {
    committed.push_back(cluster.AppliedOf(cluster.LeaderOf(ShardId(i)), ShardId(i)));
  }
  cluster.Start(NodeId(3));
  bool caught_up = false;
  ASSERT_TRUE(cluster.Await([&] {  // which cannot be asked before it hears of a leader
    absl::Notification answered;
    cluster.engine(NodeId(3)).CatchUp([&](const absl::Status& status) {
      caught_up = status.ok();
      answered.Notify();
    });
    answered.WaitForNotification();
    return caught_up;
  }));
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_GE(cluster.AppliedOf(NodeId(3), ShardId(i)), committed[i]) << "shard " << i;
  }
}

TEST(Cluster, AllCrashAndNothingAcknowledgedIsLost) {
  TestCluster cluster({.shards = 4});
  cluster.StartAll();
  EnqueueSome(cluster, 40);
  for (const NodeId node : kNodes) cluster.Crash(node);
  cluster.StartAll();
  EXPECT_EQ(Jobs(cluster), 40);
  ExpectEqualStates(cluster, 4);
}

// It is down for so long that the others have cut their logs.
TEST(Cluster, FollowerThatWasAwayForLongIsGivenTheState) {
  TestCluster::Options options = {.shards = 1, .log_segment_bytes = 1 << 20};
  options.engine.log_kept_bytes = 2 << 20;
  options.engine.flush.unflushed_bytes = 1 << 20;
  options.cluster.loop.send.chunk_bytes = 64 << 10;
  TestCluster cluster(options);
  cluster.StartAll();
  EnqueueSome(cluster, 8);
  ASSERT_TRUE(cluster.AwaitCaughtUp());
  const LogIndex had = cluster.AppliedOf(NodeId(3), ShardId(0));
  cluster.Crash(NodeId(3));
  int jobs = 8;
  const auto cut = [&] {
    return cluster.LogFirst(NodeId(1), ShardId(0)) > had &&
           cluster.LogFirst(NodeId(2), ShardId(0)) > had;
  };
  for (; !cut() && jobs < 2000; jobs += 8) EnqueueSome(cluster, 8, 64 << 10);
  ASSERT_TRUE(cut());
  cluster.Start(NodeId(3));
  ExpectEqualStates(cluster, 1);
  EXPECT_GT(cluster.LogFirst(NodeId(3), ShardId(0)), had);
  EXPECT_EQ(Jobs(cluster), jobs);
  // It takes part again: with it one of the others can be missed.
  cluster.Crash(NodeId(1));
  EnqueueSome(cluster, 8);
  EXPECT_EQ(Jobs(cluster), jobs + 8);
}

TEST(Cluster, LeadersAreSpreadAlsoWhenANodeGoesAndComesBack) {
  TestCluster::Options options = {.shards = 6};
  options.cluster.loop.balance_every_micros = 50'000;
  options.cluster.loop.balance_after_micros = 300'000;
  TestCluster cluster(options);
  const auto each_leads = [&](uint64_t shards) {
    return cluster.Await([&] {
      for (const NodeId node : kNodes) {
        if (cluster.running(node) && cluster.ShardsLedBy(node) != shards) return false;
      }
      return true;
    });
  };
  cluster.StartAll();
  EXPECT_TRUE(each_leads(2));
  cluster.Crash(NodeId(2));
  EXPECT_TRUE(each_leads(3));
  cluster.Start(NodeId(2));
  EXPECT_TRUE(each_leads(2));
}

TEST(Cluster, NodeThatIsToStopHandsOverWhatItLeads) {
  TestCluster cluster({.shards = 8});
  cluster.StartAll();
  ASSERT_TRUE(cluster.AwaitLeaders());
  NodeId most = kNodes[0];
  for (const NodeId node : kNodes) {
    if (cluster.ShardsLedBy(node) > cluster.ShardsLedBy(most)) most = node;
  }
  ASSERT_GT(cluster.ShardsLedBy(most), 2u);
  EXPECT_TRUE(cluster.cluster(most).LeaveLeadership(absl::Now() + absl::Seconds(20)));
  ASSERT_TRUE(cluster.AwaitLeaders());
  EXPECT_EQ(cluster.ShardsLedBy(most), 0u);
}

// --- Holders of nodes that are lost.

ReserveRequest As(const Holder& holder, absl::Duration wait) {
  ReserveRequest request;
  request.queues = {Queue(0)};
  request.wait = wait;
  request.holder = holder;
  request.lease = LogDuration::Seconds(3600);
  return request;
}

uint64_t ReadyAt(TestCluster& cluster, NodeId node) {
  const QueryResult result = cluster.AskAt(node, QueueQuery{Queue(0)});
  return result.queues.empty() ? 0 : result.queues[0].counts[static_cast<int>(JobState::kReady)];
}

TestCluster::Options JudgingSoon(uint32_t nodes) {
  TestCluster::Options options = {.nodes = nodes, .shards = 2};
  options.cluster.loop.balance_every_micros = 50'000;
  options.cluster.loop.lost_after_micros = 500'000;
  return options;
}

// Starts all nodes; then a holder of `node` has the only job.
void HoldTheOnlyJob(TestCluster& cluster, NodeId node) {
  cluster.StartAll();
  ASSERT_TRUE(cluster.AwaitLeaders());
  ASSERT_TRUE(cluster.Enqueue(Queue(0), "x").ok());
  const Holder holder = cluster.engine(node).router()->OpenHolder(
      LeasesAtClose::kRelease, [](const Machine::EndedLease&) {});
  const ExecuteResult held = cluster.ReserveAt(node, As(holder, absl::Seconds(20)));
  ASSERT_EQ(held.outcome.grants.size(), 1u) << held.status;
  EXPECT_EQ(ReadyAt(cluster, NodeId(1)), 0u);
}

TEST(Cluster, WhatALostNodeHeldIsGivenToOthers) {
  TestCluster cluster(JudgingSoon(3));
  ASSERT_NO_FATAL_FAILURE(HoldTheOnlyJob(cluster, NodeId(3)));
  cluster.Crash(NodeId(3));
  EXPECT_TRUE(cluster.Await([&] { return ReadyAt(cluster, NodeId(1)) == 1; }));
}

// With nobody left to hand over to, it judged no node any more.
TEST(Cluster, WhatARemovedNodeHeldIsGivenToOthersByAMemberThatIsAlone) {
  TestCluster cluster(JudgingSoon(2));
  ASSERT_NO_FATAL_FAILURE(HoldTheOnlyJob(cluster, NodeId(2)));
  MembersView members = *cluster.membership(NodeId(1)).Get();
  ++members.version;
  members.members.at(NodeId(2)).state = MemberState::kLeaving;
  for (const NodeId node : {NodeId(1), NodeId(2)}) cluster.membership(node).Update(members);
  ASSERT_TRUE(cluster.Await([&] {
    return cluster.VotersOf(NodeId(1), ShardId(0)) == 1 &&
           cluster.VotersOf(NodeId(1), ShardId(1)) == 1;
  }));
  ++members.version;
  members.members.erase(NodeId(2));
  cluster.membership(NodeId(1)).Update(members);
  cluster.Crash(NodeId(2));
  EXPECT_TRUE(cluster.Await([&] { return ReadyAt(cluster, NodeId(1)) == 1; }));
}

TEST(Cluster, ANodeThatWasJudgedLostAndLivesGoesOnAsAnotherRun) {
  TestCluster cluster({.shards = 2});
  cluster.StartAll();
  ASSERT_TRUE(cluster.AwaitLeaders());
  const ShardId shard = cluster.ShardOf(Queue(0));
  const NodeId leader = cluster.LeaderOf(shard);
  const NodeId other = leader == NodeId(1) ? NodeId(2) : NodeId(1);
  std::atomic<int> ended{0};
  const Holder holder = cluster.engine(other).router()->OpenHolder(
      LeasesAtClose::kRelease, [&](const Machine::EndedLease&) { ++ended; });
  ASSERT_TRUE(cluster.Enqueue(Queue(0), "x").ok());
  const ExecuteResult held = cluster.ReserveAt(other, As(holder, absl::Seconds(20)));
  ASSERT_EQ(held.outcome.grants.size(), 1u) << held.status;
  NodeEngine& engine = cluster.engine(leader);
  engine.loop(engine.LoopIndexOf(shard))->Post([&engine, shard, other] {
    engine.shard(shard)->LoseNodes([other](NodeId node) { return node == other; });
  });
  EXPECT_TRUE(cluster.Await([&] { return ended.load() == 1; }));
  const ExecuteResult again = cluster.ReserveAt(other, As(holder, absl::Seconds(20)));
  ASSERT_EQ(again.outcome.grants.size(), 1u) << again.status;
  EXPECT_EQ(again.outcome.grants[0].job.id, held.outcome.grants[0].job.id);
  EXPECT_GT(again.outcome.grants[0].job.token, held.outcome.grants[0].job.token);
  EXPECT_EQ(cluster.DeleteAt(other, held.outcome.grants[0]).outcome.items[0].code,
            OutcomeCode::kLeaseInvalid);
  EXPECT_EQ(cluster.DeleteAt(other, again.outcome.grants[0]).outcome.items[0].code,
            OutcomeCode::kOk);
}

// With nobody to take over it does not wait.
TEST(Cluster, LastNodeLeavesAtOnce) {
  TestCluster cluster({.nodes = 1, .shards = 2});
  cluster.StartAll();
  EXPECT_FALSE(cluster.cluster(NodeId(1)).LeaveLeadership(absl::InfiniteFuture()));
}

}  // namespace
}  // namespace holdfast
