// What is in memory never shows: the same commands on machines with other windows, flush points,
// refills, drains, fetches and restarts give the same outcomes, ended leases and state hashes.
//
// HOLDFAST_SEEDS=A..B chooses the seeds; HOLDFAST_SHRINK=1 shortens streams that end the process.

#include <cstdlib>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "queue/testing/comparison.h"
#include "queue/testing/random_commands.h"

namespace holdfast {
namespace {

constexpr uint64_t kSeeds = 100;
constexpr size_t kCommands = 1500;

MachineDriver::Options Yardstick() {
  MachineDriver::Options options;
  options.machine.shard = ShardId(1);
  options.machine.shards = 4;
  return options;
}

// The least memory that can be: every change is flushed at once and may leave.
MachineDriver::Options Smallest(size_t window) {
  MachineDriver::Options options = Yardstick();
  options.machine.window_jobs_max = window;
  options.machine.window_jobs_low = 0;
  options.machine.hot_jobs_max = 1;
  options.schedule.begin_flush = 1;
  options.schedule.complete_flush = 1;
  options.schedule.check_invariants = 4;
  return options;
}

MachineDriver::Options Drawn(Prng* prng) {
  MachineDriver::Options options = Yardstick();
  options.seed = prng->Next();
  options.machine.window_jobs_max = prng->Chance(1, 2) ? prng->Between(1, 4) : prng->Between(1, 64);
  options.machine.window_jobs_low = prng->Below(options.machine.window_jobs_max + 1);
  options.machine.hot_jobs_max = prng->Chance(1, 2) ? prng->Between(1, 20) : 400'000;
  // At least two: a scan may begin one place before the window end, at a member that is hot.
  if (prng->Chance(1, 4)) options.scan_visits_max = prng->Between(2, 5);
  MachineDriver::Schedule& schedule = options.schedule;
  const auto one_in = [prng](uint64_t most) {
    return 1 + static_cast<uint32_t>(prng->Below(most));
  };
  const auto one_in_or_never = [&](uint64_t most) { return prng->Chance(1, 3) ? 0 : one_in(most); };
  schedule.drain = one_in(8);
  schedule.begin_flush = one_in(30);
  schedule.complete_flush = one_in(30);
  schedule.refill_ask = one_in_or_never(6);
  schedule.refill_answer = one_in(6);
  schedule.refill_cancel = one_in_or_never(10);
  schedule.restart = prng->Chance(1, 3) ? 0 : 30 + one_in(100);
  schedule.fetch_ahead = one_in_or_never(6);
  schedule.check_invariants = 8;
  return options;
}

void CheckSeed(uint64_t seed) {
  const std::string name = "HOLDFAST_SEEDS=" + std::to_string(seed);
  NameRun(name);
  Prng prng(seed);
  const Expiring expiring = prng.Chance(1, 4) ? Expiring::kPromptly : Expiring::kLazily;
  const CommandStream stream = RandomStream(seed + 1'000'000, kCommands, expiring);
  std::vector<MachineDriver::Options> variants = {Yardstick(), Smallest(1 + seed % 2)};
  for (int i = 0; i < 3; ++i) variants.push_back(Drawn(&prng));
  const auto differs = [&variants](const CommandStream& part) {
    return CompareMachines(part, variants).has_value();
  };
  if (std::getenv("HOLDFAST_SHRINK") != nullptr && DiffersInChild(stream, differs)) {
    // Only one variant at a time, so that a short stream tells of one thing.
    const std::vector<MachineDriver::Options> all = variants;
    for (size_t i = 1; i < all.size(); ++i) {
      variants = {all[0], all[i]};
      if (!DiffersInChild(stream, differs)) continue;
      const CommandStream small = Shrink(stream, differs);
      ADD_FAILURE() << name << " variant " << i << "\n" << StreamText(small);
      // Says what differs, or ends the process as it did in the child.
      FAIL() << CompareMachines(small, variants)->what;
    }
  }
  const std::optional<Difference> difference = CompareMachines(stream, variants);
  if (!difference.has_value()) return;
  FAIL() << name << ": command " << difference->at << ": " << StreamText({stream[difference->at]})
         << difference->what << "(HOLDFAST_SHRINK=1 shortens the stream)";
}

TEST(Machine, HotOrColdNeverShows) {
  const auto [first, last] = SeedRange(kSeeds);
  for (uint64_t seed = first; seed <= last && !HasFailure(); ++seed) CheckSeed(seed);
}

// The comparison can fail: machines of different shards draw different ids.
TEST(CompareMachines, TellsMachinesApart) {
  MachineDriver::Options other = Yardstick();
  other.machine.shard = ShardId(2);
  const CommandStream stream = RandomStream(1, 50, Expiring::kPromptly);
  EXPECT_TRUE(CompareMachines(stream, {Yardstick(), other}).has_value());
  EXPECT_FALSE(CompareMachines(stream, {Yardstick(), Yardstick()}).has_value());
}

}  // namespace
}  // namespace holdfast
