#include "tests/support/process.h"

#include <signal.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace holdfast::testing {
namespace {

class ProcessTest : public ::testing::Test {
 protected:
  std::unique_ptr<Process> Shell(const std::string& script) {
    auto process = Process::Start({.command = {"/bin/sh", "-c", script},
                                   .environment = {{"HOLDFAST_TEST_WORD", "kelp"}},
                                   .log_path = directory_.path() + "/log"});
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  // A script that stands for the server: it is started with the server's arguments.
  ServerOptions Server(const std::string& script) {
    const std::string path = directory_.path() + "/server";
    std::ofstream(path) << "#!/bin/sh\n" << script;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return {.binary = path,
            .data_directory = directory_.path() + "/data",
            .arguments = {},
            .environment = {},
            .log_path = directory_.path() + "/log"};
  }
  TemporaryDirectory directory_;
};

TEST_F(ProcessTest, TellsExitCodeAndLog) {
  const auto process = Shell("echo out $HOLDFAST_TEST_WORD; echo err >&2; exit 7");
  const auto exit = process->Wait(absl::Seconds(30));
  ASSERT_TRUE(exit.ok()) << exit.status();
  EXPECT_EQ(exit->ToString(), "exit code 7");
  EXPECT_EQ(process->Log(), "out kelp\nerr\n");
  EXPECT_FALSE(process->Running());
}

TEST_F(ProcessTest, TheLogIsOfThisStartOnly) {
  ASSERT_TRUE(Shell("echo first")->Wait(absl::Seconds(30)).ok());
  const auto process = Shell("echo second");
  ASSERT_TRUE(process->Wait(absl::Seconds(30)).ok());
  EXPECT_EQ(process->Log(), "second\n");
}

TEST_F(ProcessTest, KillEndsItAtOnce) {
  const auto process = Shell("trap '' TERM; while :; do read x; done < /dev/zero");
  EXPECT_TRUE(process->Running());
  EXPECT_GT(process->ResidentBytes(), 0u);
  process->Kill();
  EXPECT_EQ(process->Wait(absl::ZeroDuration())->ToString(), absl::StrCat("signal ", SIGKILL));
  EXPECT_EQ(process->ResidentBytes(), 0u);
}

TEST_F(ProcessTest, WaitGivesUpAtItsDeadline) {
  const auto process = Shell("while :; do read x; done < /dev/zero");
  EXPECT_EQ(process->Wait(absl::Milliseconds(1)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  process->Signal(SIGTERM);
  EXPECT_EQ(process->Wait(absl::Seconds(30))->ToString(), absl::StrCat("signal ", SIGTERM));
}

TEST_F(ProcessTest, AMissingProgramIsAnError) {
  EXPECT_FALSE(Process::Start({.command = {"/nonexistent/program"},
                               .environment = {},
                               .log_path = directory_.path() + "/log"})
                   .ok());
}

TEST_F(ProcessTest, AServerThatEndsIsReportedWithItsLog) {
  const auto server =
      ServerProcess::Start(Server("echo cannot open it; exit 3"), absl::Seconds(30));
  EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(server.status().message().find("exit code 3: cannot open it"), std::string::npos)
      << server.status();
}

TEST_F(ProcessTest, AServerIsUpWhenItsPortAccepts) {
  const char* const kScript =
      "mkdir -p $3\nexec python3 -c 'import os, socket, sys\n"
      "s = socket.create_server((\"127.0.0.1\", 0))\n"
      "text = \"{\\\"grpc\\\": \\\"127.0.0.1:%d\\\"}\" % s.getsockname()[1]\n"
      "open(sys.argv[1] + \"/ports.json\", \"w\").write(text)\n"
      "while True: s.accept()' $3\n";
  const auto server = ServerProcess::Start(Server(kScript), absl::Seconds(60));
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->address().substr(0, 10), "127.0.0.1:");
}

TEST_F(ProcessTest, AServerThatNeverListensIsGivenUp) {
  const auto server =
      ServerProcess::Start(Server("while :; do read x; done < /dev/zero"), absl::Milliseconds(50));
  EXPECT_EQ(server.status().code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace holdfast::testing
