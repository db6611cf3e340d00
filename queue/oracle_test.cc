// Random commands on the machine and on an obviously right model: equal in every answer.
//
// HOLDFAST_SEEDS=A..B chooses the seeds. What differs is printed with its seed (a CHECK that ends
// the process too); with HOLDFAST_SHRINK=1 also a shortened stream, as a script.

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "queue/testing/comparison.h"
#include "queue/testing/random_commands.h"

namespace holdfast {
namespace {

constexpr uint64_t kSeeds = 60;
constexpr size_t kCommands = 2000;

// Machines of every shape: all hot, or hardly anything, with whatever a shard may do to them.
MachineDriver::Options DriverOptions(uint64_t seed) {
  Prng prng(seed);
  MachineDriver::Options options;
  options.machine.shard = ShardId(1);
  options.machine.shards = 4;
  options.seed = seed;
  if (prng.Chance(1, 3)) return options;
  options.machine.window_jobs_max = prng.Between(1, 20);
  options.machine.window_jobs_low = prng.Below(options.machine.window_jobs_max + 1);
  options.machine.hot_jobs_max = prng.Between(1, 100);
  options.schedule.drain = 1 + static_cast<uint32_t>(prng.Below(3));
  options.schedule.begin_flush = 1 + static_cast<uint32_t>(prng.Below(20));
  options.schedule.complete_flush = 1 + static_cast<uint32_t>(prng.Below(10));
  options.schedule.refill_ask = static_cast<uint32_t>(prng.Below(5));
  options.schedule.restart = prng.Chance(1, 2) ? 200 : 0;
  return options;
}

void CheckSeed(uint64_t seed, Expiring expiring) {
  const std::string name = std::string("HOLDFAST_SEEDS=") + std::to_string(seed) +
                           (expiring == Expiring::kLazily ? " lazily" : " promptly");
  NameRun(name);
  const CommandStream stream = RandomStream(seed, kCommands, expiring);
  const MachineDriver::Options options = DriverOptions(seed);
  const auto differs = [&options](const CommandStream& part) {
    return CompareWithOracle(part, options).has_value();
  };
  if (std::getenv("HOLDFAST_SHRINK") != nullptr && DiffersInChild(stream, differs)) {
    const CommandStream small = Shrink(stream, differs);
    ADD_FAILURE() << name << "\n" << StreamText(small);
    // Says what differs, or ends the process as it did in the child.
    FAIL() << CompareWithOracle(small, options)->what;
  }
  const std::optional<Difference> difference = CompareWithOracle(stream, options);
  if (difference.has_value()) {
    FAIL() << name << ": command " << difference->at << ": " << StreamText({stream[difference->at]})
           << difference->what << "(HOLDFAST_SHRINK=1 shortens the stream)";
  }
}

TEST(Machine, AnswersAsTheOracleWhenTimePassesPromptly) {
  const auto [first, last] = SeedRange(kSeeds);
  for (uint64_t seed = first; seed <= last && !HasFailure(); ++seed) {
    CheckSeed(seed, Expiring::kPromptly);
  }
}

TEST(Machine, AnswersAsTheOracleWhenTimePassesLazily) {
  const auto [first, last] = SeedRange(kSeeds);
  for (uint64_t seed = first; seed <= last && !HasFailure(); ++seed) {
    CheckSeed(seed, Expiring::kLazily);
  }
}

}  // namespace
}  // namespace holdfast
