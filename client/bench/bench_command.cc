#include "client/bench/bench_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/spare_poller.h"
#include "client/bench/bench_run.h"
#include "client/bench/scenarios.h"

namespace holdfast {
namespace {

using Scenario = void (*)(BenchRun*);

const std::map<std::string, Scenario>& Scenarios() {
  static const auto* const scenarios = new std::map<std::string, Scenario>{
      {"ping", RunPing},       {"enqueue", RunEnqueue}, {"enqueue-stream", RunEnqueueStream},
      {"consume", RunConsume}, {"cycle", RunCycle},     {"drain", RunDrain},
      {"work", RunWork},
  };
  return *scenarios;
}

void PrintText(const std::string& scenario, const BenchRun::Report& report) {
  const double rate = report.seconds > 0 ? static_cast<double>(report.jobs) / report.seconds : 0;
  std::printf("%s: %llu jobs in %.3f s, %.0f jobs/s, %llu failures\n", scenario.c_str(),
              static_cast<unsigned long long>(report.jobs), report.seconds, rate,
              static_cast<unsigned long long>(report.failures));
  std::printf("latency ms: p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f\n",
              static_cast<double>(report.latency.Percentile(0.5)) / 1e3,
              static_cast<double>(report.latency.Percentile(0.9)) / 1e3,
              static_cast<double>(report.latency.Percentile(0.99)) / 1e3,
              static_cast<double>(report.latency.Percentile(0.999)) / 1e3,
              static_cast<double>(report.latency.max_micros()) / 1e3);
  if (report.failures > 0) std::printf("first failure: %s\n", report.first_failure.c_str());
}

void PrintJson(const std::string& scenario, const BenchRun::Report& report) {
  const double rate = report.seconds > 0 ? static_cast<double>(report.jobs) / report.seconds : 0;
  const nlohmann::json json = {
      {"scenario", scenario},
      {"jobs", report.jobs},
      {"seconds", report.seconds},
      {"jobs_per_second", rate},
      {"failures", report.failures},
      {"first_failure", report.first_failure},
      {"latency_micros",
       {{"p50", report.latency.Percentile(0.5)},
        {"p90", report.latency.Percentile(0.9)},
        {"p99", report.latency.Percentile(0.99)},
        {"p99_9", report.latency.Percentile(0.999)},
        {"max", report.latency.max_micros()}}},
  };
  std::printf("%s\n", json.dump(2).c_str());
}

// Enqueues the backlog; false, with a message, if that did not work.
bool Fill(const BenchOptions& options, uint64_t backlog) {
  BenchOptions fill = options;
  fill.jobs = backlog;
  fill.seconds = 0;
  fill.rate = 0;
  if (fill.queues > 1) fill.batch = 1;  // one message is for one queue
  fill.window = fill.queues > 1 ? 1000 : fill.window;
  BenchRun run(fill);
  RunEnqueueStream(&run);
  const BenchRun::Report report = run.Finish();
  if (report.failures == 0) return true;
  std::fprintf(stderr, "holdfast bench: the backlog could not be enqueued: %s\n",
               report.first_failure.c_str());
  return false;
}

}  // namespace

int RunBenchCommand(int argc, const char* const* argv) {
  const SparePoller spare_poller;
  BenchOptions options;
  std::string scenario;
  std::string format = "text";
  uint64_t backlog = 0;
  CLI::App app(
      "Loads a server and prints rates and latencies.\n"
      "  ping            unary Check of grpc.health.v1: what a call costs that does nothing\n"
      "  enqueue         unary Enqueue\n"
      "  enqueue-stream  EnqueueStream\n"
      "  consume         unary Reserve and Delete until nothing is ready\n"
      "  cycle           unary Enqueue, Reserve, Delete\n"
      "  work            the same as cycle by workers: each an EnqueueStream and a Work stream\n"
      "  drain           Work: reserve and delete until nothing is ready",
      "holdfast bench");
  std::vector<std::string> names;
  for (const auto& [name, run] : Scenarios()) names.push_back(name);
  app.add_option("scenario", scenario, "What to do")->required()->check(CLI::IsMember(names));
  app.add_option("--endpoint", options.endpoint, "HOST:PORT of the server")
      ->envname("HOLDFAST_ENDPOINT")
      ->capture_default_str();
  const auto add = [&](const char* flag, auto& value, const char* help, auto low, auto high) {
    using T = std::decay_t<decltype(value)>;
    app.add_option(flag, value, help)
        ->capture_default_str()
        ->check(CLI::Range(static_cast<T>(low), static_cast<T>(high)));
  };
  app.add_option("--queue", options.queue, "Queue, or prefix of the queues")->capture_default_str();
  add("--queues", options.queues, "Number of queues", 1, 10'000'000);
  add("--body-bytes", options.body_bytes, "Size of each body", 0, 64 << 20);
  add("--jobs", options.jobs, "Stop after so many jobs; 0: by --seconds", 0, int64_t{1} << 40);
  add("--seconds", options.seconds, "Stop after so long; 0: by --jobs", 0, 1e6);
  add("--in-flight", options.in_flight, "Unary calls, or workers, at a time", 1, 100'000);
  add("--connections", options.connections, "Connections of unary scenarios and of work", 1, 1000);
  add("--streams", options.streams, "Streams at a time, each on its own connection", 1, 1000);
  add("--batch", options.batch, "Jobs a message or settlement", 1, 1000);
  add("--window", options.window, "Messages unacknowledged a stream", 1, 10'000);
  add("--credits", options.credits, "Jobs leased at a time a stream", 1, 10'000);
  add("--rate", options.rate,
      "Operations a second in all, latency from the intended start; 0: closed loop", 0, 1e9);
  add("--backlog", backlog, "Jobs to enqueue before the measurement", 0, int64_t{1} << 40);
  app.add_option("--format", format, "text or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "json"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (options.jobs == 0 && options.seconds == 0) {
    std::fprintf(stderr, "holdfast bench: --jobs and --seconds are both 0: it would not end\n");
    return 2;
  }
  if (backlog > 0 && !Fill(options, backlog)) return 1;
  BenchRun run(options);
  Scenarios().at(scenario)(&run);
  const BenchRun::Report report = run.Finish();
  format == "json" ? PrintJson(scenario, report) : PrintText(scenario, report);
  return report.failures == 0 ? 0 : 1;
}

}  // namespace holdfast
