// The crash loops in short: ten rounds or so each. tools/crash runs them at length.

#include "tests/integration/crash_loop.h"

#include <cstdlib>
#include <iostream>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/support/checkers.h"
#include "tests/support/process.h"

namespace holdfast::testing {
namespace {

uint64_t Seed() {
  // Another one each time, printed, unless HOLDFAST_SEED asks for one again.
  const char* const asked = std::getenv("HOLDFAST_SEED");
  return asked != nullptr ? std::strtoull(asked, nullptr, 10)
                          : static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()));
}

CrashLoopOptions Options(const TemporaryDirectory& directory, CrashMode mode) {
  CrashLoopOptions options;
  options.binary = BuiltFile("server/holdfast");
  options.preload = BuiltFile("tests/support/powercut/libpowercut.so");
  options.directory = directory.path();
  options.mode = mode;
  options.seed = Seed();
  options.round_max = absl::Milliseconds(1200);
  return options;
}

class CrashLoopTest : public ::testing::Test {
 protected:
  CrashLoopReport Run(const CrashLoopOptions& options) {
    std::cout << "HOLDFAST_SEED=" << options.seed << std::endl;
    absl::StatusOr<CrashLoopReport> report = RunCrashLoop(options);
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) return {};
    std::cout << report->Summary() << std::endl;
    return *std::move(report);
  }
  TemporaryDirectory directory_;
};

TEST_F(CrashLoopTest, KillMinusNineLosesNothingAcknowledged) {
  const CrashLoopReport report = Run(Options(directory_, CrashMode::kKill));
  EXPECT_TRUE(report.violations.empty()) << Describe(report.violations, 20);
  EXPECT_GT(report.enqueued, 0u);
  EXPECT_GT(report.deleted, 0u);
  EXPECT_GT(report.unknown, 0u) << "the kills came at quiet moments and prove nothing";
}

TEST_F(CrashLoopTest, APowerCutLosesNothingAcknowledged) {
  const CrashLoopReport report = Run(Options(directory_, CrashMode::kPowerCut));
  EXPECT_TRUE(report.violations.empty()) << Describe(report.violations, 20);
  EXPECT_GT(report.enqueued, 0u);
  EXPECT_GT(report.deleted, 0u);
  EXPECT_GT(report.unknown, 0u) << "the cuts came at quiet moments and prove nothing";
  EXPECT_GT(report.unsynced_writes_cut, 0u) << "the cuts took nothing away and prove nothing";
}

// The control: were syncs not needed for the tests above to pass, they would prove nothing.
TEST_F(CrashLoopTest, WithSyncsIgnoredLossesAreFound) {
  CrashLoopOptions options = Options(directory_, CrashMode::kControl);
  options.rounds = 3;
  const CrashLoopReport report = Run(options);
  EXPECT_GT(report.enqueued, 0u);
  EXPECT_GT(report.CountOf("nothing acknowledged is lost"), 0);
}

}  // namespace
}  // namespace holdfast::testing
