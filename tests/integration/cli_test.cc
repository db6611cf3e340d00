// The command line, as a process, against a real server.

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "gtest/gtest.h"
#include "tests/support/process.h"

namespace holdfast {
namespace {

using testing::BuiltFile;
using testing::Process;
using testing::ServerProcess;
using testing::TemporaryDirectory;

constexpr absl::Duration kPatience = absl::Seconds(60);

struct Said {
  int exit = -1;
  std::string text;  // stdout and stderr
};

void ExpectSays(const Said& said, int exit, const std::string& part) {
  EXPECT_EQ(said.exit, exit) << "instead of saying '" << part << "': " << said.text;
  EXPECT_NE(said.text.find(part), std::string::npos) << part << ": " << said.text;
}

class Cli : public ::testing::Test {
 protected:
  Cli() {
    auto server = ServerProcess::Start({.binary = binary_,
                                        .data_directory = directory_.path() + "/data",
                                        .arguments = {},
                                        .environment = {},
                                        .log_path = directory_.path() + "/server.log"},
                                       kPatience);
    CHECK(server.ok());
    server_ = *std::move(server);
  }

  std::unique_ptr<Process> Begin(std::vector<std::string> arguments, std::string endpoint = "") {
    arguments.insert(arguments.begin(), binary_);
    if (endpoint.empty()) endpoint = server_->address();
    auto process = Process::Start({.command = std::move(arguments),
                                   .environment = {{"HOLDFAST_ENDPOINT", endpoint}},
                                   .log_path = absl::StrCat(directory_.path(), "/", ++runs_)});
    CHECK(process.ok());
    return *std::move(process);
  }
  Said End(Process* process) {
    const auto exit = process->Wait(kPatience);
    CHECK(exit.ok());
    return {.exit = exit->signalled ? -exit->code : exit->code, .text = process->Log()};
  }
  Said Run(std::vector<std::string> arguments, std::string endpoint = "") {
    return End(Begin(std::move(arguments), std::move(endpoint)).get());
  }
  nlohmann::json Json(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--format", "json"});
    const Said said = Run(std::move(arguments));
    return nlohmann::json::parse(said.text, nullptr, /*allow_exceptions=*/false);
  }
  uint64_t Count(const std::string& queue, const char* name) {
    const nlohmann::json json = Json({"queue", "get", queue});
    return json.is_object() && json.contains("counts") ? json["counts"][name].get<uint64_t>() : 0;
  }
  // Asks until it is so; each question is a process, so this does not spin.
  void Await(const std::string& queue, const char* name, uint64_t at_least) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (Count(queue, name) < at_least) ASSERT_LT(absl::Now(), deadline) << queue << name;
  }
  static void AwaitSaid(const Process& process, const std::string& part) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!absl::StrContains(process.Log(), part)) ASSERT_LT(absl::Now(), deadline) << part;
  }
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = directory_.path() + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  const std::string binary_ = BuiltFile("server/holdfast");
  TemporaryDirectory directory_;
  std::unique_ptr<ServerProcess> server_;
  int runs_ = 0;
};

TEST_F(Cli, TakesAJobThroughItsLife) {
  EXPECT_EQ(Run({"enqueue", "q", "hello"}).exit, 0);
  const nlohmann::json jobs = Json({"reserve", "q", "--lease", "30s"});
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["body"], "hello");
  const std::string lease = jobs[0]["lease"];
  ExpectSays(Run({"touch", lease}), 0, "touched");
  ExpectSays(Run({"release", lease, "--delay", "1h"}), 0, "released");
  ExpectSays(Run({"delete", lease}), 1, "LEASE_INVALID");
  ExpectSays(Run({"kick", "q"}), 0, "1 jobs kicked");
  const std::string second = Json({"reserve", "q"})[0]["lease"];
  ExpectSays(Run({"bury", second}), 0, "buried");
  ExpectSays(Run({"peek", "q", "--state", "buried"}), 0, "reason: by_worker");
  ExpectSays(Run({"jobs", "kick", absl::StrCat(jobs[0]["id"].get<uint64_t>())}), 0, "kicked");
  const std::string third = Json({"reserve", "q"})[0]["lease"];
  ExpectSays(Run({"delete", third}), 0, "deleted");
  ExpectSays(Run({"reserve", "q"}), 3, "nothing is ready");
}

