#include "server/cluster/testing/test_cluster.h"

#include <grpc/grpc.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "replication/node/group.h"
#include "server/engine/router.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "xxhash.h"

namespace holdfast {
namespace {

constexpr absl::Duration kTooLong = absl::Seconds(30);
constexpr absl::Duration kLook = absl::Milliseconds(5);

// Keeps gRPC from ending and beginning anew between tests: it ends on a thread of its own, which
// may be at it still when the process exits.
void KeepLibrary() {
  static const bool kKept = (grpc_init(), true);
  CHECK(kKept);
}

void Must(const absl::Status& status) { CHECK_EQ(status.ToString(), "OK"); }

std::string NewFolder() {
  const char* const base = std::getenv("TEST_TMPDIR");
  std::string path = absl::StrCat(base == nullptr ? "/tmp" : base, "/cluster.XXXXXX");
  CHECK(mkdtemp(path.data()) != nullptr);
  return path;
}

// What `ask` is answered, by the callback that it is given.
template <class Result, class Ask>
Result AnswerOf(const Ask& ask) {
  Result answer;
  absl::Notification done;
  ask([&](Result result) {
    answer = std::move(result);
    done.Notify();
  });
  done.WaitForNotification();
  return answer;
}

}  // namespace

TestCluster::TestCluster(Options options) : options_(std::move(options)), path_(NewFolder()) {
  KeepLibrary();
  for (uint64_t i = 1; i <= options_.nodes; ++i) {
    Node& node = nodes_.emplace_back();
    node.id = NodeId(i);
    node.path = absl::StrCat(path_, "/", i);
    std::filesystem::create_directory(node.path);
  }
}

TestCluster::~TestCluster() {
  for (Node& node : nodes_) {
    if (node.engine != nullptr) Crash(node.id);
  }
  std::filesystem::remove_all(path_);
}

NodeEngine::Options TestCluster::EngineOptions(const Node& node) const {
  NodeEngine::Options options = options_.engine;
  options.node = node.id;
  options.disk = DiskOf(node.id);
  options.incarnation = node.incarnation;
  options.cluster_id = "0123456789abcdef0123456789abcdef";
  options.shards = options_.shards;
  options.payload_size_bytes_max = 2 << 20;
  for (const Node& other : nodes_) {
    options.initial_voters.push_back(ReplicaOf(other.id, DiskOf(other.id)));
  }
  return options;
}

void TestCluster::StartAll() {
  for (const Node& node : nodes_) Start(node.id);
}

void TestCluster::Start(NodeId id) {
  Node& node = At(id);
  CHECK(node.engine == nullptr);
  ++node.incarnation;
  auto log = SegmentLogStore::Open(&PosixFileSystem(), node.path + "/log",
                                   {.segment_bytes = options_.log_segment_bytes});
  Must(log.status());
  node.log = *std::move(log);
  RocksDbStateStoreOptions state_options;
  state_options.directory = node.path + "/state";
  auto state = OpenRocksDbStateStore(state_options);
  Must(state.status());
  node.state = *std::move(state);
  node.membership = std::make_unique<Membership>(MembersView());
  node.engine =
      std::make_unique<NodeEngine>(EngineOptions(node), node.log.get(), node.state.get(), Must);
  node.cluster =
      std::make_unique<ClusterNode>(options_.cluster, node.engine.get(), node.membership.get());
  Must(node.engine->Start(node.cluster.get()));
  GrpcServerOptions grpc;
  grpc.listen = node.address.empty() ? "127.0.0.1:0" : node.address;
  grpc.reflection = false;
  grpc.services = {node.cluster->service()};
  auto server = GrpcServer::Start(grpc, node.engine->router());
  Must(server.status());
  node.server = *std::move(server);
  node.address = node.server->address();
  node.cluster->Start(node.address);
  TellMembers();
}

// Those that were not started yet have no address.
void TestCluster::TellMembers() {
  MembersView view;
  view.version = ++members_version_;
  for (const Node& node : nodes_) {
    view.members[node.id] = {.node = node.id, .disk = DiskOf(node.id), .address = node.address};
  }
  for (Node& node : nodes_) {
    if (node.membership != nullptr) node.membership->Update(view);
  }
}

void TestCluster::Stop(NodeId id) {
  Node& node = At(id);
  node.cluster->LeaveLeadership(absl::Now() + absl::Seconds(2));
  node.engine->Drain();
  node.server->Drain(absl::Now() + absl::Seconds(1));
  node.cluster->Stop();
  node.server->Stop(absl::Now() + absl::Seconds(1));
  node.engine->Stop(Flusher::LastFlush::kDo);
  Drop(&node);
}

void TestCluster::Crash(NodeId id) {
  Node& node = At(id);
  node.cluster->Stop();
  node.server->Stop(absl::Now());
  node.engine->Stop(Flusher::LastFlush::kSkip);
  Drop(&node);
}

void TestCluster::Drop(Node* node) {
  node->server.reset();
  node->cluster.reset();
  node->engine.reset();
  node->membership.reset();
  node->state.reset();
  node->log.reset();
}

bool TestCluster::Await(const std::function<bool()>& predicate) {
  const absl::Time deadline = absl::Now() + kTooLong;
  while (!predicate()) {
    if (absl::Now() > deadline) return false;
    // What is looked at is on other threads, and tells nobody of its changes.
    absl::Notification().WaitForNotificationWithTimeout(kLook);
  }
  return true;
}

NodeId TestCluster::LeaderOf(ShardId shard) {
  NodeId leader;
  for (const Node& node : nodes_) {
    if (node.engine == nullptr) continue;
    const NodeId known = node.engine->leaders()->NodeOf(shard);
    if (known == NodeId() || (leader != NodeId() && known != leader)) return NodeId();
    leader = known;
  }
  return leader != NodeId() && running(leader) ? leader : NodeId();
}

bool TestCluster::AwaitLeaders() {
  return Await([this] {
    for (uint32_t shard = 0; shard < options_.shards; ++shard) {
      if (LeaderOf(ShardId(shard)) == NodeId()) return false;
    }
    return true;
  });
}

bool TestCluster::AwaitCaughtUp() {
  if (!AwaitLeaders()) return false;
  std::vector<LogIndex> goals;
  for (uint32_t i = 0; i < options_.shards; ++i) {
    const NodeId leader = LeaderOf(ShardId(i));
    if (leader == NodeId()) return AwaitCaughtUp();
    goals.push_back(AppliedOf(leader, ShardId(i)));
  }
  return Await([&] {
    for (const Node& node : nodes_) {
      if (node.engine == nullptr) continue;
      for (uint32_t i = 0; i < options_.shards; ++i) {
        if (AppliedOf(node.id, ShardId(i)) < goals[i]) return false;
      }
    }
    return true;
  });
}

uint64_t TestCluster::ShardsLedBy(NodeId node) {
  uint64_t led = 0;
  for (uint32_t shard = 0; shard < options_.shards; ++shard) {
    if (LeaderOf(ShardId(shard)) == node) ++led;
  }
  return led;
}

void TestCluster::OnLoop(NodeId node, ShardId shard, absl::AnyInvocable<void() &&> task) {
  NodeEngine& there = engine(node);
  absl::Notification done;
  there.loop(there.LoopIndexOf(shard))->Post([&] {
    std::move(task)();
    done.Notify();
  });
  done.WaitForNotification();
}

uint64_t TestCluster::VotersOf(NodeId node, ShardId shard) {
  uint64_t voters = 0;
  OnLoop(node, shard, [&] {
    const std::optional<raft::Status> status = engine(node).group(shard)->GetStatus();
    if (status.has_value()) voters = status->configuration.voters.size();
  });
  return voters;
}

LogIndex TestCluster::AppliedOf(NodeId node, ShardId shard) { return See(node, shard).applied; }

TestCluster::Seen TestCluster::See(NodeId node, ShardId shard) {
  Seen seen;
  OnLoop(node, shard, [&] {
    const Shard& there = *engine(node).shard(shard);
    seen = {there.applied().index, there.machine().StateHash()};
  });
  return seen;
}

ShardId TestCluster::ShardOf(std::string_view queue) const {
  return ShardId(static_cast<uint32_t>(XXH3_64bits(queue.data(), queue.size()) % options_.shards));
}

ExecuteResult TestCluster::EnqueueAt(NodeId node, const std::string& queue,
                                     const std::string& body) {
  EnqueueEncoder encoder({}, queue, body.size());
  encoder.Add({}, {.attributes = {}, .dedup_key = {}, .body = body});
  return AnswerOf<ExecuteResult>([&](auto done) {
    engine(node).router()->Enqueue(queue, std::move(encoder), std::move(done));
  });
}

ExecuteResult TestCluster::ReserveAt(NodeId node, const std::vector<std::string>& queues,
                                     absl::Duration wait, uint32_t max) {
  ReserveRequest request;
  request.queues = queues;
  request.wait = wait;
  request.max = max;
  return AnswerOf<ExecuteResult>(
      [&](auto done) { engine(node).router()->Reserve(std::move(request), std::move(done)); });
}

ExecuteResult TestCluster::ReserveAt(NodeId node, ReserveRequest request) {
  return AnswerOf<ExecuteResult>(
      [&](auto done) { engine(node).router()->Reserve(std::move(request), std::move(done)); });
}

ExecuteResult TestCluster::DeleteAt(NodeId node, const Grant& grant) {
  DeleteCommand command;
  command.leases.push_back({grant.job.id, grant.job.token});
  return AnswerOf<ExecuteResult>([&](auto done) {
    engine(node).router()->Execute({.request = {}, .body = std::move(command)}, std::move(done));
  });
}

QueryResult TestCluster::AskAt(NodeId node, Query query) {
  return AnswerOf<QueryResult>(
      [&](auto done) { engine(node).router()->Ask(std::move(query), std::move(done)); });
}

absl::Status TestCluster::Enqueue(const std::string& queue, const std::string& body) {
  absl::Status status = absl::UnavailableError("the shard had no leader");
  Await([&] {
    const NodeId leader = LeaderOf(ShardOf(queue));
    if (leader == NodeId()) return false;
    status = EnqueueAt(leader, queue, body).status;
    return !absl::IsUnavailable(status);
  });
  return status;
}

int64_t TestCluster::JobsIn(const std::string& queue) {
  int64_t jobs = -1;
  Await([&] {
    const NodeId leader = LeaderOf(ShardOf(queue));
    if (leader == NodeId()) return false;
    const QueryResult result = AskAt(leader, QueueQuery{queue});
    if (!result.status.ok()) return false;
    jobs = 0;
    for (const QueueRecord& record : result.queues) {
      for (const uint64_t count : record.counts) jobs += static_cast<int64_t>(count);
    }
    return true;
  });
  return jobs;
}

}  // namespace holdfast
