// Each fault once, in short; tools/chaos does it at length.
//
// Where network namespaces are not permitted this says SKIPPED and names the faults that are left
// out; the others are done on loopback.

#include <cstdlib>
#include <iostream>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/integration/chaos/chaos_run.h"
#include "tests/integration/chaos/sandbox.h"
#include "tests/support/checkers.h"
#include "tests/support/process.h"

namespace holdfast::testing {
namespace {

NetworkKind network = NetworkKind::kNamespaces;

class ChaosTest : public ::testing::Test {
 protected:
  ChaosTest() {
    // Another one each time, printed, unless HOLDFAST_SEED asks for one again.
    const char* const asked = std::getenv("HOLDFAST_SEED");
    options_.seed = asked != nullptr ? std::strtoull(asked, nullptr, 10)
                                     : static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()));
    options_.binary = BuiltFile("server/holdfast");
    options_.preload = BuiltFile("tests/support/powercut/libpowercut.so");
    options_.directory = directory_.path();
    options_.network = network;
    if (network == NetworkKind::kNamespaces) options_.clock_library = kClockLibrary;
    options_.fault_length_max = absl::Seconds(2);
  }

  Verdict Run() {
    std::cout << "HOLDFAST_SEED=" << options_.seed << std::endl;
    absl::StatusOr<Verdict> verdict = RunChaos(options_);
    EXPECT_TRUE(verdict.ok()) << verdict.status();
    if (!verdict.ok()) return {};
    std::cout << verdict->Table() << std::endl;
    return *std::move(verdict);
  }
  void ExpectPromisesKept(const Verdict& verdict) {
    EXPECT_TRUE(verdict.violations.empty()) << Describe(verdict.violations, 20);
    EXPECT_GT(verdict.enqueued, 0u);
    EXPECT_GT(verdict.deleted, 0u);
    EXPECT_GT(verdict.states_compared, 0u);
    for (const auto& [name, count] : verdict.faults) EXPECT_EQ(count, 1) << name;
  }

  TemporaryDirectory directory_;
  ChaosOptions options_;
};

TEST_F(ChaosTest, EachFaultOnceLosesNothingAcknowledged) {
  const Verdict verdict = Run();
  ExpectPromisesKept(verdict);
  EXPECT_GT(verdict.by_beanstalkd, 0u);
  EXPECT_LT(verdict.by_beanstalkd, verdict.acknowledged);
  EXPECT_GT(verdict.unknown, 0u) << "the faults came at quiet moments and prove nothing";
  EXPECT_GT(verdict.writes_cut, 0u) << "the power cuts took nothing away and prove nothing";
}

TEST_F(ChaosTest, AFullDiskLosesNothingAcknowledged) {
  options_.kinds = {"disk", "kill"};
  options_.small_disk_bytes = network == NetworkKind::kNamespaces ? 768 << 20 : 0;
  ExpectPromisesKept(Run());
}

// The control: were syncs not needed for the tests above to pass, they would prove nothing.
TEST_F(ChaosTest, WithSyncsIgnoredLossesAreFound) {
  options_.control = true;
  options_.length = absl::Seconds(10);
  const Verdict verdict = Run();
  EXPECT_GT(verdict.enqueued, 0u);
  EXPECT_GT(verdict.CountOf("nothing acknowledged is lost"), 0);
}

}  // namespace
}  // namespace holdfast::testing

int main(int argc, char** argv) {
  if (const absl::Status entered = holdfast::testing::EnterSandbox(); !entered.ok()) {
    std::cout << "SKIPPED: partitions, clock steps and full disks: " << entered << std::endl;
    holdfast::testing::network = holdfast::testing::NetworkKind::kLoopback;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
