#include "server/serve.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/spare_poller.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "replication/node/group.h"
#include "server/cluster/bootstrap.h"
#include "server/cluster/cluster_admin.h"
#include "server/cluster/cluster_monitor.h"
#include "server/cluster/cluster_node.h"
#include "server/cluster/cluster_service.h"
#include "server/cluster/cluster_status.h"
#include "server/cluster/join.h"
#include "server/cluster/known_members.h"
#include "server/cluster/member_change.h"
#include "server/cluster/members_codec.h"
#include "server/cluster/membership.h"
#include "server/cluster/node_report.h"
#include "server/codec/payload_codec.h"
#include "server/config/address.h"
#include "server/data_dir/data_dir.h"
#include "server/engine/node_engine.h"
#include "server/frontend/beanstalk/beanstalk_server.h"
#include "server/frontend/grpc/grpc_server.h"
#include "server/net/listener.h"
#include "server/stop_limit.h"
#include "storage/log/segment_log_store.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_state_store.h"

namespace holdfast {
namespace {

// From the signal to the end, the last flush included.
constexpr absl::Duration kStopWithin = absl::Seconds(4);
// And if something hangs.
constexpr absl::Duration kStopAtMost = absl::Seconds(10);
// Of kStopWithin, for others to take over what this node leads.
constexpr absl::Duration kHandOverWithin = absl::Milliseconds(1500);
constexpr int64_t kLookForLeadersMicros = 20'000;
// For telling clients that a failed node does not know their outcomes.
constexpr absl::Duration kFailWithin = absl::Milliseconds(500);

// Waits for a signal to stop or for the node's failure, whichever comes first.
class StopReasons {
 public:
  // Blocks the signals in this thread and those it makes from now on.
  StopReasons() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &signals, nullptr), 0);
    signal(SIGPIPE, SIG_IGN);
    signals_ = signalfd(-1, &signals, SFD_CLOEXEC);
    failed_ = eventfd(0, EFD_CLOEXEC);
    CHECK_GE(signals_, 0);
    CHECK_GE(failed_, 0);
  }
  ~StopReasons() {
    close(signals_);
    close(failed_);
  }

  void Fail(const absl::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      if (!failure_.ok()) return;
      failure_ = status;
    }
    spdlog::critical("this node cannot go on: {}", status.ToString());
    const uint64_t one = 1;
    CHECK_EQ(write(failed_, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }
  // OK: asked to stop. Meanwhile `on_drain` is called for each SIGUSR1.
  absl::Status Wait(const std::function<void()>& on_drain) {
    pollfd fds[] = {{signals_, POLLIN, 0}, {failed_, POLLIN, 0}};
    for (;;) {
      if (poll(fds, 2, -1) < 0) continue;
      if (fds[1].revents != 0) break;
      signalfd_siginfo signal = {};
      CHECK_EQ(read(signals_, &signal, sizeof(signal)), static_cast<ssize_t>(sizeof(signal)));
      if (signal.ssi_signo != SIGUSR1) break;
      on_drain();
    }
    absl::MutexLock lock(&mutex_);
    return failure_;
  }
  // Before anything is served: whether there is a reason within `at_most`. One to drain is none.
  bool WaitFor(absl::Duration at_most) {
    pollfd fds[] = {{signals_, POLLIN, 0}, {failed_, POLLIN, 0}};
    if (poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(at_most))) <= 0) return false;
    if (fds[1].revents != 0) return true;
    signalfd_siginfo signal = {};
    CHECK_EQ(read(signals_, &signal, sizeof(signal)), static_cast<ssize_t>(sizeof(signal)));
    return signal.ssi_signo != SIGUSR1;
  }

 private:
  int signals_ = -1;
  int failed_ = -1;
  absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

