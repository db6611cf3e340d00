// Searches every world of a small Raft cluster: //tests/search.
//
//   search [--voters N] [--candidates N] [--terms N] [--proposals N] [--crashes N] [--repeats N]
//   [--slow-writes]
//          [--worlds-max N] [--mutant NAME]
//
// Exit status: 0 nothing wrong, 1 a violation, which is printed with the steps to it. --mutant is
// there with --define=mutants=on.

#include <cinttypes>
#include <cstdio>
#include <string>

#include "CLI/CLI.hpp"
#include "base/testing/choose_mutant.h"
#include "tests/search/search.h"

int main(int argc, char** argv) {
  using holdfast::search::Found;
  holdfast::search::Bounds bounds;
  uint64_t worlds_max = 50'000'000;
  CLI::App app("Looks at every state of a small Raft cluster, within bounds.", "search");
  app.add_option("--voters", bounds.voters)->check(CLI::Range(1, 5))->capture_default_str();
  app.add_option("--candidates", bounds.candidates)->check(CLI::Range(1, 5))->capture_default_str();
  app.add_option("--terms", bounds.term_max)->check(CLI::Range(1, 9))->capture_default_str();
  app.add_option("--proposals", bounds.proposals)->check(CLI::Range(0, 20))->capture_default_str();
  app.add_option("--crashes", bounds.crashes)->check(CLI::Range(0, 9))->capture_default_str();
  app.add_option("--repeats", bounds.repeats)->check(CLI::Range(0, 9))->capture_default_str();
  app.add_flag("--slow-writes", bounds.slow_writes, "A write is a step of its own");
  app.add_option("--worlds-max", worlds_max, "Give up after so many")->capture_default_str();
  std::string mutant;
  app.add_option("--mutant", mutant, "Have a known defect");
  CLI11_PARSE(app, argc, argv);
  if (!holdfast::ChooseMutant(mutant)) return 2;

  const Found found = holdfast::search::Search(bounds, worlds_max);
  std::printf("%" PRIu64 " worlds, %" PRIu64 " steps, %zu deep at most, %s\n", found.worlds,
              found.steps, found.depth_max, found.complete ? "complete" : "not complete");
  if (found.violation.empty()) return 0;
  std::printf("violation: %s\n", found.violation.c_str());
  for (size_t i = 0; i < found.steps_to_violation.size(); ++i) {
    std::printf("%4zu  %s\n", i + 1, found.steps_to_violation[i].c_str());
  }
  return 1;
}
