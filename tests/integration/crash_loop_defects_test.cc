// Judges the judge: the crash loop finds nothing wrong with a right server, and finds each defect
// of a wrong one by the rule it breaks.

#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/integration/crash_loop.h"
#include "tests/support/checkers.h"
#include "tests/support/process.h"

namespace holdfast::testing {
namespace {

struct Case {
  const char* defect;
  CrashMode mode;
  const char* rule;  // empty: nothing is wrong
  int rounds = 5;
};

const Case kCases[] = {
    {"none", CrashMode::kKill, ""},
    {"none", CrashMode::kPowerCut, ""},
    {"no-sync", CrashMode::kPowerCut, "nothing acknowledged is lost"},
    {"no-directory-sync", CrashMode::kPowerCut, "nothing acknowledged is lost"},
    {"forget-deletes", CrashMode::kKill, "a delete is final"},
    {"forget-requests", CrashMode::kKill, "an enqueue is done once", 40},
    {"forget-leases", CrashMode::kKill, "leases do not overlap"},
    {"reuse-tokens", CrashMode::kKill, "leases do not overlap"},
    {"accept-stale", CrashMode::kKill, "a stale token never succeeds", 12},
    {"ignore-delays", CrashMode::kKill, "nothing is handed out before its delay"},
    {"damage-bodies", CrashMode::kKill, "nothing is invented"},
};

class CrashLoopDefects : public ::testing::TestWithParam<Case> {};

TEST_P(CrashLoopDefects, AreFoundByTheRuleTheyBreak) {
  const TemporaryDirectory directory;
  CrashLoopOptions options;
  options.binary = BuiltFile("tests/integration/reference_server");
  options.preload = BuiltFile("tests/support/powercut/libpowercut.so");
  options.directory = directory.path();
  options.server_arguments = {"--defect", GetParam().defect};
  options.mode = GetParam().mode;
  options.rounds = GetParam().rounds;
  options.round_max = absl::Milliseconds(800);
  // With this seed the first round ends with a cut that keeps nothing unsynced.
  options.seed = 3;
  std::cout << GetParam().defect << std::endl;
  const auto report = RunCrashLoop(options);
  ASSERT_TRUE(report.ok()) << report.status();
  std::cout << report->Summary() << std::endl;
  EXPECT_GT(report->enqueued, 0u);
  if (*GetParam().rule == '\0') {
    EXPECT_TRUE(report->violations.empty()) << Describe(report->violations, 10);
  } else {
    EXPECT_GT(report->CountOf(GetParam().rule), 0) << Describe(report->violations, 10);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CrashLoopDefects, ::testing::ValuesIn(kCases),
                         [](const ::testing::TestParamInfo<Case>& info) {
                           std::string name = absl::StrCat(
                               info.param.defect,
                               info.param.mode == CrashMode::kKill ? "Kill" : "PowerCut");
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace holdfast::testing