TEST_F(Cli, ManagesQueues) {
  ExpectSays(Run({"queue", "set", "q", "--max-attempts", "3", "--backoff-min", "2s"}), 0,
             "backoff: 2s to 1h");
  ExpectSays(Run({"queue", "set", "q", "--backoff-max", "1m"}), 0, "max attempts: 3");
  ExpectSays(Run({"queue", "set", "q"}), 2, "something to set");
  EXPECT_EQ(Run({"enqueue", "q", "x", "--count", "5"}).exit, 0);
  ExpectSays(Run({"pause", "q"}), 0, "paused");
  EXPECT_EQ(Run({"reserve", "q"}).exit, 3);
  ExpectSays(Run({"resume", "q"}), 0, "resumed");
  ExpectSays(Run({"queue", "list"}), 0, "q  ");
  EXPECT_EQ(Json({"jobs", "list", "q"}).size(), 5u);
  EXPECT_EQ(Json({"jobs", "list", "q", "--stale"}).size(), 5u);
  EXPECT_EQ(Json({"queue", "list", "--stale"}).size(), 1u);
  EXPECT_EQ(Json({"queue", "get", "q", "--stale"})["name"], "q");
  ExpectSays(Run({"peek", "q", "--stale"}), 0, "body:");
  const uint64_t id = Json({"jobs", "list", "q"})[0]["id"];
  ExpectSays(Run({"jobs", "delete", absl::StrCat(id)}), 0, "deleted");
  ExpectSays(Run({"purge", "q"}), 0, "4 jobs deleted");
  ExpectSays(Run({"queue", "delete", "q"}), 0, "deleted");
  ExpectSays(Run({"queue", "get", "q"}), 1, "QUEUE_NOT_FOUND");
}

TEST_F(Cli, TellsHowTheClusterIs) {
  ExpectSays(Run({"cluster", "status"}), 0, "every shard has a leader, and every member keeps up");
  const nlohmann::json cluster = Json({"cluster", "status"});
  ASSERT_EQ(cluster["members"].size(), 1u);
  const nlohmann::json& status = cluster["members"][0]["status"];
  ExpectSays(Run({"version"}), 0, status["version"].get<std::string>());
  EXPECT_GT(status["disk_bytes"], 0);
  EXPECT_EQ(status["replicas"].size(), cluster["shards"].size());
  EXPECT_EQ(cluster["warnings"], nlohmann::json::array());
}

TEST_F(Cli, RefusesWrongArgumentsWithWhatIsWrong) {
  ExpectSays(Run({"nosuch"}), 2, "there is no command 'nosuch'");
  ExpectSays(Run({"enqueue", "q"}), 2, "needs a BODY");
  ExpectSays(Run({"enqueue", "q", "x", "--priority", "-1"}), 2, "--priority");
  ExpectSays(Run({"enqueue", "q", "x", "--priority", "4294967296"}), 2, "--priority");
  ExpectSays(Run({"enqueue", "q", "x", "--delay", "-5s"}), 2, "'-5s'");
  ExpectSays(Run({"enqueue", "q", "x", "--attribute", "ab"}), 2, "NAME=VALUE");
  ExpectSays(Run({"delete", "x"}), 2, "JOB_ID:TOKEN");
  ExpectSays(Run({"reserve", "q", "--max", "1001"}), 2, "--max");
  ExpectSays(Run({"purge", "q", "--state", "gone"}), 2, "'gone'");
  ExpectSays(Run({"work", "q"}), 2, "needs a command");
  ExpectSays(Run({"--format", "json", "serve"}), 2, "comes first");
  ExpectSays(Run({"enqueue", "bad queue", "x"}), 1, "INVALID_FIELD");
}