void SetUpLogging(const std::string& level) {
  auto logger = spdlog::stderr_color_mt("holdfast");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

// The first voters of each shard, if this node is one of them.
std::vector<ReplicaId> InitialVoters(const Identity& identity) {
  const InitialMember* const self = identity.cluster.Find(identity.node);
  if (self == nullptr || self->disk != identity.disk) return {};
  std::vector<ReplicaId> voters;
  for (const InitialMember& member : identity.cluster.members) {
    voters.push_back(ReplicaOf(member.node, member.disk));
  }
  std::sort(voters.begin(), voters.end());
  return voters;
}

NodeEngine::Options EngineOptions(const ServeConfig& config, const Identity& identity) {
  NodeEngine::Options options;
  options.initial_voters = InitialVoters(identity);
  options.node = identity.node;
  options.disk = identity.disk;
  options.incarnation = identity.incarnation;
  options.cluster_id = identity.cluster.cluster_id;
  options.shards = identity.cluster.shards;
  const uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  options.loops = config.loops != 0 ? config.loops : std::min(cores, 8u);
  options.payload_size_bytes_max =
      config.body_bytes_max + static_cast<uint32_t>(kAttributeBytesMax) + 4096;
  options.hot_jobs_max = config.hot_jobs_max;
  options.log.sync_interval = config.sync_interval;
  options.flush.unflushed_bytes = config.unflushed_bytes;
  options.unflushed_bytes_max = 2 * config.unflushed_bytes;
  options.admission.bytes_max = static_cast<int64_t>(config.in_flight_bytes_max);
  options.admission.commands_max = static_cast<int64_t>(config.in_flight_commands_max);
  options.on_disk_full = [](const absl::Status& status) {
    if (status.ok()) return spdlog::info("the disk has room again");
    spdlog::error("the disk is full, jobs are refused: {}", status.ToString());
  };
  return options;
}

// A node and what it stands on, in order of construction.
struct Node {
  std::unique_ptr<DataDir> data;
  std::unique_ptr<LogStore> log;
  std::unique_ptr<StateStore> state;
  std::unique_ptr<NodeEngine> engine;
  std::unique_ptr<Membership> membership;
  std::unique_ptr<ClusterNode> cluster;
  std::unique_ptr<ClusterAdmin> admin;
  std::unique_ptr<NodeReporter> reporter;
  std::unique_ptr<ClusterMonitor> monitor;
  std::unique_ptr<ClusterService> service;
  std::unique_ptr<BootstrapService> bootstrap;
  std::unique_ptr<GrpcServer> grpc;
  std::unique_ptr<BeanstalkServer> beanstalk;  // may be nullptr

  bool has_others() const { return membership->Get()->members.size() > 1; }
};

// Where this node listens: an address told, that of its first cluster, or the default.
std::string ListenAddress(const ServeConfig& config, const Identity& identity) {
  if (config.listen_was_told) return config.listen;
  for (const InitialNode& node : config.initial_cluster) {
    if (node.node == identity.node.value()) return node.address;
  }
  const InitialMember* const self = identity.cluster.Find(identity.node);
  return self == nullptr || self->address.empty() ? config.listen : self->address;
}

// Where the other nodes are told to reach one that joins. "": that cannot be said.
std::string JoinAddress(const ServeConfig& config) {
  if (!config.advertise.empty()) return config.advertise;
  const bool is_one = !IsForAnyInterface(config.listen) && !config.listen.ends_with(":0");
  return is_one ? config.listen : "";
}

absl::Status JoinCluster(const ServeConfig& config, StopReasons* reasons, DataDir* data) {
  const std::string address = JoinAddress(config);
  if (address.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("other nodes cannot be told to reach this one at ", config.listen,
                     ": give --advertise HOST:PORT, or --listen with an address and a port"));
  }
  RETURN_IF_ERROR(
      Join({.through = config.join,
            .address = address,
            .shards = config.shards,
            .pause = [reasons](absl::Duration pause) { return reasons->WaitFor(pause); },
            .on_waiting = [](const std::string& what) { spdlog::info("join: {}", what); }},
           data));
  spdlog::info("joined cluster {}", data->identity().cluster.cluster_id);
  return absl::OkStatus();
}

// A cluster that was made is what it is: another --initial-cluster is a mistake.
absl::Status CheckInitialCluster(const ServeConfig& config, const Identity& identity) {
  if (config.initial_cluster.empty()) return absl::OkStatus();
  std::vector<uint64_t> told;
  std::vector<uint64_t> made;
  for (const InitialNode& node : config.initial_cluster) told.push_back(node.node);
  for (const InitialMember& member : identity.cluster.members) made.push_back(member.node.value());
  if (told == made) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      config.data_dir, " is of cluster ", identity.cluster.cluster_id, ", which was made of nodes ",
      absl::StrJoin(made, ", "), ", not of ", absl::StrJoin(told, ", "),
      ": leave --initial-cluster out; to make another cluster, give all its nodes empty data "
      "directories"));
}

