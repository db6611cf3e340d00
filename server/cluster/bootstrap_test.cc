// Nodes that find one another over real gRPC on loopback: one cluster or none, and what they are
// told when it cannot be.

#include "server/cluster/bootstrap.h"

#include <grpc/grpc.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/testing/free_address.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr absl::Duration kEndsWithin = absl::Seconds(30);

class BootstrapTest : public ::testing::Test {
 protected:
  BootstrapTest() {
    static const bool kKept = (grpc_init(), true);
    EXPECT_TRUE(kKept);
    path_ = absl::StrCat(std::getenv("TEST_TMPDIR"), "/bootstrap.XXXXXX");
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
    for (uint64_t i = 1; i <= 3; ++i) nodes_.push_back({i, FreeAddress()});
  }

  // One node, which runs Bootstrap on a thread of its own.
  struct Run {
    std::unique_ptr<DataDir> data;
    std::thread thread;
    absl::Notification ended;
    absl::Status status;
    std::atomic<bool> give_up{false};
    absl::Notification waits;
    std::string waits_for;

    ~Run() {
      give_up = true;
      if (thread.joinable()) thread.join();
    }
    absl::Status Await() {
      if (ended.WaitForNotificationWithTimeout(kEndsWithin)) return status;
      return absl::DeadlineExceededError(
          absl::StrCat("still waits", waits.HasBeenNotified() ? " for " + waits_for : ""));
    }
    const InitialCluster& cluster() const { return data->identity().cluster; }
  };

  // `folder`: of its data, by default the node's own.
  std::unique_ptr<Run> Start(uint64_t node, uint32_t shards = 0, std::string folder = "",
                             std::vector<InitialNode> nodes = {}) {
    if (nodes.empty()) nodes = nodes_;
    if (folder.empty()) folder = absl::StrCat(node);
    auto run = std::make_unique<Run>();
    auto data = DataDir::Open(
        absl::StrCat(path_, "/", folder),
        {.node = NodeId(node), .shards = shards, .cluster = DataDir::Wanted::Cluster::kSetLater});
    EXPECT_TRUE(data.ok()) << data.status();
    run->data = *std::move(data);
    BootstrapOptions options;
    options.listen = nodes_[node - 1].address;
    options.nodes = std::move(nodes);
    options.shards = shards;
    options.pause = [to = run.get()](absl::Duration pause) {
      absl::Notification().WaitForNotificationWithTimeout(pause);
      return to->give_up.load();
    };
    options.on_waiting = [to = run.get()](const std::string& what) {
      if (to->waits.HasBeenNotified()) return;
      to->waits_for = what;
      to->waits.Notify();
    };
    run->thread = std::thread([to = run.get(), options] {
      to->status = Bootstrap(options, to->data.get());
      to->ended.Notify();
    });
    return run;
  }
  // A node of a cluster, which answers for it.
  std::unique_ptr<grpc::Server> Serve(const Identity& identity) {
    service_ = std::make_unique<BootstrapService>(identity, nodes_);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(nodes_[identity.node.value() - 1].address,
                             grpc::InsecureServerCredentials());
    builder.RegisterService(service_.get());
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    EXPECT_NE(server, nullptr);
    return server;
  }
  void ExpectRefused(const absl::Status& status, const std::string& part) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_NE(status.message().find(part), std::string::npos) << status;
  }

  std::string path_;
  std::vector<InitialNode> nodes_;
  std::unique_ptr<BootstrapService> service_;
};

TEST_F(BootstrapTest, ThreeNewNodesMakeOneClusterWhateverTheOrder) {
  auto three = Start(3, 8);
  auto one = Start(1, 8);
  one->waits.WaitForNotification();
  EXPECT_NE(one->waits_for.find("node 2 at "), std::string::npos) << one->waits_for;
  auto two = Start(2, 8);
  ASSERT_TRUE(one->Await().ok()) << one->Await();
  // The others ask whoever knows it; a node that serves answers for ever.
  const auto server = Serve(one->data->identity());
  ASSERT_TRUE(two->Await().ok()) << two->Await();
  ASSERT_TRUE(three->Await().ok()) << three->Await();
  EXPECT_EQ(one->cluster(), two->cluster());
  EXPECT_EQ(one->cluster(), three->cluster());
  EXPECT_EQ(one->cluster().shards, 8u);
  ASSERT_EQ(one->cluster().members.size(), 3u);
  EXPECT_EQ(one->cluster().Find(NodeId(3))->disk, three->data->identity().disk);
  EXPECT_EQ(one->cluster().Find(NodeId(3))->address, nodes_[2].address);
}

TEST_F(BootstrapTest, NoClusterIsMadeWithoutAllOfThem) {
  auto one = Start(1);
  auto two = Start(2);
  one->waits.WaitForNotification();
  two->waits.WaitForNotification();
  one->give_up = two->give_up = true;
  EXPECT_TRUE(absl::IsCancelled(one->Await()));
  EXPECT_TRUE(absl::IsCancelled(two->Await()));
  EXPECT_FALSE(one->data->identity().has_cluster());
}

TEST_F(BootstrapTest, WipedDiskUnderAnOldIdIsRefusedAlsoOfTheLowest) {
  auto one = Start(1);
  auto two = Start(2);
  auto three = Start(3);
  ASSERT_TRUE(one->Await().ok()) << one->Await();
  {
    const auto server = Serve(one->data->identity());
    ASSERT_TRUE(two->Await().ok() && three->Await().ok());
    auto wiped = Start(2, 0, "wiped-2");
    ExpectRefused(wiped->Await(), "holdfast cluster remove 2");
  }
  const auto server = Serve(two->data->identity());
  auto wiped = Start(1, 0, "wiped-1");
  ExpectRefused(wiped->Await(), "holdfast cluster remove 1");
  EXPECT_FALSE(wiped->data->identity().has_cluster());
}

TEST_F(BootstrapTest, NodeThatAClusterWasMadeWithoutIsRefused) {
  Identity alone;
  alone.node = NodeId(2);
  alone.disk = DiskId(5);
  alone.cluster = *MakeCluster(4, {{NodeId(2), DiskId(5), ""}});
  const auto server = Serve(alone);
  auto one = Start(1);
  ExpectRefused(one->Await(), alone.cluster.cluster_id);
  ExpectRefused(one->Await(), "--join");
}

TEST_F(BootstrapTest, NodesThatWantDifferentClustersAreRefused) {
  // Answers like a node that waits; a real one would be refused as well, and end before it is
  // asked.
  Identity two;
  two.node = NodeId(2);
  two.disk = DiskId(5);
  two.cluster.shards = 4;
  const auto server = Serve(two);
  auto one = Start(1, 8);
  ExpectRefused(one->Await(), "--shards");
  std::vector<InitialNode> others = nodes_;
  others.pop_back();
  auto again = Start(1, 4, "again", others);
  ExpectRefused(again->Await(), "--initial-cluster");
}

TEST_F(BootstrapTest, AddressThatLeadsToAnotherNodeIsRefused) {
  nodes_[2].address = nodes_[1].address;
  Identity two;
  two.node = NodeId(2);
  two.disk = DiskId(5);
  two.cluster.shards = 16;
  const auto server = Serve(two);
  auto one = Start(1);
  ExpectRefused(one->Await(), "leads to node 2");
}

}  // namespace
}  // namespace holdfast
