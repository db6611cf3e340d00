// What passing messages between two nodes costs, over gRPC on loopback.
//
//   BM_Encode/N           one append with an entry of N bytes: record, frame and byte buffer, ours
//   BM_EncodeProtobuf/N   the same bytes through a protobuf message, for comparison
//   BM_Decode/N           the way back, to an entry
//   BM_DecodeProtobuf/N
//   BM_SmallMessages/N    heartbeats, N to each Send: messages/s, CPU time per message, of both
//   ends BM_Appends/N          appends of N bytes, at most 16 MiB on the way: bytes/s, likewise

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "proto/holdfast/peer/v1/peer.pb.h"
#include "replication/transport/byte_buffer.h"
#include "replication/transport/frame_reader.h"
#include "replication/transport/message_codec.h"
#include "replication/transport/send_queue.h"
#include "replication/transport/testing/test_node.h"

namespace holdfast {
namespace {

constexpr ReplicaId kSender(1001);

PeerEnvelope MakeAppend(size_t bytes) {
  PeerEnvelope envelope;
  envelope.shard = ShardId(1);
  envelope.wall_micros = 1'700'000'000'000'000;
  envelope.message.type = raft::MessageType::kAppend;
  envelope.message.from = kSender;
  envelope.message.to = ReplicaId(1002);
  envelope.message.term = Term(3);
  envelope.message.entries.push_back({.term = Term(3),
                                      .index = LogIndex(1000),
                                      .type = raft::EntryType::kCommands,
                                      .data = std::make_shared<const std::string>(bytes, 'x')});
  return envelope;
}

OutFrame MakeFrame(const PeerEnvelope& envelope) {
  SendQueue queue({.frame_bytes_max = 4 << 20}, kTestShards);
  CHECK(queue.Push(EncodeEnvelope(envelope, kSender)));
  OutFrame frame;
  CHECK(queue.Next(&frame));
  return frame;
}

void BM_Encode(benchmark::State& state) {
  const PeerEnvelope envelope = MakeAppend(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(ToByteBuffer(MakeFrame(envelope)));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// A PeerFrame whose records are assigned: what generated code does, one copy into the message and
// one when it is serialised.
void BM_EncodeProtobuf(benchmark::State& state) {
  const PeerEnvelope envelope = MakeAppend(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    const OutFrame frame = MakeFrame(envelope);
    peer::v1::PeerFrame message;
    std::string* records = message.mutable_records();
    records->reserve(frame.size_bytes());
    records->append(frame.head);
    for (const ByteRange& range : frame.body) {
      records->append(*range.owner, range.begin, range.size);
    }
    benchmark::DoNotOptimize(ToByteBuffer(message));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_Decode(benchmark::State& state) {
  const grpc::ByteBuffer buffer =
      ToByteBuffer(MakeFrame(MakeAppend(static_cast<size_t>(state.range(0)))));
  for (auto _ : state) {
    ReceivedFrame frame;
    FrameReader reader({.shards = kTestShards, .record_bytes_max = 64 << 20});
    std::vector<Record> records;
    CHECK(frame.Parse(buffer).ok());
    CHECK(reader.Read(frame.records(), &records).ok());
    benchmark::DoNotOptimize(DecodeEnvelope(std::move(records[0]), kSender));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_DecodeProtobuf(benchmark::State& state) {
  const grpc::ByteBuffer buffer =
      ToByteBuffer(MakeFrame(MakeAppend(static_cast<size_t>(state.range(0)))));
  std::vector<grpc::Slice> slices;
  CHECK(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  for (auto _ : state) {
    peer::v1::PeerFrame message;
    CHECK(message.ParseFromString(bytes));
    FrameReader reader({.shards = kTestShards, .record_bytes_max = 64 << 20});
    std::vector<Record> records;
    CHECK(reader.Read({message.records()}, &records).ok());
    benchmark::DoNotOptimize(DecodeEnvelope(std::move(records[0]), kSender));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// Of this process so far: user and system, in seconds.
double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A handler that counts.
class Counter final : public PeerHandler {
 public:
  void OnMessages(NodeId, std::vector<PeerEnvelope> messages) override {
    absl::MutexLock lock(&mutex_);
    count_ += messages.size();
  }
  void OnUnreachable(ShardId, ReplicaId) override { CHECK(false); }
  void OnPeerChange(const PeerChange&) override {}
  void OnForward(NodeId, ShardId, std::shared_ptr<const std::string>, ForwardReply) override {}
  void OnSnapshotPart(NodeId, SnapshotPart, std::shared_ptr<void>) override {}
  void OnSnapshotAnswer(NodeId, ShardId, std::string) override {}
  void OnSnapshotStream(NodeId, SnapshotStream) override {}

  // Blocks until at least `count` messages have come.
  void AwaitCount(uint64_t count) {
    absl::MutexLock lock(&mutex_);
    const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return count_ >= count; };
    mutex_.Await(absl::Condition(&came));
  }

 private:
  absl::Mutex mutex_;
  uint64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Sends batches of messages from one node to another, so that at most `window` are on the way.
void SendBatches(benchmark::State& state, const PeerEnvelope& message, size_t batch,
                 uint64_t window, size_t bytes) {
  TestNode sender(TestOptions(1));
  Counter counter;
  TestNode receiver(TestOptions(2), &counter);
  Connect({&sender, &receiver});
  CHECK(sender.AwaitUp(receiver.id()));
  PeerEnvelope addressed = message;
  addressed.message.to = receiver.replica();
  uint64_t sent = 0;
  const double cpu = CpuSeconds();
  for (auto _ : state) {
    if (sent >= window) counter.AwaitCount(sent - window + batch);
    std::vector<PeerEnvelope> messages;
    messages.reserve(batch);
    for (size_t i = 0; i < batch; ++i) {
      messages.push_back(addressed);
      messages.back().shard = ShardId(static_cast<uint32_t>(i) % kTestShards);
    }
    sender.transport()->Send(receiver.id(), std::move(messages));
    sent += batch;
  }
  counter.AwaitCount(sent);
  state.SetItemsProcessed(static_cast<int64_t>(sent));
  if (bytes > 0) state.SetBytesProcessed(static_cast<int64_t>(sent * bytes));
  const PeerStatus status = sender.transport()->Status()[0];
  state.counters["cpu_us_per_message"] = (CpuSeconds() - cpu) * 1e6 / static_cast<double>(sent);
  state.counters["messages_per_frame"] =
      static_cast<double>(sent) / static_cast<double>(status.sent_frames);
}

void BM_SmallMessages(benchmark::State& state) {
  PeerEnvelope heartbeat = MakeAppend(0);
  heartbeat.message.type = raft::MessageType::kHeartbeat;
  heartbeat.message.entries.clear();
  SendBatches(state, heartbeat, static_cast<size_t>(state.range(0)), 2048, 0);
}

void BM_Appends(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  const uint64_t window = std::max<uint64_t>(2, std::min<uint64_t>(4096, (16 << 20) / bytes));
  SendBatches(state, MakeAppend(bytes), 1, window, bytes);
}

BENCHMARK(BM_Encode)->Arg(100)->Arg(10'000)->Arg(1 << 20);
BENCHMARK(BM_EncodeProtobuf)->Arg(100)->Arg(10'000)->Arg(1 << 20);
BENCHMARK(BM_Decode)->Arg(100)->Arg(10'000)->Arg(1 << 20);
BENCHMARK(BM_DecodeProtobuf)->Arg(100)->Arg(10'000)->Arg(1 << 20);
BENCHMARK(BM_SmallMessages)->Arg(1)->Arg(16)->Arg(128)->UseRealTime();
BENCHMARK(BM_Appends)->Arg(100)->Arg(10'000)->Arg(1 << 20)->Arg(16 << 20)->UseRealTime();

}  // namespace
}  // namespace holdfast

BENCHMARK_MAIN();