absl::Status OpenDataDir(const ServeConfig& config, StopReasons* reasons, Node* node) {
  using Cluster = DataDir::Wanted::Cluster;
  ASSIGN_OR_RETURN(node->data,
                   DataDir::Open(config.data_dir,
                                 {.node = NodeId(config.node_id),
                                  .shards = config.shards,
                                  .cluster = config.initial_cluster.empty() && config.join.empty()
                                                 ? Cluster::kAlone
                                                 : Cluster::kSetLater}));
  const Identity& identity = node->data->identity();
  if (!identity.has_cluster() && !config.join.empty()) {
    RETURN_IF_ERROR(JoinCluster(config, reasons, node->data.get()));
  } else if (!identity.has_cluster()) {
    RETURN_IF_ERROR(Bootstrap(
        {.listen = ListenAddress(config, identity),
         .nodes = config.initial_cluster,
         .shards = config.shards,
         .pause = [reasons](absl::Duration pause) { return reasons->WaitFor(pause); },
         .on_waiting = [](const std::string& what) { spdlog::info("new cluster: {}", what); }},
        node->data.get()));
    spdlog::info("of cluster {}", identity.cluster.cluster_id);
  }
  RETURN_IF_ERROR(CheckInitialCluster(config, identity));
  ASSIGN_OR_RETURN(const MembersView members, KnownMembers(*node->data));
  RETURN_IF_ERROR(CheckStillMember(members, identity.node, identity.disk));
  node->membership = std::make_unique<Membership>(members);
  if (members.members.size() > 1 && config.sync_interval != absl::ZeroDuration()) {
    return absl::FailedPreconditionError(absl::StrCat("--sync interval is for a single node, and ",
                                                      config.data_dir, " is of a cluster"));
  }
  return absl::OkStatus();
}

void LogPeerChange(size_t loop, const PeerChange& change) {
  if (loop != 0) return;
  switch (change.kind) {
    case PeerChange::Kind::kUp:
      return spdlog::info("connected to node {}", change.node.value());
    case PeerChange::Kind::kDown:
      return spdlog::warn("lost the connection to node {}: {}", change.node.value(), change.why);
    case PeerChange::Kind::kRefused:
      return spdlog::error("no connection to node {}: {}", change.node.value(), change.why);
  }
}

void LogClock(NodeId node, const ClockOffset& clock, ClockWatch::Change change) {
  if (change == ClockWatch::Change::kRight) {
    return spdlog::info("the clock of node {} is right again", node.value());
  }
  spdlog::warn("{} of this node's: see that both are synchronized", ClockText(node, clock));
}

// Each later table of members is kept, on a thread that may wait for the disk. One without this
// node ends it.
void KeepMembers(StopReasons* reasons, Node* node) {
  node->membership->Observe([reasons, node](const Membership::View& view) {
    if (view->version == 0) return;
    node->engine->ReaderOf(ShardId(0))->Post([reasons, data = node->data.get(), view] {
      const Identity& self = data->identity();
      absl::Status status = data->WriteMembers(EncodeMembers(*view));
      status.Update(CheckStillMember(*view, self.node, self.disk));
      if (!status.ok()) reasons->Fail(status);
    });
  });
}

// Takes a node that was added into the cluster.
void TakeIn(ClusterAdmin* admin, NodeId node, DiskId disk, const std::string& address,
            BootstrapService::JoinDone done) {
  admin->Change({.kind = MemberChange::Kind::kJoin, .node = node, .address = address, .disk = disk},
                [done = std::move(done)](absl::StatusOr<MembersView> members) mutable {
                  if (!members.ok()) return std::move(done)(members.status());
                  std::move(done)(EncodeMembers(*members));
                });
}

void ConnectToOthers(const ServeConfig& config, Node* node) {
  ClusterNode::Options options;
  options.snapshot_bytes_per_second = config.snapshot_bytes_per_second;
  options.hooks.on_peer_change = [node](size_t loop, const PeerChange& change) {
    LogPeerChange(loop, change);
    // It may know of members what this node does not.
    if (loop == 0 && change.kind == PeerChange::Kind::kRefused) {
      node->monitor->Ask([](const ClusterMonitor::Reports&) {});
    }
  };
  options.hooks.on_left = [node](const ClusterMember& member) {
    spdlog::info("node {} has left the cluster", member.node.value());
    node->admin->Change(
        {.kind = MemberChange::Kind::kForget, .node = member.node, .disk = member.disk},
        [](const absl::StatusOr<MembersView>&) {});
  };
  options.on_problem = [](const absl::Status& status) { spdlog::error("{}", status.ToString()); };
  node->cluster =
      std::make_unique<ClusterNode>(std::move(options), node->engine.get(), node->membership.get());
  const Identity& identity = node->data->identity();
  node->reporter = std::make_unique<NodeReporter>(
      NodeReporter::Options{.cluster_id = identity.cluster.cluster_id,
                            .node = identity.node,
                            .disk = identity.disk,
                            .version = kVersion,
                            .data_path = node->data->path()},
      node->cluster.get(), node->membership.get());
  node->monitor = std::make_unique<ClusterMonitor>(
      ClusterMonitor::Options{
          .cluster_id = identity.cluster.cluster_id, .self = identity.node, .on_clock = LogClock},
      node->cluster->executor(), node->membership.get());
}