TEST_F(Cli, SaysThatNobodyAnswers) {
  ExpectSays(Run({"--timeout", "1s", "queue", "list"}, "127.0.0.1:1"), 4, "127.0.0.1:1");
  ExpectSays(
      Run({"work", "q", "--give-up", "1s", "--idle-exit", "1ms", "--", "true"}, "127.0.0.1:1"), 4,
      "trying again");
}

TEST_F(Cli, TakesTheEndpointBeforeAndAfterTheCommand) {
  const std::string address = server_->address();
  EXPECT_EQ(Run({"--endpoint", address, "enqueue", "q", "x"}, "127.0.0.1:1").exit, 0);
  EXPECT_EQ(Run({"enqueue", "q", "x", "--endpoint", address}, "127.0.0.1:1").exit, 0);
  EXPECT_EQ(Run({"enqueue", "q", "--", "-x"}).exit, 0);
  EXPECT_EQ(Count("q", "ready"), 3u);
}

TEST_F(Cli, EveryCommandIsDocumentedAndHasHelp) {
  std::ifstream file(BuiltFile("docs/cli.md"));
  std::stringstream docs;
  docs << file.rdbuf();
  const std::string help = Run({"--help"}).text;
  int commands = 0;
  const std::string listed = help.substr(help.find("Subcommands:"));
  for (const absl::string_view line : absl::StrSplit(listed, '\n')) {
    if (line.size() < 3 || line.substr(0, 2) != "  " || line[2] == ' ') continue;
    const std::string name(line.substr(2, line.find(' ', 2) - 2));
    EXPECT_NE(docs.str().find("`holdfast " + name), std::string::npos) << name;
    EXPECT_EQ(Run({name, "--help"}).exit, 0) << name;
    ++commands;
  }
  EXPECT_GE(commands, 17);
}

