#include "tests/integration/crash_loop.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/prng.h"
#include "base/status_macros.h"
#include "tests/integration/connection.h"
#include "tests/integration/tracked_disk.h"
#include "tests/integration/workload.h"
#include "tests/support/process.h"

namespace holdfast::testing {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);
constexpr absl::Duration kDrainTimeout = absl::Seconds(60);

const char* NameOf(CrashMode mode) {
  switch (mode) {
    case CrashMode::kKill:
      return "kill";
    case CrashMode::kPowerCut:
      return "powercut";
    case CrashMode::kControl:
      return "control";
  }
  return "?";
}

class CrashLoop {
 public:
  explicit CrashLoop(const CrashLoopOptions& options)
      : options_(options),
        random_(options.seed),
        disk_(options.directory, options.preload,
              options.mode == CrashMode::kControl ? Syncs::kIgnored : Syncs::kKept) {
    report_.mode = options.mode;
    report_.seed = options.seed;
    shared_.request_prefix = absl::StrCat("crash-", options.seed, "-");
    for (const char* name : {"kelp", "limpet", "mussel", "barnacle", "urchin", "whelk"}) {
      shared_.queues.push_back(name);
    }
    for (int i = 0; i < options.producers; ++i) {
      clients_.push_back(MakeProducer(&shared_, random_.Next()));
    }
    for (int i = 0; i < options.workers; ++i) {
      clients_.push_back(MakeWorker(&shared_, random_.Next()));
    }
  }

  absl::StatusOr<CrashLoopReport> Run() {
    for (; report_.rounds < options_.rounds; ++report_.rounds) {
      RETURN_IF_ERROR(RunRound());
    }
    RETURN_IF_ERROR(Finish());
    report_.enqueued = shared_.enqueued.load();
    report_.deleted = shared_.deleted.load();
    report_.acknowledged = shared_.acknowledged.load();
    report_.unknown = shared_.unknown.load();
    report_.repeated = shared_.repeated.load();
    report_.violations = CheckAll(shared_.history, {});
    return report_;
  }

 private:
  bool CutsPower() const { return options_.mode != CrashMode::kKill; }

  ServerOptions MakeServerOptions() const {
    ServerOptions options;
    options.binary = options_.binary;
    options.data_directory = disk_.root() + "/data";
    options.arguments = options_.server_arguments;
    options.log_path = options_.directory + "/server.log";
    if (CutsPower()) options.environment = disk_.Environment();
    return options;
  }

  absl::StatusOr<std::unique_ptr<ServerProcess>> StartServer() {
    const absl::Time begin = absl::Now();
    auto server = ServerProcess::Start(MakeServerOptions(), kStartTimeout);
    report_.start_max = std::max(report_.start_max, absl::Now() - begin);
    return server;
  }

  // Starts the server and kills it before it is up, at a random moment of its recovery.
  absl::Status KillEarly() {
    ++report_.early_kills;
    const auto within = absl::Microseconds(static_cast<int64_t>(random_.Below(150'000)));
    const auto server = ServerProcess::Start(MakeServerOptions(), within);
    // It is killed when `server` goes; a server that ended by itself is a failure.
    return absl::IsFailedPrecondition(server.status()) ? server.status() : absl::OkStatus();
  }

  absl::Status RunRound() {
    if (random_.Chance(1, 6)) {
      RETURN_IF_ERROR(KillEarly());
      RETURN_IF_ERROR(MaybeCut());
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<ServerProcess> server, StartServer());
    ASSIGN_OR_RETURN(const std::unique_ptr<Connection> connection,
                     Connection::Open(server->address()));
    if (!queues_made_ || options_.mode == CrashMode::kControl) {
      RETURN_IF_ERROR(MakeQueues(shared_, connection->stub()));
      queues_made_ = true;
    }
    StopSignal stop;
    const Round round = {.server = connection->stub(), .stop = &stop};
    std::vector<std::thread> threads;
    for (const auto& client : clients_) {
      threads.emplace_back([&client, &round] { client->Run(round); });
    }
    // The moment of the crash: a random time from now, in the middle of whatever happens.
    const int64_t longest = absl::ToInt64Microseconds(options_.round_max);
    const absl::StatusOr<Exit> ended = server->process().Wait(
        absl::Microseconds(static_cast<int64_t>(random_.Between(10'000, longest))));
    report_.resident_bytes_max =
        std::max(report_.resident_bytes_max, server->process().ResidentBytes());
    server->process().Kill();
    stop.Set();
    for (std::thread& thread : threads) thread.join();
    if (ended.ok()) {
      return absl::InternalError(absl::StrCat("the server ended by itself in round ",
                                              report_.rounds, " with ", ended->ToString()));
    }
    return MaybeCut();
  }

  absl::Status MaybeCut() {
    if (!CutsPower()) return absl::OkStatus();
    // Without a cut the next start finds bytes that are there but not synced.
    if (options_.mode == CrashMode::kPowerCut && random_.Chance(1, 4)) return absl::OkStatus();
    ASSIGN_OR_RETURN(const powercut::RestoreReport cut, disk_.Cut(&random_));
    ++report_.cuts;
    report_.unsynced_writes_cut += cut.writes_undone;
    report_.names_cut += cut.names_undone;
    return absl::OkStatus();
  }

  absl::Status Finish() {
    ASSIGN_OR_RETURN(const std::unique_ptr<ServerProcess> server, StartServer());
    ASSIGN_OR_RETURN(const std::unique_ptr<Connection> connection,
                     Connection::Open(server->address()));
    if (options_.mode == CrashMode::kControl) {
      RETURN_IF_ERROR(MakeQueues(shared_, connection->stub()));
    }
    const StopSignal never;
    for (const auto& client : clients_) {
      client->Settle({.server = connection->stub(), .stop = &never});
    }
    RETURN_IF_ERROR(SampleCounts(&shared_, connection->stub()));
    RETURN_IF_ERROR(Drain(&shared_, connection->stub(), kDrainTimeout));
    return SampleCounts(&shared_, connection->stub());
  }

  const CrashLoopOptions options_;
  Prng random_;
  TrackedDisk disk_;
  SharedState shared_;
  std::vector<std::unique_ptr<Client>> clients_;
  CrashLoopReport report_;
  bool queues_made_ = false;
};

}  // namespace

int CrashLoopReport::CountOf(const std::string& rule) const {
  return static_cast<int>(
      std::count_if(violations.begin(), violations.end(),
                    [&](const Violation& violation) { return violation.rule == rule; }));
}

std::string CrashLoopReport::Summary() const {
  return absl::StrCat(
      "crash mode=", NameOf(mode), " seed=", seed, " rounds=", rounds, " cuts=", cuts,
      " early_kills=", early_kills, " enqueued=", enqueued, " deleted=", deleted,
      " commands_acknowledged=", acknowledged, " answers_lost=", unknown,
      " requests_repeated=", repeated, " unsynced_writes_cut=", unsynced_writes_cut,
      " names_cut=", names_cut, " start_max_ms=", absl::ToInt64Milliseconds(start_max),
      " resident_max_mb=", resident_bytes_max >> 20,
      " lost=", CountOf("nothing acknowledged is lost"),
      " after_delete=", CountOf("a delete is final"),
      " overlapping_leases=", CountOf("leases do not overlap"), " violations=", violations.size());
}

absl::StatusOr<CrashLoopReport> RunCrashLoop(const CrashLoopOptions& options) {
  return CrashLoop(options).Run();
}

}  // namespace holdfast::testing
