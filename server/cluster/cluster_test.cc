// Whole nodes as a cluster in one process: they elect, replicate, bring up those that were away,
// and spread and hand over leadership.

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
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

TEST(Cluster, AllCrashAndNothingAcknowledgedIsLost) {
  TestCluster cluster({.shards = 4});
  cluster.StartAll();
  EnqueueSome(cluster, 40);
  for (const NodeId node : kNodes) cluster.Crash(node);
  cluster.StartAll();
  EXPECT_EQ(Jobs(cluster), 40);
  ExpectEqualStates(cluster, 4);
}

}  // namespace
}  // namespace holdfast