// What the cluster needs of the engine once that runs.
void ServeCluster(const ServeConfig& config, Node* node) {
  node->admin = std::make_unique<ClusterAdmin>(
      ClusterAdmin::Parts{.engine = node->engine->router(),
                          .cluster = node->cluster.get(),
                          .membership = node->membership.get(),
                          .alone_only = config.sync_interval != absl::ZeroDuration()});
  node->bootstrap = std::make_unique<BootstrapService>(
      node->data->identity(), config.initial_cluster,
      [admin = node->admin.get()](NodeId id, DiskId disk, const std::string& where,
                                  BootstrapService::JoinDone done) {
        TakeIn(admin, id, disk, where, std::move(done));
      });
  node->service =
      std::make_unique<ClusterService>(ClusterService::Parts{.admin = node->admin.get(),
                                                             .engine = node->engine.get(),
                                                             .reporter = node->reporter.get(),
                                                             .monitor = node->monitor.get()});
}

absl::Status Start(const ServeConfig& config, StopReasons* reasons, Node* node) {
  RETURN_IF_ERROR(OpenDataDir(config, reasons, node));
  const Identity& identity = node->data->identity();
  ASSIGN_OR_RETURN(node->log,
                   SegmentLogStore::Open(&PosixFileSystem(), node->data->log_path(), {}));
  RocksDbStateStoreOptions state;
  state.directory = node->data->state_path();
  ASSIGN_OR_RETURN(node->state, OpenRocksDbStateStore(state));
  node->engine = std::make_unique<NodeEngine>(
      EngineOptions(config, identity), node->log.get(), node->state.get(),
      [reasons](const absl::Status& status) { reasons->Fail(status); });
  ConnectToOthers(config, node);
  RETURN_IF_ERROR(node->engine->Start(node->cluster.get()));
  const ClusterMember* const self = node->membership->Get()->Find(identity.node);
  GrpcServerOptions grpc;
  grpc.listen = ListenAddress(config, identity);
  grpc.advertise = config.advertise;
  if (grpc.advertise.empty() && self != nullptr) grpc.advertise = self->address;
  ServeCluster(config, node);
  grpc.services = {node->cluster->service(), node->bootstrap.get(), node->service.get(),
                   node->reporter.get()};
  grpc.body_bytes_max = config.body_bytes_max;
  grpc.version = kVersion;
  grpc.sync = config.sync_interval == absl::ZeroDuration()
                  ? "always"
                  : absl::StrCat("interval:", absl::ToInt64Milliseconds(config.sync_interval));
  ASSIGN_OR_RETURN(node->grpc, GrpcServer::Start(grpc, node->engine->router()));
  KeepMembers(reasons, node);
  const std::string address = grpc.advertise.empty() ? node->grpc->address() : grpc.advertise;
  node->cluster->Start(address);
  node->admin->Start(address);
  node->monitor->Start();
  nlohmann::json ports = {{"grpc", node->grpc->address()}};
  if (!config.listen_beanstalk.empty()) {
    BeanstalkServerOptions beanstalk;
    beanstalk.job_bytes_max = config.body_bytes_max;
    // Half of the cores parse and answer, as many again are busy with the shards.
    beanstalk.loops = std::clamp(std::thread::hardware_concurrency() / 2, 1u, 8u);
    const absl::StatusOr<int> fd = ListenOn(config.listen_beanstalk);
    if (!fd.ok()) {
      return absl::Status(fd.status().code(),
                          absl::StrCat(fd.status().message(),
                                       ": --listen-beanstalk takes another address, or none"));
    }
    node->beanstalk = std::make_unique<BeanstalkServer>(beanstalk, *fd, node->engine->router());
    ports["beanstalk"] = node->beanstalk->address();
  }
  return node->data->WritePorts(ports.dump() + "\n");
}

