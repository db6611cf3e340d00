// A cluster in one process: engines with their threads, real stores in temporary folders, real
// transports over gRPC on loopback.
//
// Nodes are numbered from 1; node n has disk 1000 + n until it is wiped. Thread-safety:
// thread-compatible; owned by one test.

#ifndef HOLDFAST_SERVER_CLUSTER_TESTING_TEST_CLUSTER_H_
#define HOLDFAST_SERVER_CLUSTER_TESTING_TEST_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/types.h"
#include "server/cluster/cluster_node.h"
#include "server/cluster/membership.h"
#include "server/engine/engine.h"
#include "server/engine/node_engine.h"
#include "server/frontend/grpc/grpc_server.h"
#include "storage/log/segment_log_store.h"
#include "storage/log_store.h"
#include "storage/state_store.h"

namespace holdfast {

class TestCluster {
 public:
  struct Options {
    uint32_t nodes = 3;
    uint32_t shards = 4;
    uint64_t log_segment_bytes = SegmentLogOptions().segment_bytes;
    // Of all nodes; identity, initial voters and members are filled in.
    NodeEngine::Options engine = {};
    ClusterNode::Options cluster = {};
  };

  // Makes the nodes and starts none.
  explicit TestCluster(Options options);
  // Stops what runs, and removes the folders.
  ~TestCluster();
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  // --- Nodes.
  void StartAll();
  void Start(NodeId node);
  // In order: leaderships are handed over, what is in flight is answered, the state is flushed.
  void Stop(NodeId node);
  // The connections break, and nothing is handed over or flushed.
  void Crash(NodeId node);
  bool running(NodeId node) const { return At(node).engine != nullptr; }
  NodeEngine& engine(NodeId node) { return *At(node).engine; }
  ClusterNode& cluster(NodeId node) { return *At(node).cluster; }
  Membership& membership(NodeId node) { return *At(node).membership; }
  // HOST:PORT of gRPC, the same over restarts; empty before the first start.
  const std::string& address(NodeId node) const { return At(node).address; }
  static DiskId DiskOf(NodeId node) { return DiskId(1000 + node.value()); }

  // --- Waiting; false if it takes too long (30 s).
  // Until `predicate`, which is asked again and again, holds.
  bool Await(const std::function<bool()>& predicate);
  // Until all running nodes agree on a running leader of each shard.
  bool AwaitLeaders();
  // Until each running node has applied what its shards' leaders had applied at the call.
  bool AwaitCaughtUp();

  // --- Looking.
  NodeId LeaderOf(ShardId shard);
  uint64_t ShardsLedBy(NodeId node);
  // Voters of the shard's group, as far as the node has applied its changes; 0 while it starts.
  uint64_t VotersOf(NodeId node, ShardId shard);
  LogIndex AppliedOf(NodeId node, ShardId shard);
  // The state's hash and how far it is applied, of one moment.
  struct Seen {
    LogIndex applied;
    uint64_t hash = 0;
  };
  Seen See(NodeId node, ShardId shard);
  // The first entry that the node's log of the shard still has.
  LogIndex LogFirst(NodeId node, ShardId shard) const {
    return At(node).log->Describe(shard).first;
  }
  ShardId ShardOf(std::string_view queue) const;

  // --- Commands, at the leader of the queue's shard; tried again (for 30 s at most) where they are
  // certainly not executed.
  absl::Status Enqueue(const std::string& queue, const std::string& body);
  // Jobs in all states but deleted; -1 if there was no answer.
  int64_t JobsIn(const std::string& queue);

  // --- Commands and queries of a client of that node, wherever the shard leads. Waits for the
  // answer. From any thread, while the node runs.
  ExecuteResult EnqueueAt(NodeId node, const std::string& queue, const std::string& body);
  ExecuteResult ReserveAt(NodeId node, const std::vector<std::string>& queues, absl::Duration wait,
                          uint32_t max = 1);
  ExecuteResult ReserveAt(NodeId node, ReserveRequest request);
  ExecuteResult DeleteAt(NodeId node, const Grant& grant);
  QueryResult AskAt(NodeId node, Query query);

 private:
  struct Node {
    NodeId id;
    std::string path;
    std::string address;
    uint64_t incarnation = 0;
    std::unique_ptr<Membership> membership;
    std::unique_ptr<LogStore> log;
    std::unique_ptr<StateStore> state;
    std::unique_ptr<NodeEngine> engine;
    std::unique_ptr<ClusterNode> cluster;
    std::unique_ptr<GrpcServer> server;
  };
  Node& At(NodeId node) { return nodes_.at(node.value() - 1); }
  const Node& At(NodeId node) const { return nodes_.at(node.value() - 1); }
  NodeEngine::Options EngineOptions(const Node& node) const;
  void TellMembers();
  void Drop(Node* node);
  // Runs `task` on the shard's loop and waits for its end.
  void OnLoop(NodeId node, ShardId shard, absl::AnyInvocable<void() &&> task);

  Options options_;
  std::string path_;
  std::vector<Node> nodes_;
  uint64_t members_version_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_TESTING_TEST_CLUSTER_H_
