// crash --binary HOLDFAST --preload LIBRARY [--mode kill|powercut|control] [--rounds N] ...
//
// The crash loop at length; tools/crash builds and starts it. Prints a summary line. Exit code 0
// when the promises were kept (for control: when losses were found), 1 when not, 2 when the loop
// could not be run.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/time/clock.h"
#include "tests/integration/crash_loop.h"
#include "tests/support/process.h"

int main(int argc, char** argv) {
  using holdfast::testing::CrashMode;
  holdfast::testing::CrashLoopOptions options;
  options.seed = static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()));
  options.rounds = 200;
  int64_t round_millis_max = 1500;
  std::string directory;
  CLI::App app("Kills a Holdfast server, or cuts its power, again and again under load.");
  const std::map<std::string, CrashMode> kModes = {{"kill", CrashMode::kKill},
                                                   {"powercut", CrashMode::kPowerCut},
                                                   {"control", CrashMode::kControl}};
  app.add_option("--mode", options.mode, "kill, powercut or control")
      ->transform(CLI::CheckedTransformer(kModes, CLI::ignore_case));
  app.add_option("--rounds", options.rounds, "crashes");
  app.add_option("--seed", options.seed, "of the random choices");
  app.add_option("--producers", options.producers, "clients that enqueue");
  app.add_option("--workers", options.workers, "clients that reserve and delete");
  app.add_option("--round-ms", round_millis_max, "the longest round in milliseconds");
  app.add_option("--binary", options.binary, "the holdfast binary")->required();
  app.add_option("--preload", options.preload, "libpowercut.so")->required();
  app.add_option("--directory", directory, "an empty one, kept; default: a temporary one");
  app.add_option("server-arguments", options.server_arguments, "for holdfast serve, after --");
  CLI11_PARSE(app, argc, argv);
  options.round_max = absl::Milliseconds(round_millis_max);
  holdfast::testing::TemporaryDirectory temporary;
  options.directory = directory.empty() ? temporary.path() : directory;
  std::cout << "seed " << options.seed << ", data in " << options.directory << std::endl;
  const auto report = holdfast::testing::RunCrashLoop(options);
  if (!report.ok()) {
    temporary.Keep();
    std::cerr << report.status() << "\n";
    return 2;
  }
  if (!report->violations.empty()) {
    std::cout << holdfast::testing::Describe(report->violations, 20) << "\n";
  }
  std::cout << report->Summary() << "\n";
  const bool lost = report->CountOf("nothing acknowledged is lost") > 0;
  const bool good = options.mode == CrashMode::kControl ? lost : report->violations.empty();
  if (!good) temporary.Keep();
  return good ? 0 : 1;
}