// Health says that the node serves when it has heard of each shard's leader and has caught up: else
// who restarts the nodes in turn leaves the next majority with a copy that is behind. The second
// time it catches up with what came during the first.
void WatchReadiness(Node* node, int caught_up = 0) {
  const LeaderTable& leaders = *node->engine->leaders();
  bool all_led = true;
  for (uint32_t shard = 0; shard < leaders.shards(); ++shard) {
    if (leaders.NodeOf(ShardId(shard)) == NodeId()) all_led = false;
  }
  const auto look_again = [node] {
    Executor* const loop = node->engine->first_loop();
    loop->RunAt(loop->MonotonicMicros() + kLookForLeadersMicros, [node] { WatchReadiness(node); });
  };
  if (!all_led) return look_again();
  if (caught_up == 2) return node->grpc->SetReady();
  node->engine->CatchUp([node, caught_up, look_again](const absl::Status& status) {
    node->engine->first_loop()->Post([node, caught_up, look_again, ok = status.ok()] {
      if (!ok) return look_again();
      WatchReadiness(node, caught_up + 1);
    });
  });
}

void LogStarted(const ServeConfig& config, const Node& node) {
  const Identity& identity = node.data->identity();
  spdlog::info("holdfast {} serves gRPC on {}: node {}, {} shards, data in {}, incarnation {}",
               kVersion, node.grpc->address(), identity.node.value(), identity.cluster.shards,
               config.data_dir, identity.incarnation);
  if (node.beanstalk != nullptr) {
    spdlog::info("serves the beanstalkd protocol on {}", node.beanstalk->address());
  }
  if (config.sync_interval != absl::ZeroDuration()) {
    spdlog::warn("--sync interval: a crash may lose what was acknowledged in the last {} ms",
                 absl::ToInt64Milliseconds(config.sync_interval));
  }
}

// In an order in which everything that was taken can still be answered.
void Stop(Node* node) {
  StopLimit limit(kStopAtMost);
  const absl::Time deadline = absl::Now() + kStopWithin;
  const absl::Time answered_by = deadline - absl::Seconds(2);
  if (node->has_others()) {
    limit.WaitFor("others to lead its shards");
    if (!node->cluster->LeaveLeadership(absl::Now() + kHandOverWithin)) {
      spdlog::warn("some shards are left without a leader");
    }
    node->engine->Drain();
    // What is taken from here on would be left without an answer: those of commands come from other
    // nodes, whose streams are the next to end.
    limit.WaitFor("its last answers");
    node->grpc->Close(answered_by);
    node->engine->AwaitAnswers(answered_by);
  }
  node->engine->Drain();
  limit.WaitFor("connections of the beanstalkd protocol");
  if (node->beanstalk != nullptr) node->beanstalk->Stop();
  limit.WaitFor("questions to other nodes");
  node->monitor->Stop();
  limit.WaitFor("streams to and from other nodes");
  node->cluster->Stop();
  if (node->has_others()) node->engine->Abandon();
  limit.WaitFor("calls and streams of clients");
  node->grpc->Stop(std::max(answered_by, absl::Now()));
  limit.WaitFor("its threads and the last flush");
  node->engine->Stop(absl::Now() < deadline ? Flusher::LastFlush::kDo : Flusher::LastFlush::kSkip);
}

}  // namespace

int Serve(const ServeConfig& config) {
  // What one thread allocates another frees here, so an arena a thread only fragments memory.
  mallopt(M_ARENA_MAX, 4);
  SetUpLogging(config.log_level);
  StopReasons reasons;
  const SparePoller spare_poller;
  Node node;
  if (absl::Status status = Start(config, &reasons, &node); !status.ok()) {
    if (absl::IsCancelled(status)) {
      spdlog::info("stopped: {}", std::string(status.message()));
      spdlog::shutdown();
      _exit(0);
    }
    spdlog::critical("holdfast cannot start: {}", status.ToString());
    spdlog::shutdown();
    // What was begun is left as it is: a crash is always safe, a half-made node's stop is not.
    _exit(1);
  }
  LogStarted(config, node);
  node.engine->first_loop()->Post([&node] { WatchReadiness(&node); });
  const absl::Status failure = reasons.Wait([&node] {
    if (node.beanstalk == nullptr) return;
    spdlog::info("asked to drain: beanstalkd clients get DRAINING for every put");
    node.beanstalk->Drain();
  });
  if (!failure.ok()) {
    node.grpc->Stop(absl::Now() + kFailWithin);
    spdlog::critical("holdfast ends: {}", failure.ToString());
    spdlog::shutdown();
    _exit(1);  // nothing of a failed disk's state is worth an orderly end
  }
  spdlog::info("stopping");
  Stop(&node);
  spdlog::info("stopped");
  spdlog::shutdown();
  return 0;
}

}  // namespace holdfast
