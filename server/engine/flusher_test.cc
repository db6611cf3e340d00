// When the state store is flushed, and what the shards let go of then: a node on memory stores,
// with a state store that is watched.

#include "server/engine/flusher.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "server/engine/node_engine.h"
#include "storage/memory_log/memory_log_store.h"
#include "storage/memory_state/memory_state_store.h"

namespace holdfast {
namespace {

// Counts flushes, and the snapshots that are held by the flush that they show last.
class WatchedStore final : public StateStore {
 public:
  absl::Status Flush(const StateBatch& batch) override {
    absl::Notification* hold = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      begun_ = true;
      hold = hold_;
    }
    if (hold != nullptr) hold->WaitForNotification();
    const absl::Status status = store_.Flush(batch);
    absl::MutexLock lock(&mutex_);
    ++flushes_;
    return status;
  }

  std::shared_ptr<const StateSnapshot> Snapshot() const override {
    absl::MutexLock lock(&mutex_);
    const int flush = flushes_;
    ++held_[flush];
    auto snapshot = store_.Snapshot();
    const StateSnapshot* const rows = snapshot.get();
    return {rows, [this, flush, snapshot = std::move(snapshot)](const StateSnapshot*) {
              absl::MutexLock release_lock(&mutex_);
              if (--held_[flush] == 0) held_.erase(flush);
            }};
  }

  absl::StatusOr<std::unique_ptr<StateStaging>> Stage(std::string_view begin,
                                                      std::string_view end) override {
    return store_.Stage(begin, end);
  }

  void Reclaim() override {
    absl::MutexLock lock(&mutex_);
    ++reclaims_;
    if (flushes_ == 0) return;
    EXPECT_FALSE(held_.empty());
    EXPECT_EQ(held_.begin()->first, flushes_) << "an old snapshot is held";
  }
  StateStats Stats() const override { return store_.Stats(); }

  // Every flush from now on waits for `hold`.
  void HoldFlushes(absl::Notification* hold) {
    absl::MutexLock lock(&mutex_);
    hold_ = hold;
  }
  void AwaitBegin() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&begun_));
  }
  void AwaitFlushes(int at_least) {
    const auto enough = [this, at_least]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return flushes_ >= at_least; };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&enough));
  }
  // The flusher has had nothing to flush once more.
  void AwaitReclaims(int more) {
    absl::MutexLock lock(&mutex_);
    const int at_least = reclaims_ + more;
    const auto enough = [this, at_least]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return reclaims_ >= at_least; };
    mutex_.Await(absl::Condition(&enough));
  }
  int flushes() const {
    absl::MutexLock lock(&mutex_);
    return flushes_;
  }

 private:
  MemoryStateStore store_;
  mutable absl::Mutex mutex_;
  absl::Notification* hold_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  int flushes_ ABSL_GUARDED_BY(mutex_) = 0;
  int reclaims_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::map<int, int> held_ ABSL_GUARDED_BY(mutex_);
};

class FlusherTest : public testing::Test {
 protected:
  static constexpr uint64_t kUnflushedBytes = 1 << 20;

  FlusherTest()
      : engine_(MakeOptions(), &log_, &store_,
                [](const absl::Status& status) { ADD_FAILURE() << status; }) {}

  void SetUp() override { ASSERT_TRUE(engine_.Start().ok()); }

  static NodeEngine::Options MakeOptions() {
    NodeEngine::Options options;
    options.node = NodeId(1);
    options.disk = DiskId(7);
    options.initial_voters = {ReplicaId(7)};
    options.shards = 4;
    options.loops = 2;
    options.payload_size_bytes_max = 1 << 20;
    options.flush = {.unflushed_bytes = kUnflushedBytes,
                     .log_bytes = uint64_t{1} << 40,
                     .age = absl::InfiniteDuration()};
    return options;
  }

  // Jobs of `bytes` in all, in one queue, so in one shard. Returns when they are acknowledged.
  void Enqueue(uint64_t bytes) {
    constexpr uint64_t kBody = 64 << 10;
    const std::string body(kBody, 'b');
    for (uint64_t sent = 0; sent < bytes; sent += kBody) {
      EnqueueEncoder command({}, "queue", kBody);
      command.Add({}, {.attributes = {}, .dedup_key = {}, .body = body});
      absl::Notification done;
      engine_.router()->Enqueue("queue", std::move(command), [&](ExecuteResult result) {
        EXPECT_TRUE(result.status.ok()) << result.status;
        done.Notify();
      });
      done.WaitForNotification();
    }
  }

  MemoryLogStore log_;
  WatchedStore store_;
  NodeEngine engine_;
};

// What such a snapshot showed could never be reclaimed: a restart with a backlog, drained in one
// shard while the others were idle, left all of it on disk.
TEST_F(FlusherTest, AnIdleShardHoldsNoSnapshotFromBeforeAFlush) {
  for (int i = 1; i <= 3; ++i) {
    Enqueue(kUnflushedBytes + (kUnflushedBytes >> 2));
    store_.AwaitFlushes(i);
    store_.AwaitReclaims(1);
  }
}

TEST_F(FlusherTest, WhatIsBeingFlushedDoesNotCallForTheNextFlush) {
  absl::Notification go_on;
  store_.HoldFlushes(&go_on);
  Enqueue(kUnflushedBytes);
  store_.AwaitBegin();
  Enqueue(kUnflushedBytes / 4);
  go_on.Notify();
  store_.AwaitFlushes(1);
  store_.AwaitReclaims(2);
  EXPECT_EQ(store_.flushes(), 1);
}

TEST_F(FlusherTest, WhatCameInTheMeantimeIsFlushedAtOnceIfItIsEnough) {
  absl::Notification go_on;
  store_.HoldFlushes(&go_on);
  Enqueue(kUnflushedBytes);
  store_.AwaitBegin();
  Enqueue(2 * kUnflushedBytes);
  go_on.Notify();
  store_.AwaitFlushes(2);
}

}  // namespace
}  // namespace holdfast
