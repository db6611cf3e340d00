#include "server/engine/flusher.h"

#include <pthread.h>

#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "base/status_macros.h"
#include "server/engine/overlay/flush_batch.h"

namespace holdfast {
namespace {

constexpr absl::Duration kCheckEvery = absl::Seconds(1);
constexpr absl::Duration kPressureCheckEvery = absl::Milliseconds(20);
constexpr absl::Duration kFullDiskCheckEvery = absl::Milliseconds(200);

}  // namespace

Flusher::Flusher(const Options& options, uint64_t seed, StateStore* store, const LogStore* log,
                 LogWriter* log_writer, std::vector<ShardOnLoop> shards,
                 const std::atomic<uint64_t>* unflushed_bytes, Handler on_disk_full,
                 Handler on_fatal)
    : options_(options),
      store_(store),
      log_(log),
      log_writer_(log_writer),
      shards_(std::move(shards)),
      unflushed_bytes_(unflushed_bytes),
      on_disk_full_(std::move(on_disk_full)),
      on_fatal_(std::move(on_fatal)),
      random_(seed) {
  DrawNextFlush();
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "flusher");
}

Flusher::~Flusher() { Stop(LastFlush::kSkip); }

void Flusher::DrawNextFlush() {
  const double share = static_cast<double>(random_.Between(750, 1000)) / 1000;
  due_bytes_.store(static_cast<uint64_t>(share * static_cast<double>(options_.unflushed_bytes)));
  due_at_ = absl::Now() + share * options_.age;
}

void Flusher::Request() {
  absl::MutexLock lock(&mutex_);
  wake_.Signal();
}

void Flusher::FlushSoon() {
  if (!requested_.exchange(true)) Request();
}

void Flusher::Stop(LastFlush last) {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.Signal();
  }
  thread_.join();
  if (last == LastFlush::kDo && !failed_) {
    if (absl::Status status = FlushOnce(); !status.ok()) Fail(status);
  }
}

void Flusher::Fail(const absl::Status& status) {
  failed_ = true;
  // On a full disk the next start replays the log instead.
  if (!absl::IsResourceExhausted(status) || !store_->Stats().health.ok()) on_fatal_(status);
}

void Flusher::RunBetween(Task task) {
  absl::MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
  wake_.Signal();
}

void Flusher::RunTasks() {
  std::vector<Task> tasks;
  {
    absl::MutexLock lock(&mutex_);
    tasks.swap(tasks_);
  }
  for (Task& task : tasks) std::move(task)();
}

bool Flusher::LogIsLong() const { return log_->Usage().retained_bytes >= options_.log_bytes; }

bool Flusher::WaitForReason() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      const bool wanted = requested_.load() || !tasks_.empty();
      if (!stopping_ && !wanted) wake_.WaitWithTimeout(&mutex_, kCheckEvery);
      if (stopping_) return false;
      if (requested_.load() || !tasks_.empty()) return true;
    }
    if (absl::Now() >= due_at_ || LogIsLong()) return true;
    store_->Reclaim();
  }
}

void Flusher::WaitForStore() {
  while (PressureOf(store_->Stats()) == StatePressure::kStop && store_->Stats().health.ok()) {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    wake_.WaitWithTimeout(&mutex_, kPressureCheckEvery);
  }
}

void Flusher::Run() {
  while (WaitForReason()) {
    RunTasks();
    WaitForStore();
    const absl::Status status = FlushOnce();
    if (!status.ok()) return Fail(status);
    // What is being flushed counts as unflushed, so requests made meanwhile say nothing. A shard
    // that notes something now either finds no request, or its bytes are found here.
    requested_.exchange(false);
    DrawNextFlush();
    if (TooMuchUnflushed()) requested_.store(true);
  }
}

std::vector<Shard::Frozen> Flusher::FreezeAll(std::vector<ShardOnLoop>* frozen_shards) {
  std::vector<Shard::Frozen> all(shards_.size());
  absl::BlockingCounter left(static_cast<int>(shards_.size()));
  for (size_t i = 0; i < shards_.size(); ++i) {
    shards_[i].loop->Post([&all, &left, i, shard = shards_[i].shard] {
      shard->Freeze([&all, &left, i](Shard::Frozen frozen) {
        all[i] = std::move(frozen);
        left.DecrementCount();
      });
    });
  }
  left.Wait();
  std::vector<Shard::Frozen> frozen;
  for (size_t i = 0; i < shards_.size(); ++i) {
    if (all[i].generation == nullptr) continue;
    frozen.push_back(std::move(all[i]));
    frozen_shards->push_back(shards_[i]);
  }
  return frozen;
}

absl::Status Flusher::FlushWhenThereIsRoom(const StateBatch& batch) {
  bool was_full = false;
  for (;;) {
    absl::Status status = store_->Flush(batch);
    const bool full = absl::IsResourceExhausted(status) && store_->Stats().health.ok();
    if (full != was_full) on_disk_full_(full ? status : absl::OkStatus());
    if (!full) return status;
    was_full = true;
    absl::MutexLock lock(&mutex_);
    if (!stopping_) wake_.WaitWithTimeout(&mutex_, kFullDiskCheckEvery);
    if (stopping_) return status;
  }
}

absl::Status Flusher::FlushOnce() {
  std::vector<ShardOnLoop> shards;
  std::vector<Shard::Frozen> frozen = FreezeAll(&shards);
  if (frozen.empty()) return absl::OkStatus();
  {
    StateBatch batch;
    for (const Shard::Frozen& one : frozen) AddToBatch(*one.generation, one.applied, &batch);
    // The state must never be ahead of the log.
    RETURN_IF_ERROR(log_writer_->SyncReported());
    RETURN_IF_ERROR(FlushWhenThereIsRoom(batch));
  }
  frozen.clear();
  TellShards(shards);
  store_->Reclaim();
  return absl::OkStatus();
}

// All of them, also those that had nothing to flush: a snapshot that an idle shard held on to would
// keep the deleted rows of all the others on disk.
void Flusher::TellShards(const std::vector<ShardOnLoop>& flushed) {
  std::vector<std::shared_ptr<const Generation>> retired(flushed.size());
  absl::BlockingCounter left(static_cast<int>(shards_.size()));
  size_t next = 0;  // `flushed` are some of `shards_`, in the same order.
  for (const ShardOnLoop& one : shards_) {
    std::shared_ptr<const Generation>* const frees =
        next < flushed.size() && flushed[next].shard == one.shard ? &retired[next++] : nullptr;
    one.loop->Post([&left, frees, shard = one.shard] {
      if (frees != nullptr) {
        *frees = shard->Flushed();
      } else {
        shard->OthersFlushed();
      }
      left.DecrementCount();
    });
  }
  left.Wait();
  // What was frozen is freed here, on this thread.
}

}  // namespace holdfast
