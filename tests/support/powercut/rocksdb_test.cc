// RocksDB under the power-cut library: an engine that is known to sync what it must, with
// threads, recycled logs, renames, hard links and table files. It must come through every cut,
// and must be found to lose data when its syncs are ignored.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "tests/support/powercut/restore.h"
#include "tests/support/process.h"

namespace holdfast::powercut {
namespace {

using ::holdfast::testing::BuiltFile;
using ::holdfast::testing::Process;
using ::holdfast::testing::TemporaryDirectory;

class RocksDbTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // RocksDB does not sync the parent of the folder it makes: that is its user's duty.
    std::filesystem::create_directories(root() + "/db");
    std::filesystem::create_directories(journal());
  }
  std::string root() const { return directory_.path() + "/root"; }
  std::string journal() const { return directory_.path() + "/journal"; }

  // The last number that a run printed; 0 when it printed none.
  static uint64_t LastNumber(const std::string& log) {
    std::istringstream lines(log);
    uint64_t last = 0;
    for (std::string line; std::getline(lines, line);) {
      uint64_t number = 0;
      EXPECT_TRUE(absl::SimpleAtoi(line, &number)) << line;
      last = number;
    }
    return last;
  }

  // Writes until a kill at some moment within `longest`; tells what was acknowledged.
  uint64_t WriteAndKill(absl::Duration longest, const std::string& ignore_sync) {
    auto process = Process::Start(
        {.command = {Writer(), "write", root() + "/db"},
         .environment = {{"LD_PRELOAD", BuiltFile("tests/support/powercut/libpowercut.so")},
                         {"HOLDFAST_POWERCUT_ROOT", root()},
                         {"HOLDFAST_POWERCUT_JOURNAL", journal()},
                         {"HOLDFAST_POWERCUT_IGNORE_SYNC", ignore_sync}},
         .log_path = directory_.path() + "/log"});
    EXPECT_TRUE(process.ok()) << process.status();
    const auto ended = (*process)->Wait(longest);
    EXPECT_FALSE(ended.ok()) << ended->ToString() << ": " << (*process)->Log();
    (*process)->Kill();
    return LastNumber((*process)->Log());
  }

  uint64_t Read() {
    auto process = Process::Start({.command = {Writer(), "read", root() + "/db"},
                                   .environment = {},
                                   .log_path = directory_.path() + "/log"});
    EXPECT_TRUE(process.ok()) << process.status();
    const auto ended = (*process)->Wait(absl::Seconds(60));
    EXPECT_TRUE(ended.ok() && ended->code == 0) << (*process)->Log();
    return LastNumber((*process)->Log());
  }

  static std::string Writer() { return BuiltFile("tests/support/powercut/rocksdb_writer"); }

  TemporaryDirectory directory_;
};

TEST_F(RocksDbTest, ComesThroughEveryPowerCut) {
  const auto seed = static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()));
  std::cout << "seed " << seed << std::endl;
  Prng random(seed);
  uint64_t acknowledged = 0;
  uint64_t undone = 0;
  for (int round = 0; round < 12; ++round) {
    const auto longest = absl::Milliseconds(static_cast<int64_t>(random.Between(20, 700)));
    acknowledged = std::max(acknowledged, WriteAndKill(longest, "0"));
    RestoreOptions options = {.keep = Keep::kNothingUnsynced, .seed = random.Next()};
    if (random.Chance(1, 2)) options.keep = Keep::kRandomPart;
    const auto report = Restore(root(), journal(), options);
    ASSERT_TRUE(report.ok()) << report.status();
    std::cout << acknowledged << " " << report->ToString() << std::endl;
    undone += report->writes_undone + report->names_undone;
    if (acknowledged > 0) {
      EXPECT_GE(Read(), acknowledged);
    }
  }
  EXPECT_GT(acknowledged, 0u);
  EXPECT_GT(undone, 0u) << "the cuts took nothing away and prove nothing";
}

TEST_F(RocksDbTest, LosesAllWhenItsSyncsAreIgnored) {
  EXPECT_GT(WriteAndKill(absl::Seconds(2), "1"), 0u);
  ASSERT_TRUE(Restore(root(), journal(), {}).ok());
  EXPECT_EQ(Read(), 0u);
}

}  // namespace
}  // namespace holdfast::powercut