// What each scenario leaves behind of 300 jobs, and that it counts what it did.
TEST_F(Cli, BenchDoesWhatItSays) {
  const std::pair<const char*, uint64_t> kReadyAfter[] = {
      {"ping", 0},  {"enqueue", 300}, {"consume", 0}, {"enqueue-stream", 300},
      {"drain", 0}, {"cycle", 0},     {"work", 0},
  };
  for (const auto& [scenario, ready] : kReadyAfter) {
    const Said said = Run({"bench", scenario, "--jobs", "300", "--seconds", "0", "--batch", "10",
                           "--format", "json"});
    const auto json = nlohmann::json::parse(said.text, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(json.is_object()) << scenario << ": " << said.text;
    EXPECT_EQ(json["failures"], 0) << scenario << ": " << json["first_failure"];
    EXPECT_EQ(json["jobs"], 300) << scenario;
    EXPECT_EQ(Count("bench", "ready"), ready) << scenario;
    EXPECT_EQ(Count("bench", "reserved"), 0u) << scenario;
  }
}

TEST_F(Cli, BenchWorkEndsWithItsServer) {
  const auto bench = Begin({"bench", "work", "--seconds", "600"});
  Await("bench", "reserved", 1);
  server_->process().Kill();
  ExpectSays(End(bench.get()), 1, "first failure");
}

// What stood after "--" was taken for names of queues.
TEST_F(Cli, WorkRunsItsCommandForEachJob) {
  std::string lines;
  for (int i = 0; i < 200; ++i) absl::StrAppend(&lines, "line", i, "\n");
  ExpectSays(Run({"enqueue", "q", "--lines", Write("lines", lines)}), 0, "200 jobs enqueued");
  const std::string out = directory_.path() + "/out";
  const std::string script = "read line; echo $line $HOLDFAST_JOB_ID >> " + out;
  ExpectSays(Run({"work", "q", "--parallel", "4", "--max-jobs", "200", "--", "sh", "-c", script}),
             0, "200 done, 0 failed");
  std::ifstream file(out);
  std::set<std::string> seen;
  for (std::string line; std::getline(file, line);) seen.insert(line);
  EXPECT_EQ(seen.size(), 200u);
  EXPECT_EQ(Count("q", "total_deleted"), 200u);
}

TEST_F(Cli, WorkLeavesAFailingJobToTheRetryPolicy) {
  Run({"queue", "set", "q", "--max-attempts", "2", "--backoff-min", "10ms"});
  Run({"enqueue", "q", "x"});
  ExpectSays(Run({"work", "q", "--max-jobs", "2", "--", "sh", "-c", "exit 7"}), 0, "exit code 7");
  ExpectSays(Run({"peek", "q", "--state", "buried"}), 0, "attempts_exhausted");
}

TEST_F(Cli, WorkWithoutSuchACommandGivesTheJobBack) {
  Run({"enqueue", "q", "x"});
  ExpectSays(Run({"work", "q", "--", "/nowhere/command"}), 2, "/nowhere/command");
  EXPECT_EQ(Count("q", "ready"), 1u);
}

TEST_F(Cli, WorkTouchesALeaseShorterThanItsCommand) {
  Run({"enqueue", "q", "x", "--lease", "600ms"});
  ExpectSays(Run({"work", "q", "--max-jobs", "1", "--", "sleep", "2"}), 0, "1 done");
  EXPECT_EQ(Count("q", "total_timeouts"), 0u);
}

TEST_F(Cli, WorkEndsTheCommandOfACancelledJob) {
  Run({"enqueue", "q", "x"});
  const auto worker = Begin({"work", "q", "--max-jobs", "1", "--", "sleep", "600"});
  Await("q", "reserved", 1);
  const uint64_t id = Json({"jobs", "list", "q", "--state", "reserved"})[0]["id"];
  EXPECT_EQ(Run({"jobs", "delete", absl::StrCat(id), "--cancel-reserved"}).exit, 0);
  ExpectSays(End(worker.get()), 0, "after its lease had ended");
}

TEST_F(Cli, WorkStopsAfterItsRunningCommand) {
  const std::string fifo = directory_.path() + "/go";
  Run({"enqueue", "q", "x", "--count", "3"});
  const auto worker =
      Begin({"work", "q", "--", "sh", "-c", "until test -e " + fifo + "; do sleep 0.05; done"});
  Await("q", "reserved", 1);
  worker->Signal(SIGTERM);
  AwaitSaid(*worker, "ends when");
  Write("go", "");
  ExpectSays(End(worker.get()), 0, "1 done, 0 failed");
  EXPECT_EQ(Count("q", "ready"), 2u);
}

TEST_F(Cli, AKilledWorkersJobComesBack) {
  Run({"enqueue", "q", "x", "--lease", "1s"});
  const auto worker = Begin({"work", "q", "--", "sleep", "5"});
  Await("q", "reserved", 1);
  worker->Kill();
  const nlohmann::json jobs = Json({"reserve", "q", "--wait", "30s"});
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["attempts"], 2);
}

TEST_F(Cli, LinesSurviveAKilledServerWithoutLossOrDouble) {
  constexpr int kLines = 300'000;
  std::string lines;
  for (int i = 0; i < kLines; ++i) absl::StrAppend(&lines, "body", i, "\n");
  const auto enqueue = Begin({"enqueue", "q", "--lines", Write("lines", lines)});
  Await("q", "ready", 1);
  server_->process().Kill();
  EXPECT_TRUE(enqueue->Running());
  const auto again =
      Process::Start({.command = {binary_, "serve", "--data-dir", directory_.path() + "/data",
                                  "--listen", server_->address(), "--listen-beanstalk", "none"},
                      .environment = {},
                      .log_path = directory_.path() + "/server.log"});
  ASSERT_TRUE(again.ok());
  ExpectSays(End(enqueue.get()), 0, absl::StrCat(kLines, " jobs enqueued"));
  EXPECT_EQ(Count("q", "ready"), static_cast<uint64_t>(kLines));
  const Said listed =
      Run({"--timeout", "60s", "jobs", "list", "q", "--limit", "400000", "--bodies"});
  std::set<std::string> bodies;
  for (const auto line : absl::StrSplit(listed.text, '\n')) {
    if (line.substr(0, 4) != "body") continue;
    EXPECT_TRUE(bodies.insert(std::string(line)).second) << line;
  }
  EXPECT_EQ(bodies.size(), static_cast<size_t>(kLines));
}

}  // namespace
}  // namespace holdfast
