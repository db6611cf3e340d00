// Three real processes as one cluster: whoever is killed, what was acknowledged is there, once, and
// the clients of the others see no error.

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/testing/free_address.h"
#include "client/client.h"
#include "gtest/gtest.h"
#include "tests/integration/connection.h"
#include "tests/support/process.h"

namespace holdfast {
namespace {

using testing::BuiltFile;
using testing::Connection;
using testing::Process;
using testing::TemporaryDirectory;

constexpr int kNodes = 3;
constexpr absl::Duration kAnswerWithin = absl::Seconds(20);

class ClusterTest : public ::testing::Test {
 protected:
  ClusterTest() {
    for (int i = 0; i < kNodes; ++i) {
      addresses_.push_back(FreeAddress());
      absl::StrAppend(&initial_cluster_, i == 0 ? "" : ",", i + 1, "=", addresses_.back());
    }
    nodes_.resize(kNodes);
    connections_.resize(kNodes);
    for (int i = 0; i < kNodes; ++i) Launch(i);
    for (int i = 0; i < kNodes; ++i) Connect(i);
    for (int i = 0; i < kNodes; ++i) AwaitServing(i);
  }

  void Launch(int node, const std::string& folder = "") {
    const std::string data =
        absl::StrCat(directory_.path(), "/", folder.empty() ? absl::StrCat(node) : folder);
    auto process = Process::Start(
        {.command = {BuiltFile("server/holdfast"), "serve", "--data-dir", data, "--node-id",
                     absl::StrCat(node + 1), "--initial-cluster", initial_cluster_,
                     "--listen-beanstalk", "none", "--shards", "4"},
         .log_path = absl::StrCat(directory_.path(), "/log-", node)});
    ASSERT_TRUE(process.ok()) << process.status();
    nodes_[node] = *std::move(process);
  }
  void Connect(int node) {
    auto connection = Connection::Open(addresses_[node]);
    ASSERT_TRUE(connection.ok()) << connection.status() << nodes_[node]->Log();
    connections_[node] = *std::move(connection);
  }
  // A node that waits for the others answers UNAVAILABLE, and ends that server when they are there.
  void AwaitServing(int node) {
    const absl::Time deadline = absl::Now() + kAnswerWithin;
    grpc::Status status;
    do {
      v1::ListQueuesResponse response;
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(deadline));
      status = connections_[node]->stub()->ListQueues(&context, {}, &response);
    } while (!status.ok() && absl::Now() < deadline);
    ASSERT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
  }
  void Restart(int node) {
    Launch(node);
    Connect(node);
  }

  grpc::Status Enqueue(int node, const std::string& queue, const std::string& body) {
    v1::EnqueueRequest request;
    v1::EnqueueResponse response;
    request.set_queue(queue);
    request.add_jobs()->set_body(body);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kAnswerWithin));
    return connections_[node]->stub()->Enqueue(&context, request, &response);
  }
  // Some jobs through that node, in several queues and so shards. None may fail.
  void EnqueueSome(int node, int count) {
    for (int i = 0; i < count; ++i) {
      const std::string body = absl::StrCat("job-", ++jobs_);
      const grpc::Status status = Enqueue(node, absl::StrCat("queue-", jobs_ % kQueues), body);
      ASSERT_TRUE(status.ok()) << status.error_code() << " " << status.error_message();
      expected_.insert(body);
    }
  }
  // All that is left, reserved and deleted through that node.
  std::multiset<std::string> Drain(int node) {
    std::multiset<std::string> bodies;
    v1::ReserveRequest reserve;
    reserve.set_max_jobs(100);
    for (int i = 0; i < kQueues; ++i) reserve.add_queues(absl::StrCat("queue-", i));
    for (;;) {
      v1::ReserveResponse reserved;
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kAnswerWithin));
      const grpc::Status status = connections_[node]->stub()->Reserve(&context, reserve, &reserved);
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (reserved.jobs().empty()) return bodies;
      v1::DeleteRequest remove;
      for (const auto& job : reserved.jobs()) {
        bodies.insert(job.body());
        *remove.add_leases() = job.lease();
      }
      v1::DeleteResponse removed;
      grpc::ClientContext again;
      again.set_deadline(absl::ToChronoTime(absl::Now() + kAnswerWithin));
      EXPECT_TRUE(connections_[node]->stub()->Delete(&again, remove, &removed).ok());
    }
  }

  static constexpr int kQueues = 8;
  TemporaryDirectory directory_;
  std::vector<std::string> addresses_;
  std::string initial_cluster_;
  std::vector<std::unique_ptr<Process>> nodes_;
  std::vector<std::unique_ptr<Connection>> connections_;
  int jobs_ = 0;
  std::multiset<std::string> expected_;
};

