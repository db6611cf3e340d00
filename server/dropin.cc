#include "server/dropin.h"

#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "replication/node/group.h"
#include "replication/node/log_write.h"
#include "server/binlog_takeover.h"
#include "server/codec/entry_codec.h"
#include "server/codec/payload_codec.h"
#include "server/data_dir/data_dir.h"
#include "server/engine/node_engine.h"
#include "server/frontend/beanstalk/beanstalk_server.h"
#include "server/net/listener.h"
#include "server/trim_judge.h"
#include "storage/log/segment_log_store.h"
#include "storage/memory_log/memory_log_store.h"
#include "storage/memory_state/memory_state_store.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_state_store.h"

namespace holdfast {
namespace {

// The first descriptor that systemd hands over: sd_listen_fds(3).
constexpr int kFirstHandedOver = 3;

// Log writes that the loop does itself, as beanstalkd's does, when the log's thread is idle: with a
// sync only if few commands wait for it, so that the loop goes on with the others meanwhile.
constexpr uint64_t kSyncedByLoopMax = 1 << 10;
constexpr uint64_t kWrittenByLoopMax = 64 << 10;

// With -f0.
constexpr absl::Duration kLeasesSyncedWithin = absl::Milliseconds(50);

// Reservations need not be on disk before they are answered: who holds one is a connection to this
// process, so that it ends with the process, and what was reserved is ready again, whether the disk
// knows of it or not. Delete, release and bury, which come after, are synced with it.
bool LeasesOnly(const LogWrite& write) {
  return !write.reset.has_value() && !write.entries.empty() &&
         std::all_of(write.entries.begin(), write.entries.end(), [](const raft::Entry& entry) {
           return entry.type == raft::EntryType::kCommands && OnlyLeases(*entry.data);
         });
}

// A node and what it stands on, in order of construction.
struct Node {
  std::unique_ptr<DataDir> data;  // with -b
  std::unique_ptr<LogStore> log;
  std::unique_ptr<StateStore> state;
  std::unique_ptr<NodeEngine> engine;
  std::unique_ptr<BeanstalkServer> server;
};

void SetUpLogging(int verbosity) {
  auto logger = spdlog::stderr_color_mt("beanstalkd");
  logger->set_pattern("%n: %v");
  logger->set_level(verbosity > 0 ? spdlog::level::info : spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

// -1: systemd has handed over none.
absl::StatusOr<int> HandedOver() {
  const char* const pid = std::getenv("LISTEN_PID");
  const char* const count = std::getenv("LISTEN_FDS");
  if (pid == nullptr || count == nullptr || std::to_string(getpid()) != pid) return -1;
  int sockets = 0;
  if (!absl::SimpleAtoi(count, &sockets) || sockets != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("LISTEN_FDS is '", count, "'; one socket can be handed over"));
  }
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  const int fd = kFirstHandedOver;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "the socket of LISTEN_FDS");
  }
  return fd;
}

absl::Status Become(const std::string& user) {
  if (user.empty()) return absl::OkStatus();
  errno = 0;
  const passwd* const entry = getpwnam(user.c_str());
  if (entry == nullptr) {
    return absl::NotFoundError(absl::StrCat("-u ", user, ": there is no such user"));
  }
  const bool became = initgroups(user.c_str(), entry->pw_gid) == 0 && setgid(entry->pw_gid) == 0 &&
                      setuid(entry->pw_uid) == 0;
  return became ? absl::OkStatus() : ErrnoStatus(errno, absl::StrCat("become user ", user));
}

NodeEngine::Options EngineOptions(const DropInConfig& config) {
  NodeEngine::Options options;
  options.node = NodeId(1);
  options.disk = DiskId(std::random_device()() | 1u);
  options.shards = 1;
  options.loops = 1;
  options.readers = 1;
  options.payload_size_bytes_max =
      config.job_bytes_max + static_cast<uint32_t>(kAttributeBytesMax) + 4096;
  return options;
}

// The stores of a directory that is kept.
absl::Status OpenKept(const std::string& data_directory, Node* node, NodeEngine::Options* engine) {
  ASSIGN_OR_RETURN(node->data, DataDir::Open(data_directory, {.node = NodeId(1), .shards = 1}));
  engine->disk = node->data->identity().disk;
  engine->incarnation = node->data->identity().incarnation;
  engine->cluster_id = node->data->identity().cluster.cluster_id;
  ASSIGN_OR_RETURN(node->log,
                   SegmentLogStore::Open(&PosixFileSystem(), node->data->log_path(), {}));
  RocksDbStateStoreOptions state;
  state.directory = node->data->state_path();
  ASSIGN_OR_RETURN(node->state, OpenRocksDbStateStore(state));
  return absl::OkStatus();
}

absl::Status StartEngine(NodeEngine::Options engine, Node* node) {
  engine.initial_voters = {ReplicaOf(engine.node, engine.disk)};
  node->engine = std::make_unique<NodeEngine>(
      engine, node->log.get(), node->state.get(), [](const absl::Status& status) {
        spdlog::critical("cannot go on: {}", status.ToString());
        spdlog::shutdown();
        _exit(1);  // nothing of a failed disk's state is worth an orderly end
      });
  return node->engine->Start();
}

// A node for as long as it takes to bring the jobs in, each synced.
absl::Status FillFromBinlog(const DropInConfig& config, const std::string& data_directory,
                            Binlog* binlog) {
  Node node;
  NodeEngine::Options engine = EngineOptions(config);
  RETURN_IF_ERROR(OpenKept(data_directory, &node, &engine));
  RETURN_IF_ERROR(StartEngine(engine, &node));
  const absl::Status status = ImportJobs(binlog, node.engine->router());
  node.engine->Stop(Flusher::LastFlush::kDo);
  return status;
}

absl::Status OpenStores(const DropInConfig& config, Node* node, NodeEngine::Options* engine) {
  if (config.directory.empty()) {
    node->log = std::make_unique<MemoryLogStore>();
    node->state = std::make_unique<MemoryStateStore>();
    engine->log.thread = LogWriter::Thread::kCallers;
    engine->backing = Backing::kNothing;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(TakeOverBinlogs(config.directory,
                                  [&config](const std::string& data_directory, Binlog* binlog) {
                                    return FillFromBinlog(config, data_directory, binlog);
                                  }));
  engine->log.sync_interval = config.sync_interval;
  if (config.sync_interval == absl::ZeroDuration()) {
    engine->log.sync_interval = kLeasesSyncedWithin;
    engine->log.may_lag = LeasesOnly;
  }
  engine->log.callers_synced_bytes_max = kSyncedByLoopMax;
  engine->log.callers_bytes_max = kWrittenByLoopMax;
  return OpenKept(config.directory + "/holdfast", node, engine);
}

absl::Status Start(const DropInConfig& config, Node* node) {
  // First of all: who connects from here on is served once the rest is there.
  ASSIGN_OR_RETURN(int fd, HandedOver());
  if (fd < 0) {
    ASSIGN_OR_RETURN(fd, ListenOn(config.Address()));
  }
  RETURN_IF_ERROR(Become(config.user));
  NodeEngine::Options engine = EngineOptions(config);
  RETURN_IF_ERROR(OpenStores(config, node, &engine));
  RETURN_IF_ERROR(StartEngine(engine, node));
  BeanstalkServerOptions server;
  server.job_bytes_max = config.job_bytes_max;
  server.binlog_bytes_max = config.binlog_bytes_max;
  server.loop = node->engine->first_loop();
  node->server = std::make_unique<BeanstalkServer>(server, fd, node->engine->router());
  return absl::OkStatus();
}

}  // namespace

int ServeDropIn(const DropInConfig& config) {
  mallopt(M_ARENA_MAX, 2);
  SetUpLogging(config.verbosity);
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, number);
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &signals, nullptr), 0);
  Node node;
  if (const absl::Status status = Start(config, &node); !status.ok()) {
    spdlog::critical("{}", std::string(status.message()));
    spdlog::shutdown();
    _exit(1);
  }
  spdlog::info("holdfast {} serves on {}, {}", kVersion, node.server->address(),
               config.directory.empty() ? "keeping nothing" : "jobs in " + config.directory);
  TrimJudge judge;
  for (int number = 0; number != SIGTERM && number != SIGINT;) {
    constexpr timespec kLookEvery = {.tv_sec = 1, .tv_nsec = 0};
    number = sigtimedwait(&signals, nullptr, &kLookEvery);
    if (number == SIGUSR1) node.server->Drain();
    if (judge.Note(node.engine->unflushed_bytes())) malloc_trim(0);
  }
  node.server->Stop();
  node.engine->Stop(Flusher::LastFlush::kDo);
  spdlog::shutdown();
  return 0;
}

}  // namespace holdfast
