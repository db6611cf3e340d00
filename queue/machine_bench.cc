// How long one command takes, and that it does not depend on queues or backlog.
//
// Arguments: number of queues, jobs waiting before the clock starts. Compare the lines of one
// benchmark: 10k queues against 1, 1M jobs against 10k. All jobs stay in memory; changes are
// drained and called flushed after every batch of commands, as a shard does after an entry.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "queue/machine.h"

namespace holdfast {
namespace {

constexpr size_t kCommandsPerEntry = 64;
constexpr uint64_t kPayloadBytes = 100;
constexpr LogTime kStart = LogTime::FromMicros(1'700'000'000'000'000);

// Remembers what is to be flushed; stores nothing.
class Flushes final : public ChangeSink {
 public:
  void JobChanged(JobId id, const JobPlaces*, const Job*) override { jobs.push_back(id); }
  void QueueChanged(QueueId, const QueueRecord*) override {}
  void DedupChanged(QueueId, std::string_view, const DedupRecord*, const DedupRecord*) override {}
  void RowChanged(const SmallRowKey&, const SmallRow*) override {}
  std::vector<JobId> jobs;
};

class Bench {
 public:
  explicit Bench(benchmark::State& state) : machine_(AllHot()) {
    for (int64_t i = 0; i < state.range(0); ++i) names_.push_back("queue-" + std::to_string(i));
    for (int64_t i = 0; i < state.range(1); ++i) Enqueue(NextQueue(), LogDuration());
    EndEntry();
  }

  std::string_view NextQueue() {
    next_queue_ = (next_queue_ + 7919) % names_.size();
    return names_[next_queue_];
  }
  Outcome Apply(CommandBody body, const RequestIdentity& request = {}) {
    Command command;
    command.request = request;
    command.body = std::move(body);
    if (!machine_.NeedsOf(command, now_).empty()) std::abort();
    Outcome outcome = machine_.Apply(command, now_);
    if (++commands_ % kCommandsPerEntry == 0) EndEntry();
    return outcome;
  }
  JobId Enqueue(std::string_view queue, LogDuration delay) {
    EnqueueCommand enqueue;
    enqueue.queue = queue;
    JobSpec spec;
    spec.priority = static_cast<uint32_t>(commands_ * 2654435761u % 16);
    spec.delay = delay;
    spec.payload_size_bytes = kPayloadBytes;
    enqueue.jobs.push_back(spec);
    return Apply(enqueue).items[0].job;
  }
  LeaseRef Reserve(std::string_view queue, benchmark::State& state) {
    ReserveCommand reserve;
    reserve.queues.push_back(queue);
    const Outcome outcome = Apply(reserve);
    if (outcome.grants.empty()) {
      state.SkipWithError("nothing to reserve");
      return {};
    }
    return {outcome.grants[0].job.id, outcome.grants[0].job.token};
  }
  void EndEntry() {
    machine_.DrainChanges(&flushes_);
    machine_.TakeWakeups();
    machine_.TakeEndedLeases();
    machine_.Flushed(flushes_.jobs, {});
    flushes_.jobs.clear();
  }
  void Pass(LogDuration duration) { now_ = now_ + duration; }

 private:
  static Machine::Options AllHot() {
    Machine::Options options;
    options.window_jobs_max = options.hot_jobs_max = 100'000'000;
    return options;
  }

  Machine machine_;
  Flushes flushes_;
  std::vector<std::string> names_;
  size_t next_queue_ = 0;
  uint64_t commands_ = 0;
  LogTime now_ = kStart;
};

void BM_Enqueue(benchmark::State& state) {
  Bench bench(state);
  for (auto _ : state) benchmark::DoNotOptimize(bench.Enqueue(bench.NextQueue(), LogDuration()));
  state.SetItemsProcessed(state.iterations());
}

// An empty kick under a request id that is remembered. `worst_ms`: the longest of the commands.
void BM_RememberedRequest(benchmark::State& state) {
  Bench bench(state);
  int64_t worst_nanos = 0;
  uint64_t digest = 0;
  for (auto _ : state) {
    digest += 0x9e3779b97f4a7c15;
    const auto begin = std::chrono::steady_clock::now();
    bench.Apply(KickCommand{.queue = bench.NextQueue(), .bound = 1, .from = {}},
                {.session = {}, .sequence = 0, .floor = 0, .digest_high = digest, .digest_low = 1});
    const auto took = std::chrono::steady_clock::now() - begin;
    worst_nanos = std::max<int64_t>(worst_nanos, std::chrono::nanoseconds(took).count());
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["worst_ms"] = static_cast<double>(worst_nanos) / 1e6;
}

// Enqueue, reserve and delete: three commands an iteration; the backlog stays as it is.
void BM_EnqueueReserveDelete(benchmark::State& state) {
  Bench bench(state);
  for (auto _ : state) {
    const std::string_view queue = bench.NextQueue();
    bench.Enqueue(queue, LogDuration());
    DeleteCommand command;
    command.leases.push_back(bench.Reserve(queue, state));
    bench.Apply(command);
  }
  state.SetItemsProcessed(3 * state.iterations());
}

void BM_ReserveRelease(benchmark::State& state) {
  Bench bench(state);
  for (auto _ : state) {
    ReleaseCommand command;
    command.leases.push_back(bench.Reserve(bench.NextQueue(), state));
    bench.Apply(command);
  }
  state.SetItemsProcessed(2 * state.iterations());
}

void BM_Touch(benchmark::State& state) {
  Bench bench(state);
  TouchCommand command;
  command.leases.push_back(bench.Reserve(bench.NextQueue(), state));
  for (auto _ : state) benchmark::DoNotOptimize(bench.Apply(command));
  state.SetItemsProcessed(state.iterations());
}

// A delayed job becomes due and is made ready, then is deleted: three commands an iteration.
void BM_DelayExpireDelete(benchmark::State& state) {
  Bench bench(state);
  for (auto _ : state) {
    DeleteJobCommand command;
    command.jobs.push_back(bench.Enqueue(bench.NextQueue(), LogDuration::Micros(1)));
    bench.Pass(LogDuration::Micros(1));
    if (bench.Apply(ExpireCommand{}).count == 0) state.SkipWithError("nothing was due");
    bench.Apply(command);
  }
  state.SetItemsProcessed(3 * state.iterations());
}

// A lease ends and its job is handed out again: two commands an iteration.
void BM_ReserveExpire(benchmark::State& state) {
  Bench bench(state);
  for (auto _ : state) {
    ReserveCommand reserve;
    reserve.queues.push_back(bench.NextQueue());
    reserve.lease = LogDuration::Micros(1);
    benchmark::DoNotOptimize(bench.Apply(reserve));
    bench.Pass(LogDuration::Micros(1));
    if (bench.Apply(ExpireCommand{}).count == 0) state.SkipWithError("nothing was due");
  }
  state.SetItemsProcessed(2 * state.iterations());
}

// One reserve over many queues of which the last one has the job.
void BM_ReserveOverQueues(benchmark::State& state) {
  Bench bench(state);
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("empty-" + std::to_string(i));
  for (auto _ : state) {
    ReserveCommand reserve;
    for (const std::string& name : names) reserve.queues.push_back(name);
    const std::string_view queue = bench.NextQueue();
    reserve.queues.push_back(queue);
    const Outcome outcome = bench.Apply(reserve);
    ReleaseCommand command;
    command.leases.push_back({outcome.grants[0].job.id, outcome.grants[0].job.token});
    bench.Apply(command);
  }
  state.SetItemsProcessed(2 * state.iterations());
}

void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"queues", "jobs"})
      ->Args({1, 10'000})
      ->Args({10'000, 10'000})
      ->Args({1, 1'000'000})
      ->Args({10'000, 1'000'000});
}

BENCHMARK(BM_Enqueue)->Apply(Shapes)->Iterations(500'000);
BENCHMARK(BM_RememberedRequest)->Args({1, 10})->Iterations(950'000);
BENCHMARK(BM_EnqueueReserveDelete)->Apply(Shapes);
BENCHMARK(BM_ReserveRelease)->Apply(Shapes);
BENCHMARK(BM_Touch)->Apply(Shapes);
BENCHMARK(BM_DelayExpireDelete)->Apply(Shapes);
BENCHMARK(BM_ReserveExpire)->Apply(Shapes);
BENCHMARK(BM_ReserveOverQueues)->Args({1, 10'000});

}  // namespace
}  // namespace holdfast

BENCHMARK_MAIN();
