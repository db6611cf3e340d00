// Makes what the shards have applied durable in the state store, in the background, so that
// memory and the log stay bounded.
//
//   thread: wait for a reason ─▶ each loop: Freeze its shards ─▶ one batch ─▶ StateStore::Flush
//           ─▶ each loop: Flushed ─▶ free what was frozen ─▶ StateStore::Reclaim
//
// Reasons: unflushed bytes, bytes kept in the log, or the age of the oldest unflushed change. All
// shards go into one flush, since its fsyncs cost the same for one as for all. The first and the
// last reason hold from three quarters of what is set, drawn anew for each flush: the nodes of a
// cluster apply the same at the same time, and must not all be busy with a flush at once. When the
// store's compaction has fallen behind, the thread waits before it flushes; the shards then fill up
// to their bound and stop proposing. When the disk is full the thread tries again and again;
// nothing is lost, since the log still holds it all.
//
// Thread-safety: all methods from any thread. Ownership: stores, writer and shards outlive it.

#ifndef HOLDFAST_SERVER_ENGINE_FLUSHER_H_
#define HOLDFAST_SERVER_ENGINE_FLUSHER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/prng.h"
#include "replication/node/log_writer.h"
#include "server/engine/shard.h"
#include "storage/log_store.h"
#include "storage/state_store.h"

namespace holdfast {

// A shard and the executor that it is bound to.
struct ShardOnLoop {
  Executor* loop = nullptr;
  Shard* shard = nullptr;
};

class Flusher {
 public:
  struct Options {
    uint64_t unflushed_bytes = 24 << 20;
    uint64_t log_bytes = 256 << 20;  // more than replicas keep for followers
    absl::Duration age = absl::Seconds(20);
  };

  using Handler = std::function<void(const absl::Status&)>;

  // `on_disk_full` is called on the flusher's thread: with RESOURCE_EXHAUSTED when a flush finds
  // no room on the disk, with OK when a later try found it. `on_fatal`: nothing can be flushed.
  // `unflushed_bytes`: what all shards hold. `seed`: another one on each node of a cluster.
  Flusher(const Options& options, uint64_t seed, StateStore* store, const LogStore* log,
          LogWriter* log_writer, std::vector<ShardOnLoop> shards,
          const std::atomic<uint64_t>* unflushed_bytes, Handler on_disk_full, Handler on_fatal);
  // Stops if that was not done.
  ~Flusher();

  // The shards may hold more than before. Cheap.
  void Note() {
    if (TooMuchUnflushed() && !requested_.exchange(true)) Request();
  }
  void FlushSoon();
  // Runs `task` on the thread, between two flushes. Dropped if the thread has ended.
  void RunBetween(Task task);
  enum class LastFlush : uint8_t { kSkip, kDo };
  // Ends a flush that is under way, does a last one if asked to, joins the thread. The loops must
  // still run.
  void Stop(LastFlush last);

 private:
  bool TooMuchUnflushed() const { return unflushed_bytes_->load() >= due_bytes_.load(); }
  void DrawNextFlush();
  void Request();
  void Run();
  // Waits for a reason to flush; false when it is time to end.
  bool WaitForReason();
  void RunTasks();
  bool LogIsLong() const;
  void WaitForStore();
  // Freezes and flushes. RESOURCE_EXHAUSTED: the disk was full until it was time to end; what is
  // frozen stays so, and no other flush may follow.
  absl::Status FlushOnce();
  absl::Status FlushWhenThereIsRoom(const StateBatch& batch);
  void TellShards(const std::vector<ShardOnLoop>& flushed);
  void Fail(const absl::Status& status);
  std::vector<Shard::Frozen> FreezeAll(std::vector<ShardOnLoop>* frozen_shards);

  const Options options_;
  StateStore* const store_;
  const LogStore* const log_;
  LogWriter* const log_writer_;
  const std::vector<ShardOnLoop> shards_;
  const std::atomic<uint64_t>* const unflushed_bytes_;
  const Handler on_disk_full_;
  const Handler on_fatal_;

  std::atomic<bool> requested_{false};
  std::atomic<uint64_t> due_bytes_;
  absl::Mutex mutex_;
  absl::CondVar wake_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  Prng random_;  // what follows: the thread's
  absl::Time due_at_;
  bool failed_ = false;  // then of Stop

  std::thread thread_;  // last: starts when the rest is made
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_FLUSHER_H_
