// Clients of any node of a cluster: what they ask reaches the leader, and a change of the leader
// loses nothing, does nothing twice, and is no error to them.

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/cluster/testing/test_cluster.h"
#include "server/codec/payload_codec.h"

namespace holdfast {
namespace {

constexpr NodeId kNodes[] = {NodeId(1), NodeId(2), NodeId(3)};
constexpr uint32_t kShards = 4;

std::string Queue(int i) { return absl::StrCat("queue-", i); }

class RoutingTest : public ::testing::Test {
 protected:
  RoutingTest() : cluster_({.shards = kShards}) {
    cluster_.StartAll();
    EXPECT_TRUE(cluster_.AwaitLeaders());
  }

  // Takes and deletes all jobs of the queues through that node; the bodies, in order.
  std::vector<std::string> Drain(NodeId node, const std::vector<std::string>& queues) {
    std::vector<std::string> bodies;
    for (;;) {
      const ExecuteResult got = cluster_.ReserveAt(node, queues, absl::ZeroDuration(), 100);
      EXPECT_TRUE(got.status.ok()) << got.status;
      if (got.outcome.grants.empty()) return bodies;
      for (size_t i = 0; i < got.outcome.grants.size(); ++i) {
        bodies.emplace_back(DecodePayload(got.payloads[i].bytes)->body);
        const ExecuteResult deleted = cluster_.DeleteAt(node, got.outcome.grants[i]);
        EXPECT_TRUE(deleted.status.ok()) << deleted.status;
        EXPECT_EQ(deleted.outcome.items[0].code, OutcomeCode::kOk);
      }
    }
  }

  TestCluster cluster_;
};

TEST_F(RoutingTest, AnyNodeTakesAnyCommandAndQuery) {
  for (int i = 0; i < 12; ++i) {
    const NodeId here = kNodes[i % 3];
    const NodeId there = kNodes[(i + 1) % 3];
    const ExecuteResult enqueued = cluster_.EnqueueAt(here, Queue(i), absl::StrCat("body-", i));
    ASSERT_TRUE(enqueued.status.ok()) << enqueued.status;
    // What was acknowledged is seen from everywhere.
    const QueryResult seen = cluster_.AskAt(there, JobQuery{enqueued.outcome.items[0].job});
    ASSERT_TRUE(seen.status.ok()) << seen.status;
    EXPECT_EQ(seen.jobs.size(), 1u);
    EXPECT_EQ(Drain(there, {Queue(i)}), (std::vector<std::string>{absl::StrCat("body-", i)}));
  }
}

TEST_F(RoutingTest, AReserveOverShardsThatOthersLead) {
  std::vector<std::string> queues;
  for (int i = 0; i < 8; ++i) {
    queues.push_back(Queue(i));
    ASSERT_TRUE(cluster_.EnqueueAt(kNodes[i % 3], Queue(i), Queue(i)).status.ok());
  }
  for (const NodeId node : kNodes) {
    const ExecuteResult got = cluster_.ReserveAt(node, queues, absl::ZeroDuration(), 2);
    ASSERT_TRUE(got.status.ok()) << got.status;
    EXPECT_EQ(got.outcome.grants.size(), 2u);
  }
}

TEST_F(RoutingTest, AReserveWaitsWhereverTheJobComesFrom) {
  for (const NodeId node : kNodes) {
    for (const std::vector<std::string>& queues :
         {std::vector<std::string>{"one"}, {"one", "two", "three", "four"}}) {
      ExecuteResult got;
      std::thread waiter([&] { got = cluster_.ReserveAt(node, queues, absl::Seconds(20)); });
      for (const NodeId other : kNodes) {
        if (other == node) continue;
        ASSERT_TRUE(cluster_.EnqueueAt(other, "one", "x").status.ok());
        break;
      }
      waiter.join();
      ASSERT_EQ(got.outcome.grants.size(), 1u) << got.status;
      cluster_.DeleteAt(node, got.outcome.grants[0]);
    }
  }
}

// Two nodes' clients, while the third, which leads some of their shards, crashes and comes back.
TEST_F(RoutingTest, ACrashOfALeaderIsNoErrorAndNothingIsLostOrDoneTwice) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> clients;
  std::vector<std::vector<std::string>> acknowledged(2);
  std::vector<absl::Status> errors(2);
  for (int client = 0; client < 2; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; !stop.load() || i < 200; ++i) {
        const std::string body = absl::StrCat(client, "/", i);
        const ExecuteResult result = cluster_.EnqueueAt(kNodes[client], Queue(i % 8), body);
        errors[client].Update(result.status);
        if (!result.status.ok()) return;
        acknowledged[client].push_back(body);
      }
    });
  }
  for (int round = 0; round < 2; ++round) {
    cluster_.Crash(kNodes[2]);
    EXPECT_TRUE(cluster_.AwaitLeaders());
    cluster_.Start(kNodes[2]);
    EXPECT_TRUE(cluster_.AwaitCaughtUp());
  }
  stop.store(true);
  for (std::thread& client : clients) client.join();
  std::multiset<std::string> expected;
  for (int client = 0; client < 2; ++client) {
    EXPECT_TRUE(errors[client].ok()) << errors[client];
    expected.insert(acknowledged[client].begin(), acknowledged[client].end());
  }
  std::multiset<std::string> found;
  for (int i = 0; i < 8; ++i) {
    for (std::string& body : Drain(kNodes[2], {Queue(i)})) found.insert(std::move(body));
  }
  EXPECT_EQ(found, expected);
}

// A node that starts again tells the others that what its clients held is nobody's any more.
TEST_F(RoutingTest, JobsHeldThroughANodeComeBackWhenItStartsAgain) {
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(cluster_.EnqueueAt(kNodes[0], Queue(i), Queue(i)).status.ok());
    ReserveRequest request;
    request.queues = {Queue(i)};
    request.holder = cluster_.engine(kNodes[2]).router()->OpenHolder(
        LeasesAtClose::kRelease, [](const Machine::EndedLease&) {});
    const ExecuteResult got = cluster_.ReserveAt(kNodes[2], std::move(request));
    ASSERT_EQ(got.outcome.grants.size(), 1u) << got.status;
  }
  cluster_.Crash(kNodes[2]);
  cluster_.Start(kNodes[2]);
  for (int i = 0; i < 4; ++i) {
    const ExecuteResult again = cluster_.ReserveAt(kNodes[0], {Queue(i)}, absl::Seconds(20));
    ASSERT_EQ(again.outcome.grants.size(), 1u) << again.status;
  }
}

// A planned change: the leader stops in order, and its own clients are answered.
TEST_F(RoutingTest, AnOrderlyStopOfALeaderAnswersItsClients) {
  std::vector<std::thread> clients;
  std::atomic<int> failed{0};
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&, i] {
      const ExecuteResult result = cluster_.EnqueueAt(kNodes[0], Queue(i), "x");
      if (!result.status.ok()) ++failed;
    });
  }
  for (std::thread& client : clients) client.join();
  cluster_.Stop(kNodes[0]);
  ASSERT_TRUE(cluster_.AwaitLeaders());
  EXPECT_EQ(failed.load(), 0);
  size_t jobs = 0;
  for (int i = 0; i < 8; ++i) jobs += Drain(kNodes[1], {Queue(i)}).size();
  EXPECT_EQ(jobs, 8u);
}

}  // namespace
}  // namespace holdfast
