// What the core alone costs: nanoseconds and allocations an entry on leader and follower of three
// voters, with writes and acknowledgements outstanding, and the memory of a replica that is idle.
//
// The log is in memory and keeps what is not applied; messages are made and dropped here, which is
// in the figures.

#include <malloc.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "benchmark/benchmark.h"
#include "replication/raft/core.h"

namespace {

int64_t live_bytes = 0;
int64_t allocations = 0;

}  // namespace

[[gnu::noinline]] void* operator new(size_t size) {
  void* p = std::malloc(size);
  if (p == nullptr) std::abort();
  live_bytes += static_cast<int64_t>(malloc_usable_size(p));
  ++allocations;
  return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  live_bytes -= static_cast<int64_t>(malloc_usable_size(p));
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { operator delete(p); }

namespace holdfast::raft {
namespace {

constexpr ReplicaId kSelf(1);
constexpr ReplicaId kPeers[] = {ReplicaId(2), ReplicaId(3)};
constexpr Term kTerm(1);

// Of one term; keeps the entries that are not applied yet.
class TailLog final : public LogReader {
 public:
  LogIndex First() const override { return first_; }
  LogIndex Last() const override { return LogIndex(first_.value() + tail_.size() - 1); }
  LogRead TermAt(LogIndex index, Term* term) const override {
    *term = index == LogIndex() ? Term() : kTerm;
    return LogRead::kOk;
  }
  LogRead Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
               std::vector<Entry>* entries) const override {
    uint64_t bytes = 0;
    for (LogIndex i = begin; i < end; i = Next(i)) {
      const Entry& entry = tail_[i.value() - first_.value()];
      bytes += entry.size_bytes();
      if (i > begin && bytes > bytes_max) break;
      entries->push_back(entry);
    }
    return LogRead::kOk;
  }
  LogRead Snapshot(SnapshotDescriptor*) override { return LogRead::kNotYet; }

  void Write(std::vector<Entry> entries) {
    for (Entry& entry : entries) tail_.push_back(std::move(entry));
  }
  void Applied(LogIndex index) {
    while (!tail_.empty() && first_ <= index) {
      tail_.pop_front();
      first_ = Next(first_);
    }
  }
  void Shrink() { tail_ = std::deque<Entry>(tail_.begin(), tail_.end()); }

 private:
  LogIndex first_{1};
  std::deque<Entry> tail_;
};

Core::Options OptionsOf(ReplicaId id) {
  Core::Options options;
  options.id = id;
  options.pre_vote = false;
  options.inflight_messages_max = 1 << 20;
  options.configuration.voters = {kSelf, kPeers[0], kPeers[1]};
  return options;
}

Message From(ReplicaId from, MessageType type) {
  Message message;
  message.type = type;
  message.from = from;
  message.to = kSelf;
  message.term = kTerm;
  return message;
}

class Replica {
 public:
  Replica() : core_(std::make_unique<Core>(OptionsOf(kSelf), &log_)) {}

  Core& core() { return *core_; }
  void Take() { writing_.push_back(core_->TakeReady()); }
  size_t writing() const { return writing_.size(); }
  // The oldest write is durable; what can be applied then is. Returns its last index.
  LogIndex Written() {
    Ready ready = std::move(writing_.front());
    writing_.pop_front();
    const LogIndex last = ready.write.last.index;
    log_.Write(std::move(ready.entries));
    for (Message& message : ready.messages_after_write) {
      if (message.to == kSelf) core_->Step(std::move(message));
    }
    core_->OnWritten(ready.write);
    Applied(ready);
    return last;
  }
  void Lead() {
    core_->Campaign();
    Take();
    Written();
    Message vote = From(kPeers[0], MessageType::kVoteResponse);
    core_->Step(vote);
    CHECK(core_->role() == Role::kLeader);
    while (core_->HasReady()) Take();
    while (writing() > 0) Acknowledge(Written());
  }
  void Acknowledge(LogIndex last) {
    for (const ReplicaId peer : kPeers) {
      Message message = From(peer, MessageType::kAppendResponse);
      message.index = last;
      core_->Step(std::move(message));
    }
  }
  // Gives back what this benchmark's own queues have grown to.
  void ShrinkOwn() {
    CHECK(writing_.empty());
    writing_ = std::deque<Ready>();
    log_.Shrink();
  }

 private:
  void Applied(const Ready& ready) {
    if (ready.committed.empty()) return;
    const LogIndex last = ready.committed.back().index;
    core_->OnApplied(last);
    log_.Applied(last);
  }

  TailLog log_;
  std::unique_ptr<Core> core_;
  std::deque<Ready> writing_;
};

void Report(benchmark::State& state, int64_t allocations_before) {
  const int64_t entries = state.iterations() * state.range(0);
  state.SetItemsProcessed(entries);
  state.counters["time/entry"] = benchmark::Counter(
      static_cast<double>(entries), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["allocations/batch"] = static_cast<double>(allocations - allocations_before) /
                                        static_cast<double>(state.iterations());
}

// Arguments: entries a batch, batches outstanding.
void BM_Leader(benchmark::State& state) {
  Replica replica;
  replica.Lead();
  const auto data = std::make_shared<const std::string>(100, 'x');
  const auto outstanding = static_cast<size_t>(state.range(1));
  const int64_t before = allocations;
  for (auto _ : state) {
    for (int64_t i = 0; i < state.range(0); ++i) {
      CHECK(replica.core().Propose(EntryType::kCommands, data) == ProposeResult::kOk);
    }
    replica.Take();
    if (replica.writing() < outstanding) continue;
    replica.Acknowledge(replica.Written());
  }
  Report(state, before);
}

// Arguments: entries a batch, batches outstanding.
void BM_Follower(benchmark::State& state) {
  Replica replica;
  const auto data = std::make_shared<const std::string>(100, 'x');
  const auto outstanding = static_cast<size_t>(state.range(1));
  const auto batch = static_cast<size_t>(state.range(0));
  LogIndex last;
  LogIndex stored;
  const int64_t before = allocations;
  for (auto _ : state) {
    Message append = From(kPeers[0], MessageType::kAppend);
    append.index = last;
    append.log_term = last == LogIndex() ? Term() : kTerm;
    append.commit = stored;
    append.entries.reserve(batch);
    for (size_t i = 0; i < batch; ++i) {
      last = Next(last);
      append.entries.push_back(
          {.term = kTerm, .index = last, .type = EntryType::kCommands, .data = data});
    }
    replica.core().Step(std::move(append));
    replica.Take();
    if (replica.writing() >= outstanding) stored = replica.Written();
  }
  Report(state, before);
}

// A replica that had traffic and has none now. Argument: whether it leads.
void BM_IdleMemory(benchmark::State& state) {
  constexpr int kReplicas = 100;
  std::vector<std::unique_ptr<Replica>> replicas;
  for (auto _ : state) {
    replicas.clear();
    const int64_t before = live_bytes;
    for (int i = 0; i < kReplicas; ++i) {
      replicas.push_back(std::make_unique<Replica>());
      Replica& replica = *replicas.back();
      if (state.range(0) != 0) {
        replica.Lead();
        for (int n = 0; n < 1000; ++n) {
          replica.core().Propose(EntryType::kCommands, nullptr);
          replica.Take();
        }
        while (replica.writing() > 0) replica.Acknowledge(replica.Written());
      }
      for (int tick = 0; tick < 2; ++tick) {
        replica.core().Tick();
        while (replica.core().HasReady()) replica.Take();
        while (replica.writing() > 0) replica.Written();
      }
      replica.ShrinkOwn();
    }
    // Without what is this benchmark's own: the log and the queue of writes.
    const int64_t own = [] {
      const int64_t at = live_bytes;
      const auto empty = std::make_unique<std::pair<TailLog, std::deque<Ready>>>();
      return live_bytes - at;
    }();
    state.counters["bytes/replica"] =
        static_cast<double>(live_bytes - before) / kReplicas - static_cast<double>(own);
  }
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t batch : {1, 64}) {
    for (const int64_t outstanding : {1, 64, 1024}) benchmark->Args({batch, outstanding});
  }
}

BENCHMARK(BM_Leader)->Apply(Sizes);
BENCHMARK(BM_Follower)->Apply(Sizes);
BENCHMARK(BM_IdleMemory)->Arg(0)->Arg(1)->Iterations(1);

}  // namespace
}  // namespace holdfast::raft
