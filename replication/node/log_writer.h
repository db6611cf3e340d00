// The one thread that writes a node's log: it takes everything that waits, of all shards, and
// writes it with one sync.
//
//   loop threads ──Write──▶ [queue] ──▶ writer thread: LogStore::Write ──▶ done(status)
//
// Handing a write over and back costs about as much as a sync of a fast disk. Where the caller has
// nothing better to do (callers_bytes_max), a small write that finds the thread idle is done by the
// caller: one at a time writes, whichever thread that is.
//
// A write that may lag (sync_interval, may_lag) is reported before it is synced. It is synced with
// the next write that may not, or when the interval has passed.
//
// Failure. A full disk fails the batch and, for each shard in it, everything queued behind, until
// the shard says Resume (the indexes behind a failed entry would leave a gap). What only frees
// space is not held up by it. Any other error of the store is final: everything fails, `on_fatal`
// is called once, and the process should end.
//
// Bounds: the caller bounds what is in flight (engine: Admission); one Write takes at most
// Options::batch_bytes_max of payload, or one entry.
// Thread-safety: all methods from any thread; `done` runs on the writer's thread, or within the
// call that asks for it, and must not block. Ownership: the store outlives the writer.

#ifndef HOLDFAST_REPLICATION_NODE_LOG_WRITER_H_
#define HOLDFAST_REPLICATION_NODE_LOG_WRITER_H_

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/types.h"
#include "replication/node/log_write.h"
#include "storage/log_store.h"

namespace holdfast {

class LogWriter {
 public:
  enum class Thread : uint8_t { kOwn = 0, kCallers = 1 };
  struct Options {
    // kCallers: a write is done and reported within the call that asks for it. For a store that
    // never blocks or fails. REQUIRES: one thread calls Write and Resume, sync_interval is zero.
    Thread thread = Thread::kOwn;
    // kOwn: a write of at most so much is done by the caller if the thread has nothing to do, one
    // that needs a sync, for which the caller then blocks, and one that needs none. 0: never.
    uint64_t callers_synced_bytes_max = 0;
    uint64_t callers_bytes_max = 0;
    // Zero: a write is reported when it is on stable storage. Else: as soon as the operating
    // system has it, and it is synced at most this much later (--sync interval:MS).
    absl::Duration sync_interval;
    // Which writes the interval is for; all others are reported when they are on stable storage.
    // Empty: all. REQUIRES: what these say may be forgotten, and no other node counts on it.
    std::function<bool(const LogWrite&)> may_lag;
    // With nothing to write for this long the log's end is sealed (LogStore::Seal).
    absl::Duration seal_after = absl::Milliseconds(200);
    uint64_t batch_bytes_max = 8 << 20;
  };
  using Done = absl::AnyInvocable<void(const absl::Status&) &&>;
  using FatalHandler = std::function<void(const absl::Status&)>;

  LogWriter(LogStore* store, const Options& options, FatalHandler on_fatal);
  // Stops if that was not done.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Reported in the order of the calls.
  void Write(ShardId shard, LogWrite write, Done done);
  // After a failed write of this shard: what is queued from here on is written again.
  void Resume(ShardId shard, Done done);

  // Blocks until everything that was reported before is on stable storage. Errors: the store's.
  absl::Status SyncReported();

  // Writes what is queued, syncs, seals, and joins the thread.
  void Stop();

 private:
  struct Item {
    enum class Kind : uint8_t { kWrite, kResume, kSync } kind = Kind::kWrite;
    ShardId shard;
    LogWrite write;
    Done done;
    SyncMode sync = SyncMode::kLater;  // before it is reported
    bool lags = false;                 // it is to be synced, but later
  };
  void Push(Item item);
  // Begins a write by the caller; false: it is for the thread.
  bool BeginHere(Item* item) ABSL_LOCKS_EXCLUDED(mutex_);
  void EndHere() ABSL_LOCKS_EXCLUDED(mutex_);
  void Run();
  // Waits for items or idle duties; false when it is time to end.
  bool Take(std::vector<Item>* items);
  // When to sync or to seal if nothing more comes.
  absl::Time DutyAt() const;
  void WriteAll(std::vector<Item>* items);
  // One store write of `items`, in order; reports them.
  void WriteSome(absl::Span<Item> items);
  // Adds `item` to batch_, or says why it may not be written.
  absl::Status AddToBatch(const Item& item);
  absl::Status WriteBatch(SyncMode sync, bool lags);
  void Fail(const absl::Status& status);
  void SyncOrSeal();

  LogStore* const store_;
  const Options options_;
  const FatalHandler on_fatal_;

  absl::Mutex mutex_;
  absl::CondVar wake_ ABSL_GUARDED_BY(mutex_);
  std::vector<Item> items_ ABSL_GUARDED_BY(mutex_);
  // The thread waits: for items, its turn or a duty. It rests: a caller's write brings a duty.
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  bool resting_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;  // somebody; at first the thread

  // Of whoever is writing; while nobody is, of who holds the mutex.
  LogBatch batch_;
  absl::Status fatal_;
  absl::flat_hash_map<ShardId, absl::Status> failed_shards_;
  absl::Time unsynced_since_ = absl::InfiniteFuture();
  absl::Time written_ = absl::InfinitePast();
  bool sealed_ = true;

  std::thread thread_;  // of kOwn; last: starts when the rest is made
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_LOG_WRITER_H_
