// A real server on a disk that fills up, turns read-only, or fails a sync. In each case: an error
// that says so, a log line that says so, no OK for what is not on the disk, and everything that
// was acknowledged is there after a power cut and a restart.

#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/integration/connection.h"
#include "tests/integration/tracked_jobs.h"
#include "tests/support/powercut/restore.h"
#include "tests/support/process.h"

namespace holdfast::testing {
namespace {

using powercut::DiskFault;

constexpr absl::Duration kTimeout = absl::Seconds(60);
// More than any log segment holds: the disk's fullness cannot go unnoticed.
constexpr uint64_t kLargeBodyBytes = 60'000;
constexpr int kLargeBodies = 4000;

class DiskFaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(root());
    std::filesystem::create_directories(journal());
  }
  std::string root() const { return directory_.path() + "/root"; }
  std::string journal() const { return directory_.path() + "/journal"; }

  absl::StatusOr<std::unique_ptr<ServerProcess>> StartServer(const std::string& fault = "none") {
    ServerOptions options;
    options.binary = BuiltFile("server/holdfast");
    options.data_directory = root() + "/data";
    options.log_path = directory_.path() + "/server.log";
    options.environment = {{"LD_PRELOAD", BuiltFile("tests/support/powercut/libpowercut.so")},
                           {"HOLDFAST_POWERCUT_ROOT", root()},
                           {"HOLDFAST_POWERCUT_JOURNAL", journal()},
                           {"HOLDFAST_POWERCUT_FAIL", fault}};
    return ServerProcess::Start(options, kTimeout);
  }

  // Starts a server and gives it jobs, some of which are deleted again.
  void StartWithJobs() {
    auto server = StartServer();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto connection = Connection::Open(server_->address());
    ASSERT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
    for (int i = 0; i < 200; ++i) {
      const Answer answer = jobs_.Enqueue(connection_->stub());
      ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    }
    ASSERT_TRUE(jobs_.DeleteSome(connection_->stub(), 50).ok());
  }

  void Fault(DiskFault fault) {
    const absl::Status status = powercut::SetDiskFault(journal(), fault, 0);
    ASSERT_TRUE(status.ok()) << status;
  }

  // Enqueues until one is not answered with OK; tells that answer.
  Answer EnqueueUntilRefused() {
    jobs_.set_body_bytes(kLargeBodyBytes);
    for (int i = 0; i < kLargeBodies; ++i) {
      const Answer answer = jobs_.Enqueue(connection_->stub());
      if (answer.outcome.ended != Ended::kOk) return answer;
    }
    ADD_FAILURE() << "everything was answered with OK";
    return {};
  }

  // Whatever the server does now, it must not acknowledge another `tries` enqueues.
  void ExpectNothingIsAcknowledged(int tries) {
    const uint64_t before = jobs_.acknowledged();
    for (int i = 0; i < tries; ++i) {
      if (!server_->process().Running()) break;
      jobs_.Enqueue(connection_->stub());
    }
    EXPECT_EQ(jobs_.acknowledged(), before);
  }

  void ExpectLogSays(const std::string& what) {
    const std::string log = server_->process().Log();
    EXPECT_TRUE(absl::StrContains(absl::AsciiStrToLower(log), what)) << log;
  }

  void ExpectStopsWithError() {
    const absl::StatusOr<Exit> exit = server_->process().Wait(kTimeout);
    ASSERT_TRUE(exit.ok()) << exit.status();
    EXPECT_FALSE(exit->signalled) << exit->ToString();
    EXPECT_NE(exit->code, 0);
  }

  // Ends the server, cuts the power, heals the disk and asks for everything back.
  void ExpectAllIsKept() {
    server_->process().Kill();
    const auto cut = powercut::Restore(root(), journal(), {});
    ASSERT_TRUE(cut.ok()) << cut.status();
    Fault(DiskFault::kNone);
    const auto server = StartServer();
    ASSERT_TRUE(server.ok()) << server.status();
    const auto connection = Connection::Open((*server)->address());
    ASSERT_TRUE(connection.ok()) << connection.status();
    const auto violations = jobs_.TakeBack((*connection)->stub(), kTimeout);
    ASSERT_TRUE(violations.ok()) << violations.status();
    EXPECT_TRUE(violations->empty()) << Describe(*violations, 10);
    EXPECT_GE(jobs_.acknowledged(), 200u);
  }

