// What the overlay costs the shard's loop per change, its memory per job, and a batch.
//   bazel run --config=opt //server/engine/overlay:overlay_bench

#include <benchmark/benchmark.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "server/codec/payload_codec.h"
#include "server/engine/overlay/dirty_overlay.h"
#include "server/engine/overlay/flush_batch.h"

namespace holdfast {
namespace {

// An entry of one enqueue with this many jobs of 100 bytes.
struct Entry {
  explicit Entry(int64_t jobs) {
    const std::string body(100, 'x');
    PayloadView payload;
    payload.body = body;
    EnqueueEncoder encoder(RequestIdentity(), "mail", static_cast<size_t>(jobs) * 130);
    for (int64_t i = 0; i < jobs; ++i) encoder.Add(JobSpec(), payload);
    const std::string command = std::move(encoder).Finish();
    buffer = BuildEntry(LogTime::FromMicros(1), {std::string_view(command)});
    (void)EntryReader::Open(*buffer)->Next(&decoded);
  }
  EntryBuffer buffer;
  DecodedCommand decoded;
};

Job MakeJob(uint64_t id, size_t payload_size) {
  Job job;
  job.id = JobId(id);
  job.queue = QueueId(1);
  job.priority = 1000;
  job.created = LogTime::FromMicros(1'764'000'000'000'000);
  job.expires = LogTime::Never();
  job.lease = LogDuration::Seconds(60);
  job.payload_size_bytes = static_cast<uint32_t>(payload_size);
  return job;
}

Job Reserved(Job job) {
  job.state = JobState::kReserved;
  job.due = job.created + LogDuration::Seconds(60);
  job.token = LeaseToken(1);
  job.attempts = job.reserves = 1;
  job.holder = {NodeId(1), 3, 1000};
  job.current_lease = job.lease;
  return job;
}

void Enqueue(DirtyOverlay* overlay, uint64_t first, const Entry& entry) {
  const auto& payloads = entry.decoded.payloads;
  for (size_t i = 0; i < payloads.size(); ++i) {
    const Job job = MakeJob(first + i, payloads[i].size());
    overlay->JobChanged(job.id, nullptr, &job);
  }
  for (size_t i = 0; i < payloads.size(); ++i) {
    overlay->AttachPayload(JobId(first + i), entry.buffer, payloads[i]);
  }
}

// Enqueue, reserve, delete within one generation: the common case.
void Cycle(benchmark::State& state) {
  DirtyOverlay overlay(ShardId(0), 1);
  uint64_t next = 1;
  for (auto _ : state) {
    state.PauseTiming();
    const Entry entry(100);
    state.ResumeTiming();
    Enqueue(&overlay, next, entry);
    for (uint64_t id = next; id < next + 100; ++id) {
      const Job ready = MakeJob(id, 103);
      const JobPlaces at_ready = PlacesOf(ready);
      const Job reserved = Reserved(ready);
      overlay.JobChanged(ready.id, &at_ready, &reserved);
    }
    for (uint64_t id = next; id < next + 100; ++id) {
      const JobPlaces places = PlacesOf(Reserved(MakeJob(id, 103)));
      overlay.JobChanged(JobId(id), &places, nullptr);
    }
    next += 100;
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(Cycle);

// Memory of a job that waits, with its entry holding range(0) jobs; and freezing, batching and
// releasing 200,000 of them.
void FillAndFlush(benchmark::State& state) {
  constexpr int64_t kJobs = 200'000;
  for (auto _ : state) {
    DirtyOverlay overlay(ShardId(0), 1);
    for (int64_t id = 1; id < kJobs; id += state.range(0)) {
      Enqueue(&overlay, static_cast<uint64_t>(id), Entry(state.range(0)));
    }
    state.counters["overlay_bytes_a_job"] =
        static_cast<double>(overlay.bytes()) / static_cast<double>(kJobs);
    const auto frozen = overlay.Freeze();
    const auto start = std::chrono::steady_clock::now();
    StateBatch batch;
    AddToBatch(*frozen, AppliedRow(), &batch);
    const std::chrono::duration<double> batched = std::chrono::steady_clock::now() - start;
    benchmark::DoNotOptimize(overlay.Release().jobs.size());
    const std::chrono::duration<double> released =
        std::chrono::steady_clock::now() - start - batched;
    state.counters["batch_ns_a_job"] = batched.count() * 1e9 / kJobs;
    state.counters["release_ns_a_job"] = released.count() * 1e9 / kJobs;
    state.counters["batch_bytes_a_job"] =
        static_cast<double>(batch.memory_bytes()) / static_cast<double>(kJobs);
  }
  state.SetItemsProcessed(state.iterations() * kJobs);
}
BENCHMARK(FillAndFlush)->Arg(1)->Arg(100)->Unit(benchmark::kMillisecond);

// Jobs that are durable and change: reserved in one generation.
void ReserveDurable(benchmark::State& state) {
  constexpr uint64_t kJobs = 200'000;
  for (auto _ : state) {
    DirtyOverlay overlay(ShardId(0), 1);
    for (uint64_t id = 1; id <= kJobs; ++id) {
      const Job ready = MakeJob(id, 103);
      const JobPlaces places = PlacesOf(ready);
      const Job reserved = Reserved(ready);
      overlay.JobChanged(ready.id, &places, &reserved);
    }
    state.counters["overlay_bytes_a_job"] =
        static_cast<double>(overlay.bytes()) / static_cast<double>(kJobs);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kJobs));
}
BENCHMARK(ReserveDurable)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace holdfast

BENCHMARK_MAIN();
