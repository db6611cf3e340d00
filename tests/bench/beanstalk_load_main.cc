// beanstalk_load run|idle|wake --port N ...: one measurement of a server of the beanstalkd
// protocol on loopback; prints one line of JSON.
//
//   run    puts, reserves and deletes jobs: how many, in how many seconds
//   idle   opens connections, prints, and keeps them until its standard input ends
//   wake   lets connections wait for a job each, then puts one for each: that each gets exactly
//          one, no two the same, and how long it took
//
// Exit status 0: measured; 1: the server did something wrong; 2: wrong arguments.

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <iostream>
#include <map>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "tests/bench/load.h"
#include "tests/bench/waiting.h"

namespace holdfast::testing {
namespace {

using Json = nlohmann::json;

absl::StatusOr<Json> Run(const LoadOptions& options) {
  ASSIGN_OR_RETURN(const LoadResult result, RunLoad(options));
  return Json{
      {"jobs", result.jobs}, {"seconds", result.seconds}, {"cpu_seconds", result.cpu_seconds}};
}

absl::StatusOr<Json> Idle(const LoadOptions& options) {
  ASSIGN_OR_RETURN(const auto connections, OpenMany(options.port, options.connections));
  std::cout << Json{{"connections", connections.size()}} << std::endl;
  for (char byte = 0; read(STDIN_FILENO, &byte, 1) > 0;) {
  }
  return Json();
}

absl::StatusOr<Json> Wake(const LoadOptions& options) {
  ASSIGN_OR_RETURN(const double seconds, WakeWaiters(options.port, options.connections));
  return Json{{"waiters", options.connections}, {"seconds", seconds}};
}

void AllowManyDescriptors() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void AddLoadOptions(CLI::App* run, LoadOptions* options) {
  const std::map<std::string, LoadShape> shapes = {
      {"put", LoadShape::kPut}, {"take", LoadShape::kTake}, {"cycle", LoadShape::kCycle}};
  run->add_option("--shape", options->shape)->required()->transform(CLI::Transformer(shapes));
  run->add_option("--window", options->window)->check(CLI::Range(1, 1024));
  run->add_option("--jobs", options->jobs)->required()->check(CLI::PositiveNumber);
  run->add_option("--seconds", options->seconds)->check(CLI::Range(0.0, 3600.0));
  run->add_option("--body-bytes", options->body_bytes)->check(CLI::Range(0, 65535));
  run->add_option("--tubes", options->tubes)->check(CLI::Range(0, 1'000'000));
}

int Main(int argc, char** argv) {
  LoadOptions options;
  CLI::App app("One measurement of a beanstalkd or its like.");
  CLI::App* const run = app.add_subcommand("run");
  CLI::App* const idle = app.add_subcommand("idle");
  CLI::App* const wake = app.add_subcommand("wake");
  app.require_subcommand(1);
  for (CLI::App* const command : {run, idle, wake}) {
    command->add_option("--port", options.port)->required();
    command->add_option("--connections", options.connections)->check(CLI::Range(1, 60'000));
  }
  AddLoadOptions(run, &options);
  try {
    app.parse(argc, argv);
    if (options.tubes > 0 && options.window > 1) {
      throw CLI::ValidationError("--tubes", "needs --window 1");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  AllowManyDescriptors();
  const absl::StatusOr<Json> result = run->parsed()    ? Run(options)
                                      : idle->parsed() ? Idle(options)
                                                       : Wake(options);
  if (!result.ok()) {
    std::cerr << "beanstalk_load: " << result.status() << '\n';
    return 1;
  }
  if (!result->is_null()) std::cout << *result << std::endl;
  return 0;
}

}  // namespace
}  // namespace holdfast::testing

int main(int argc, char** argv) { return holdfast::testing::Main(argc, argv); }
