// The simulator's command line; see README.md and --help.
//
// Exit status: 0: no violation; 1: a violation; 2: it could not run.

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <thread>

#include "CLI/CLI.hpp"
#include "base/testing/choose_mutant.h"
#include "tests/sim/profile.h"
#include "tests/sim/run.h"
#include "tests/sim/seed_pool.h"
#include "tests/sim/shrink.h"

namespace holdfast::sim {
namespace {

constexpr std::chrono::seconds kShrinkFor{60};

struct Arguments {
  std::string seeds = "1..1000";
  std::string profile = "core";
  std::string mutant;
  unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
  bool shrink = false;
  bool trace = false;
  bool all = false;
};

void PrintViolation(const Schedule& schedule, const Violation& violation) {
  std::printf("VIOLATION profile=%s seed=%" PRIu64 " rule=\"%s\" %s\n", schedule.profile.c_str(),
              schedule.seed, violation.rule.c_str(), violation.what.c_str());
  std::fflush(stdout);
}

// Shrinks a failing schedule, prints it, and tells what happens in it.
void ShrinkAndReplay(const Schedule& schedule, const Violation& violation) {
  const auto fails = [&violation](const Schedule& smaller) {
    const RunResult result = RunApart(smaller, nullptr);
    return result.violation.has_value() && result.violation->rule == violation.rule;
  };
  const auto end = std::chrono::steady_clock::now() + kShrinkFor;
  const auto give_up = [end] { return std::chrono::steady_clock::now() > end; };
  const Schedule small = Shrink(schedule, give_up, fails);
  std::printf("shrunk from %zu actions to %zu:\n\n%s\n", schedule.actions.size(),
              small.actions.size(), Describe(small).c_str());
  std::fflush(stdout);
  const RunResult result = RunApart(small, stdout);
  if (result.violation.has_value()) PrintViolation(small, *result.violation);
}

int RunProfile(const Profile& profile, SeedRange seeds, const Arguments& arguments) {
  const auto begin = std::chrono::steady_clock::now();
  RunStats stats;
  uint64_t hashes = 0;
  std::map<uint64_t, Violation> violations;
  RunSeeds(profile, seeds, arguments.jobs, [&](uint64_t seed, const RunResult& result) {
    stats.Add(result.stats);
    hashes += result.hash * (2 * seed + 1);
    if (!result.violation.has_value()) return true;
    violations[seed] = *result.violation;
    PrintViolation(DrawSchedule(profile, seed), *result.violation);
    return arguments.all;
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::printf("%s: seeds %" PRIu64 "..%" PRIu64
              ": %zu violations; %s; %.1f runs/s; hash %016" PRIx64 "\n",
              std::string(profile.name).c_str(), seeds.first, seeds.last, violations.size(),
              Describe(stats).c_str(), static_cast<double>(stats.runs) / seconds.count(), hashes);
  if (violations.empty()) return 0;
  if (arguments.shrink) {
    const auto& [seed, violation] = *violations.begin();
    ShrinkAndReplay(DrawSchedule(profile, seed), violation);
  }
  return 1;
}

int TraceOne(const Profile& profile, uint64_t seed) {
  const Schedule schedule = DrawSchedule(profile, seed);
  std::printf("%s\n", Describe(schedule).c_str());
  const RunResult result = RunApart(schedule, stdout);
  if (!result.violation.has_value()) return 0;
  PrintViolation(schedule, *result.violation);
  return 1;
}

std::string ProfileHelp() {
  std::string text = "all, or one of:";
  for (const Profile& profile : Profiles()) {
    text += "\n  " + std::string(profile.name) + ": " + std::string(profile.what);
  }
  return text;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Runs simulated clusters under faults and judges them.");
  app.add_option("--seeds", arguments.seeds, "N or A..B");
  app.add_option("--profile", arguments.profile, ProfileHelp());
  app.add_option("--jobs", arguments.jobs, "processes at a time")->check(CLI::Range(1, 256));
  app.add_option("--mutant", arguments.mutant, "a known defect (built with --define=mutants=on)");
  app.add_flag("--shrink", arguments.shrink, "shorten the first failing schedule and replay it");
  app.add_flag("--trace", arguments.trace, "tell everything of the first seed, and run it only");
  app.add_flag("--all", arguments.all, "go on after a violation");
  CLI11_PARSE(app, argc, argv);

  SeedRange seeds;
  if (!ParseSeeds(arguments.seeds.c_str(), &seeds)) {
    std::cerr << "--seeds: " << arguments.seeds << ": not N or A..B\n";
    return 2;
  }
  if (!ChooseMutant(arguments.mutant)) return 2;
  int status = 0;
  bool found = false;
  for (const Profile& profile : Profiles()) {
    if (arguments.profile != "all" && arguments.profile != profile.name) continue;
    found = true;
    status = std::max(status, arguments.trace ? TraceOne(profile, seeds.first)
                                              : RunProfile(profile, seeds, arguments));
  }
  if (!found) {
    std::cerr << "--profile: " << arguments.profile << ": there is none of that name\n";
    return 2;
  }
  return status;
}

}  // namespace
}  // namespace holdfast::sim

int main(int argc, char** argv) { return holdfast::sim::Main(argc, argv); }