TEST_F(ClusterTest, EachIsKilledInTurnAndTheOthersServe) {
  EnqueueSome(0, 50);
  for (int node = 0; node < kNodes; ++node) {
    nodes_[node]->Kill();
    EnqueueSome((node + 1) % kNodes, 40);
    EnqueueSome((node + 2) % kNodes, 40);
    Restart(node);
    EnqueueSome(node, 20);
  }
  EXPECT_EQ(Drain(1), expected_);
}

TEST_F(ClusterTest, AllAreKilledAtOnceAndNothingIsLost) {
  for (int node = 0; node < kNodes; ++node) EnqueueSome(node, 40);
  for (const auto& node : nodes_) node->Signal(SIGKILL);
  for (const auto& node : nodes_) node->Kill();
  for (int node = 0; node < kNodes; ++node) Launch(node);
  for (int node = 0; node < kNodes; ++node) Connect(node);
  EXPECT_EQ(Drain(2), expected_);
}

TEST_F(ClusterTest, ARollingRestartIsNoErrorToAnybody) {
  for (int node = 0; node < kNodes; ++node) {
    EnqueueSome((node + 1) % kNodes, 20);
    nodes_[node]->Signal(SIGTERM);
    EnqueueSome((node + 1) % kNodes, 40);
    const auto ended = nodes_[node]->Wait(absl::Seconds(20));
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->code, 0) << nodes_[node]->Log();
    Restart(node);
  }
  EXPECT_EQ(Drain(0), expected_);
}

// Each of them cancelled the calls that it had taken last.
TEST_F(ClusterTest, ARollingRestartIsNoErrorToClientsOfTheNodeThatStops) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::vector<std::multiset<std::string>> enqueued(8);
  for (size_t i = 0; i < enqueued.size(); ++i) {
    threads.emplace_back([this, i, &stop, bodies = &enqueued[i]] {
      std::vector<std::string> nodes = addresses_;
      std::rotate(nodes.begin(), nodes.begin() + static_cast<int64_t>(i % kNodes), nodes.end());
      Client client({.endpoint = absl::StrJoin(nodes, ",")});
      while (!stop.load()) {
        v1::EnqueueRequest request;
        request.set_queue(absl::StrCat("queue-", i % kQueues));
        request.add_jobs()->set_body(absl::StrCat("job-", i, "-", bodies->size()));
        const auto answer = client.Call(&v1::Holdfast::Stub::Enqueue, request);
        ASSERT_TRUE(answer.ok()) << answer.status();
        bodies->insert(request.jobs(0).body());
      }
    });
  }
  for (int node = 0; node < kNodes; ++node) {
    EnqueueSome((node + 1) % kNodes, 20);
    nodes_[node]->Signal(SIGTERM);
    const auto ended = nodes_[node]->Wait(absl::Seconds(20));
    EXPECT_TRUE(ended.ok()) << ended.status();
    Restart(node);
    AwaitServing(node);
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  for (const auto& bodies : enqueued) expected_.insert(bodies.begin(), bodies.end());
  EXPECT_EQ(Drain(0), expected_);
}

TEST_F(ClusterTest, AWipedDiskUnderAnOldIdIsRefusedAndSaysWhatToDo) {
  EnqueueSome(0, 10);
  nodes_[2]->Kill();
  Launch(2, "empty");
  const auto ended = nodes_[2]->Wait(absl::Seconds(20));
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->code, 1);
  EXPECT_NE(nodes_[2]->Log().find("a node with another disk is another replica"), std::string::npos)
      << nodes_[2]->Log();
  EnqueueSome(1, 10);
  EXPECT_EQ(Drain(0), expected_);
}

}  // namespace
}  // namespace holdfast