  TemporaryDirectory directory_;
  TrackedJobs jobs_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Connection> connection_;
};

// More than memory may hold unflushed: the log is cut by what the state store has.
TEST_F(DiskFaultTest, WhatWasFlushedIsKept) {
  ASSERT_NO_FATAL_FAILURE(StartWithJobs());
  jobs_.set_body_bytes(kLargeBodyBytes);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(jobs_.Enqueue(connection_->stub()).status.ok());
  }
  ASSERT_NO_FATAL_FAILURE(ExpectAllIsKept());
}

TEST_F(DiskFaultTest, AFullDiskIsToldAndNothingAcknowledgedIsLost) {
  ASSERT_NO_FATAL_FAILURE(StartWithJobs());
  ASSERT_NO_FATAL_FAILURE(Fault(DiskFault::kNoSpace));
  const Answer refused = EnqueueUntilRefused();
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED)
      << refused.status.error_message();
  EXPECT_EQ(refused.outcome.reason, "DISK_FULL");
  EXPECT_TRUE(server_->process().Running());
  EXPECT_GT(*powercut::InjectedFailures(journal()), 0u);
  ExpectLogSays("space");
  ASSERT_NO_FATAL_FAILURE(ExpectAllIsKept());
}

TEST_F(DiskFaultTest, OnceThereIsRoomAgainEnqueuesSucceedWithoutARestart) {
  ASSERT_NO_FATAL_FAILURE(StartWithJobs());
  ASSERT_NO_FATAL_FAILURE(Fault(DiskFault::kNoSpace));
  const Answer refused = EnqueueUntilRefused();
  ASSERT_EQ(refused.outcome.reason, "DISK_FULL");
  ASSERT_NO_FATAL_FAILURE(Fault(DiskFault::kNone));
  const absl::Time deadline = absl::Now() + kTimeout;
  Answer answer = refused;
  while (answer.outcome.ended != Ended::kOk && absl::Now() < deadline) {
    answer = jobs_.Enqueue(connection_->stub());
  }
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  ASSERT_NO_FATAL_FAILURE(ExpectAllIsKept());
}

TEST_F(DiskFaultTest, ADiskThatTurnsReadOnlyStopsTheServer) {
  ASSERT_NO_FATAL_FAILURE(StartWithJobs());
  ASSERT_NO_FATAL_FAILURE(Fault(DiskFault::kReadOnly));
  const Answer refused = EnqueueUntilRefused();
  EXPECT_NE(refused.outcome.ended, Ended::kOk);
  ExpectNothingIsAcknowledged(20);
  ExpectStopsWithError();
  ExpectLogSays("read-only");
  ASSERT_NO_FATAL_FAILURE(ExpectAllIsKept());
}

TEST_F(DiskFaultTest, AReadOnlyDiskIsRefusedAtStart) {
  ASSERT_NO_FATAL_FAILURE(StartWithJobs());
  server_->process().Signal(SIGTERM);
  ASSERT_TRUE(server_->process().Wait(kTimeout).ok());
  const auto server = StartServer("erofs");
  ASSERT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition) << server.status();
  EXPECT_FALSE(absl::StrContains(server.status().message(), "exit code 0"));
  EXPECT_FALSE(absl::StrContains(server.status().message(), "signal"));
  const std::string message = absl::AsciiStrToLower(server.status().message());
  EXPECT_TRUE(absl::StrContains(message, "read-only")) << message;
}

// After a failed sync nothing is known of what it covered, and Linux answers the next one with
// success although the bytes are lost: the only safe thing is to stop.
TEST_F(DiskFaultTest, AFailedSyncStopsTheServerAndIsNeverAnsweredWithOk) {
  ASSERT_NO_FATAL_FAILURE(StartWithJobs());
  ASSERT_NO_FATAL_FAILURE(Fault(DiskFault::kSyncError));
  const Answer refused = jobs_.Enqueue(connection_->stub());
  EXPECT_NE(refused.outcome.ended, Ended::kOk);
  ASSERT_NO_FATAL_FAILURE(Fault(DiskFault::kNone));
  ExpectNothingIsAcknowledged(20);
  ExpectStopsWithError();
  ExpectLogSays("sync");
  ASSERT_NO_FATAL_FAILURE(ExpectAllIsKept());
}

}  // namespace
}  // namespace holdfast::testing
