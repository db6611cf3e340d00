// One flipped bit in a stopped server's files: at the next start the damage is refused with its
// place named, or everything is still served right. Never is something served that is wrong,
// and never is something acknowledged silently gone.

#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/prng.h"
#include "base/testing/flip_bit.h"
#include "gtest/gtest.h"
#include "tests/integration/connection.h"
#include "tests/integration/file_damage.h"
#include "tests/integration/tracked_jobs.h"
#include "tests/support/process.h"

namespace holdfast::testing {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kTimeout = absl::Seconds(60);
constexpr int kFlipsOfAKind = 6;

enum class Stop { kTerm, kKill };

class BitFlipTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<ServerProcess>> StartServer(const fs::path& data) {
    ServerOptions options;
    options.binary = BuiltFile("server/holdfast");
    options.data_directory = data.string();
    options.log_path = directory_.path() + "/server.log";
    return ServerProcess::Start(options, kTimeout);
  }
  fs::path original() const { return fs::path(directory_.path()) / "original"; }
  fs::path copy() const { return fs::path(directory_.path()) / "copy"; }

  // Fills `original` and stops the server. What is damaged later lies below what the log knew to
  // be synced when more was written: only there can damage be told from a torn tail.
  void MakeOriginal(Stop stop) {
    for (const Stop life : {Stop::kTerm, stop}) {
      auto server = StartServer(original());
      ASSERT_TRUE(server.ok()) << server.status();
      auto connection = Connection::Open((*server)->address());
      ASSERT_TRUE(connection.ok()) << connection.status();
      for (int i = 0; i < 300; ++i) {
        ASSERT_TRUE(jobs_.Enqueue((*connection)->stub()).status.ok());
      }
      ASSERT_TRUE(jobs_.DeleteSome((*connection)->stub(), 60).ok());
      targets_ = DamageTargetsIn(original());
      for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(jobs_.Enqueue((*connection)->stub()).status.ok());
      }
      if (life == Stop::kTerm) {
        (*server)->process().Signal(SIGTERM);
        ASSERT_TRUE((*server)->process().Wait(kTimeout).ok());
        targets_ = DamageTargetsIn(original());
      }
    }
  }

  // Whether an error says where the damage is: the file, and the place in files that can be large.
  // The others, such as identity.json and RocksDB's manifest, are of use as a whole or not at all;
  // so are the block of a table file's properties and its footer, which go by their names.
  static bool NamesPlace(const std::string& text, const DamageTarget& target) {
    const std::string name = fs::path(target.path).filename().string();
    const size_t at = text.find(name);
    if (at == std::string::npos) return false;
    const bool can_be_large =
        absl::StartsWith(target.path, "log/") || absl::EndsWith(target.path, ".sst");
    return !can_be_large ||
           std::regex_search(text, std::regex("(offset|block|byte|record|at) *[=:]? *[0-9]+|"
                                              "\\bin its (properties|footer)\\b"));
  }

  // Damages a copy and judges what the server makes of it; tells which way it went.
  std::string Judge(const DamageTarget& target, uint64_t offset, unsigned bit) {
    fs::remove_all(copy());
    fs::copy(original(), copy(), fs::copy_options::recursive);
    FlipBit(copy() / target.path, offset, bit);
    const std::string place = absl::StrCat(target.path, " byte ", offset, " bit ", bit);
    const auto server = StartServer(copy());
    if (!server.ok()) {
      const std::string message(server.status().message());
      EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition)
          << place << ": " << message;
      EXPECT_FALSE(absl::StrContains(message, "ended with exit code 0")) << place;
      EXPECT_FALSE(absl::StrContains(message, "ended with signal")) << place << ": " << message;
      EXPECT_TRUE(NamesPlace(message, target)) << place << " is not named in: " << message;
      return "refused at start";
    }
    absl::Status trouble;
    const auto connection = Connection::Open((*server)->address());
    if (connection.ok()) {
      const auto violations = jobs_.TakeBack((*connection)->stub(), kTimeout);
      if (violations.ok()) {
        EXPECT_TRUE(violations->empty()) << place << ": " << Describe(*violations, 5);
        return "served right";
      }
      trouble = violations.status();
    } else {
      trouble = connection.status();  // Found by RocksDB in the background, before the first call.
    }
    // Found while reading: then it must have been told, and the server must have stopped.
    (*server)->process().Signal(SIGTERM);
    const auto exit = (*server)->process().Wait(kTimeout);
    EXPECT_TRUE(exit.ok() && (exit->signalled || exit->code != 0)) << place << ": " << trouble;
    EXPECT_TRUE(NamesPlace((*server)->process().Log(), target))
        << place << " is not named in: " << (*server)->process().Log();
    return "refused when read";
  }

  void FlipEverywhere(Stop stop) {
    const char* const asked = std::getenv("HOLDFAST_SEED");
    const uint64_t seed = asked != nullptr ? std::strtoull(asked, nullptr, 10)
                                           : static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()));
    std::cout << "HOLDFAST_SEED=" << seed << std::endl;
    Prng random(seed);
    ASSERT_NO_FATAL_FAILURE(MakeOriginal(stop));
    ASSERT_FALSE(targets_.empty());
    std::map<std::string, std::map<std::string, int>> table;
    for (const auto& [kind, files] : targets_) {
      for (int i = 0; i < kFlipsOfAKind; ++i) {
        const DamageTarget& target = files[random.Below(files.size())];
        if (!fs::exists(original() / target.path)) continue;
        const uint64_t offset = random.Below(target.bytes);
        ++table[kind][Judge(target, offset, static_cast<unsigned>(random.Below(8)))];
      }
    }
    int refused = 0;
    for (const auto& [kind, outcomes] : table) {
      std::cout << kind << ":";
      for (const auto& [outcome, count] : outcomes) {
        std::cout << " " << count << " " << outcome;
        if (absl::StartsWith(outcome, "refused")) refused += count;
      }
      std::cout << std::endl;
    }
    EXPECT_GT(refused, 0) << "no flip hit anything that is checked";
  }

  TemporaryDirectory directory_;
  TrackedJobs jobs_;
  DamageTargets targets_;
};

TEST_F(BitFlipTest, AfterACleanStopDamageIsRefusedOrHarmless) { FlipEverywhere(Stop::kTerm); }

TEST_F(BitFlipTest, AfterAKillDamageIsRefusedOrHarmless) { FlipEverywhere(Stop::kKill); }

}  // namespace
}  // namespace holdfast::testing
