// What a command costs on its way: encode, build an entry, decode; and a job's row.
//   bazel run --config=opt //server/codec:codec_bench

#include <benchmark/benchmark.h>

#include <string>
#include <utility>
#include <vector>

#include "server/codec/entry_codec.h"
#include "server/codec/row_codec.h"

namespace holdfast {
namespace {

std::string Enqueue(const PayloadView& payload, int64_t jobs) {
  JobSpec spec;
  spec.priority = 1000;
  EnqueueEncoder encoder(RequestIdentity(), "mail", static_cast<size_t>(jobs) * 130);
  for (int64_t i = 0; i < jobs; ++i) encoder.Add(spec, payload);
  return std::move(encoder).Finish();
}

void EncodeEnqueue(benchmark::State& state) {
  const std::string body(100, 'x');
  PayloadView payload;
  payload.body = body;
  for (auto _ : state) benchmark::DoNotOptimize(Enqueue(payload, state.range(0)));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(EncodeEnqueue)->Arg(1)->Arg(100);

void DecodeEnqueue(benchmark::State& state) {
  const std::string body(100, 'x');
  PayloadView payload;
  payload.body = body;
  const std::string command = Enqueue(payload, state.range(0));
  DecodedCommand decoded;
  for (auto _ : state) {
    benchmark::DoNotOptimize(DecodeCommand(command, &decoded).ok());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(DecodeEnqueue)->Arg(1)->Arg(100);

void EncodeDelete(benchmark::State& state) {
  Command command;
  command.body = DeleteCommand{{{JobId(123456789), LeaseToken(1)}}};
  for (auto _ : state) benchmark::DoNotOptimize(EncodeCommand(command));
}
BENCHMARK(EncodeDelete);

void DecodeDelete(benchmark::State& state) {
  Command command;
  command.body = DeleteCommand{{{JobId(123456789), LeaseToken(1)}}};
  const std::string bytes = EncodeCommand(command);
  DecodedCommand decoded;
  for (auto _ : state) {
    benchmark::DoNotOptimize(DecodeCommand(bytes, &decoded).ok());
  }
}
BENCHMARK(DecodeDelete);

// Per command.
void BuildAndReadEntry(benchmark::State& state) {
  const std::string body(100, 'x');
  PayloadView payload;
  payload.body = body;
  const std::vector<std::string> commands(64, Enqueue(payload, 1));
  DecodedCommand decoded;
  for (auto _ : state) {
    const EntryBuffer entry = BuildEntry(LogTime::FromMicros(1), commands);
    auto reader = EntryReader::Open(*entry);
    while (!reader->done()) benchmark::DoNotOptimize(reader->Next(&decoded).ok());
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(BuildAndReadEntry);

Job ReservedJob() {
  Job job;
  job.id = JobId(123456789);
  job.queue = QueueId(7);
  job.state = JobState::kReserved;
  job.priority = 1000;
  job.created = LogTime::FromMicros(1'764'000'000'000'000);
  job.due = job.created + LogDuration::Seconds(60);
  job.expires = LogTime::Never();
  job.lease = job.current_lease = LogDuration::Seconds(60);
  job.token = LeaseToken(1);
  job.attempts = job.reserves = 1;
  job.payload_size_bytes = 103;
  job.payload_digest = 0x123456789abcdef;
  job.holder = {NodeId(1), 3, 1000};
  return job;
}

void WriteJob(benchmark::State& state) {
  const Job job = ReservedJob();
  char row[kJobRowBytesMax];
  size_t size = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(size = WriteJobRow(job, row));
    benchmark::ClobberMemory();
  }
  state.counters["row_bytes"] = static_cast<double>(size);
}
BENCHMARK(WriteJob);

void ReadJob(benchmark::State& state) {
  const std::string row = EncodeJobRow(ReservedJob());
  for (auto _ : state) benchmark::DoNotOptimize(DecodeJobRow(JobId(1), row)->due);
}
BENCHMARK(ReadJob);

}  // namespace
}  // namespace holdfast

BENCHMARK_MAIN();
