// chaos --binary HOLDFAST --preload LIBRARY [--minutes N] [--seed N] [--profile KIND,...] ...
//
// Clusters of real processes under faults at length; tools/chaos builds and starts it. Prints each
// fault and, at the end, a table. Exit code 0 when the promises were kept (with --control: when
// losses were found), 1 when not, 2 when the run could not be done.

#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/time/clock.h"
#include "tests/integration/chaos/chaos_run.h"
#include "tests/integration/chaos/sandbox.h"
#include "tests/support/process.h"

int main(int argc, char** argv) {
  holdfast::testing::ChaosOptions options;
  options.seed = static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()));
  options.small_disk_bytes = 768 << 20;
  options.clock_library = holdfast::testing::kClockLibrary;
  double minutes = 10;
  double cluster_minutes = 4;
  std::string directory;
  CLI::App app("Does everything to clusters of Holdfast nodes that a cluster must survive.");
  app.add_option("--minutes", minutes, "how long; 0: until each fault has come once");
  app.add_option("--cluster-minutes", cluster_minutes, "how long each cluster lives at most");
  app.add_option("--seed", options.seed, "of the random choices");
  app.add_option("--profile", options.kinds,
                 "kinds of faults: kill, power, pause, partition, restart, members, clock, "
                 "disk, bitflip; "
                 "default all")
      ->delimiter(',')
      ->check(CLI::IsMember({"kill", "power", "pause", "partition", "restart", "members", "clock",
                             "disk", "bitflip"}));
  app.add_flag("--control", options.control,
               "ignore syncs and cut the power of all: losses must be found");
  app.add_option("--nodes", options.nodes, "of a cluster")->check(CLI::Range(3, 9));
  app.add_option("--producers", options.producers, "clients that enqueue");
  app.add_option("--workers", options.workers, "clients that reserve and delete");
  app.add_option("--stream-workers", options.stream_workers, "clients on Work streams");
  app.add_option("--beanstalk-producers", options.beanstalk_producers, "clients that put");
  app.add_option("--beanstalk-workers", options.beanstalk_workers,
                 "clients that reserve and delete over beanstalkd's protocol");
  app.add_option("--binary", options.binary, "the holdfast binary")->required();
  app.add_option("--preload", options.preload, "libpowercut.so")->required();
  app.add_option("--directory", directory, "an empty one, kept; default: a temporary one");
  CLI11_PARSE(app, argc, argv);
  options.length = absl::Minutes(minutes);
  options.cluster_length = absl::Minutes(cluster_minutes);
  if (const absl::Status entered = holdfast::testing::EnterSandbox(); !entered.ok()) {
    std::cout << "SKIPPED: partitions, clock steps and full disks: " << entered << std::endl;
    options.network = holdfast::testing::NetworkKind::kLoopback;
    options.small_disk_bytes = 0;
    options.clock_library.clear();
  }
  holdfast::testing::TemporaryDirectory temporary;
  options.directory = directory.empty() ? temporary.path() : directory;
  std::cout << "seed " << options.seed << ", data in " << options.directory << std::endl;
  const auto verdict = holdfast::testing::RunChaos(options);
  if (!verdict.ok()) {
    temporary.Keep();
    std::cout << "seed " << options.seed << ": " << verdict.status() << "\n";
    return 2;
  }
  const bool lost = verdict->CountOf("nothing acknowledged is lost") > 0;
  const bool good = options.control ? lost : verdict->violations.empty();
  if (!options.control && !good) {
    std::cout << holdfast::testing::Describe(verdict->violations, 20) << "\n";
  }
  std::cout << verdict->Table() << (good ? "as it must be" : "NOT as it must be") << std::endl;
  if (!good) temporary.Keep();
  return good ? 0 : 1;
}
