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

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "replication/node/group.h"
#include "server/codec/payload_codec.h"
#include "server/data_dir/data_dir.h"
#include "server/engine/node_engine.h"
#include "server/frontend/beanstalk/beanstalk_server.h"
#include "server/frontend/grpc/grpc_server.h"
#include "server/net/listener.h"
#include "storage/log/segment_log_store.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_state_store.h"

namespace holdfast {
namespace {

// From the signal to the end, the last flush included.
constexpr absl::Duration kStopWithin = absl::Seconds(4);
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

NodeEngine::Options EngineOptions(const ServeConfig& config, const Identity& identity) {
  NodeEngine::Options options;
  options.node = identity.node;
  options.disk = identity.disk;
  options.incarnation = identity.incarnation;
  options.cluster_id = identity.cluster_id;
  options.shards = identity.shards;
  options.initial_voters = {ReplicaOf(identity.node, identity.disk)};
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
  std::unique_ptr<GrpcServer> grpc;
  std::unique_ptr<BeanstalkServer> beanstalk;  // may be nullptr
};

absl::Status Start(const ServeConfig& config, StopReasons* reasons, Node* node) {
  ASSIGN_OR_RETURN(node->data, DataDir::Open(config.data_dir, {.node = NodeId(config.node_id),
                                                               .shards = config.shards}));
  const Identity& identity = node->data->identity();
  ASSIGN_OR_RETURN(node->log,
                   SegmentLogStore::Open(&PosixFileSystem(), node->data->log_path(), {}));
  RocksDbStateStoreOptions state;
  state.directory = node->data->state_path();
  ASSIGN_OR_RETURN(node->state, OpenRocksDbStateStore(state));
  node->engine = std::make_unique<NodeEngine>(
      EngineOptions(config, identity), node->log.get(), node->state.get(),
      [reasons](const absl::Status& status) { reasons->Fail(status); });
  RETURN_IF_ERROR(node->engine->Start());
  GrpcServerOptions grpc;
  grpc.listen = config.listen;
  grpc.body_bytes_max = config.body_bytes_max;
  grpc.version = kVersion;
  grpc.sync = config.sync_interval == absl::ZeroDuration()
                  ? "always"
                  : absl::StrCat("interval:", absl::ToInt64Milliseconds(config.sync_interval));
  ASSIGN_OR_RETURN(node->grpc, GrpcServer::Start(grpc, node->engine->router()));
  nlohmann::json ports = {{"grpc", node->grpc->address()}};
  if (!config.listen_beanstalk.empty()) {
    BeanstalkServerOptions beanstalk;
    beanstalk.job_bytes_max = config.body_bytes_max;
    // Half of the cores parse and answer, as many again are busy with the shards.
    beanstalk.loops = std::clamp(std::thread::hardware_concurrency() / 2, 1u, 8u);
    ASSIGN_OR_RETURN(const int fd, ListenOn(config.listen_beanstalk));
    node->beanstalk = std::make_unique<BeanstalkServer>(beanstalk, fd, node->engine->router());
    ports["beanstalk"] = node->beanstalk->address();
  }
  return node->data->WritePorts(ports.dump() + "\n");
}

void LogStarted(const ServeConfig& config, const Node& node) {
  const Identity& identity = node.data->identity();
  spdlog::info("holdfast {} serves gRPC on {}: node {}, {} shards, data in {}, start {}", kVersion,
               node.grpc->address(), identity.node.value(), identity.shards, config.data_dir,
               identity.incarnation);
  if (node.beanstalk != nullptr) {
    spdlog::info("serves the beanstalkd protocol on {}", node.beanstalk->address());
  }
  if (config.sync_interval != absl::ZeroDuration()) {
    spdlog::warn("--sync interval: a crash may lose what was acknowledged in the last {} ms",
                 absl::ToInt64Milliseconds(config.sync_interval));
  }
}

}  // namespace

int Serve(const ServeConfig& config) {
  // What one thread allocates another frees here, so an arena a thread only fragments memory.
  mallopt(M_ARENA_MAX, 4);
  SetUpLogging(config.log_level);
  StopReasons reasons;
  Node node;
  if (absl::Status status = Start(config, &reasons, &node); !status.ok()) {
    spdlog::critical("holdfast cannot start: {}", status.ToString());
    spdlog::shutdown();
    // What was begun is left as it is: a crash is always safe, a half-made node's stop is not.
    _exit(1);
  }
  LogStarted(config, node);
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
  const absl::Time deadline = absl::Now() + kStopWithin;
  node.engine->Drain();
  if (node.beanstalk != nullptr) node.beanstalk->Stop();
  node.grpc->Stop(deadline - absl::Seconds(2));
  node.engine->Stop(absl::Now() < deadline ? Flusher::LastFlush::kDo : Flusher::LastFlush::kSkip);
  spdlog::info("stopped");
  spdlog::shutdown();
  return 0;
}

}  // namespace holdfast
