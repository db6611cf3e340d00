// Rules of the log writer's thread, over a store that can be held up and that fails on demand.

#include "replication/node/log_writer.h"

#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "storage/memory_log/memory_log_store.h"

namespace holdfast {
namespace {

constexpr ShardId kA{1};
constexpr ShardId kB{2};

// A log in memory that counts, waits and fails as the test says. Thread-safe.
class ScriptedStore final : public LogStore {
 public:
  // From now on writes wait until LetGo().
  void Hold() {
    absl::MutexLock lock(&mutex_);
    holding_ = true;
  }
  void LetGo() {
    absl::MutexLock lock(&mutex_);
    holding_ = false;
  }
  // Until a write waits.
  void AwaitHeld() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&held_));
  }
  // The next write has this result instead; nothing of it is stored.
  void FailNext(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    failures_.push_back(std::move(status));
  }
  void AwaitSyncs(int count) { AwaitAtLeast(&syncs_, count); }
  void AwaitSeals(int count) { AwaitAtLeast(&seals_, count); }
  // How many entries each write had.
  std::vector<size_t> writes() const {
    absl::MutexLock lock(&mutex_);
    return writes_;
  }
  SyncMode last_mode() const {
    absl::MutexLock lock(&mutex_);
    return last_mode_;
  }

  absl::Status Write(const LogBatch& batch, SyncMode sync) override {
    absl::MutexLock lock(&mutex_);
    held_ = holding_;
    mutex_.Await(absl::Condition(
        +[](bool* holding) { return !*holding; }, &holding_));
    held_ = false;
    writes_.push_back(batch.records().size());
    last_mode_ = sync;
    if (!failures_.empty()) {
      const absl::Status status = failures_.front();
      failures_.pop_front();
      return status;
    }
    return log_.Write(batch, sync);
  }
  absl::Status Sync() override { return Count(&syncs_); }
  absl::Status Seal() override { return Count(&seals_); }
  absl::Status ReadEntries(ShardId shard, LogIndex begin, LogIndex end, uint64_t bytes_max,
                           std::vector<StoredEntry>* entries) const override {
    return log_.ReadEntries(shard, begin, end, bytes_max, entries);
  }
  LogIndex LastBehind(ShardId shard, uint64_t bytes) const override {
    return log_.LastBehind(shard, bytes);
  }
  absl::StatusOr<Term> TermAt(ShardId shard, LogIndex index) const override {
    return log_.TermAt(shard, index);
  }
  ShardLog Describe(ShardId shard) const override { return log_.Describe(shard); }
  LogUsage Usage() const override { return log_.Usage(); }

 private:
  absl::Status Count(int* counter) {
    absl::MutexLock lock(&mutex_);
    ++*counter;
    return absl::OkStatus();
  }
  void AwaitAtLeast(const int* counter, int count) {
    const auto enough = [counter, count] { return *counter >= count; };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&enough));
  }

  MemoryLogStore log_;
  mutable absl::Mutex mutex_;
  bool holding_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<absl::Status> failures_ ABSL_GUARDED_BY(mutex_);
  std::vector<size_t> writes_ ABSL_GUARDED_BY(mutex_);
  SyncMode last_mode_ ABSL_GUARDED_BY(mutex_) = SyncMode::kNow;
  int syncs_ ABSL_GUARDED_BY(mutex_) = 0;
  int seals_ ABSL_GUARDED_BY(mutex_) = 0;
};

// What was reported, in order. Thread-safe.
class Reports {
 public:
  LogWriter::Done Next(std::string name) {
    return [this, name = std::move(name)](const absl::Status& status) {
      absl::MutexLock lock(&mutex_);
      reports_.push_back(name + " " + std::string(absl::StatusCodeToString(status.code())));
    };
  }
  // Waits for so many.
  std::vector<std::string> Await(size_t count) {
    const auto enough = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return reports_.size() >= count;
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&enough));
    return reports_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> reports_ ABSL_GUARDED_BY(mutex_);
};

class LogWriterTest : public ::testing::Test {
 protected:
  void Start(const LogWriter::Options& options) {
    writer_ = std::make_unique<LogWriter>(&store_, options, [this](const absl::Status& status) {
      absl::MutexLock lock(&mutex_);
      fatal_.push_back(status);
    });
  }
  // The shard's next entry; reported as "A1", "A2", ...
  void Append(ShardId shard, size_t bytes = 10) {
    uint64_t& index = shard == kA ? last_a_ : last_b_;
    ++index;
    const std::string name = (shard == kA ? "A" : "B") + std::to_string(index);
    LogWrite write;
    write.entries.push_back({.term = Term(1),
                             .index = LogIndex(index),
                             .type = raft::EntryType::kCommands,
                             .data = std::make_shared<const std::string>(bytes, 'x')});
    write.sync = SyncMode::kNow;
    writer_->Write(shard, std::move(write), reports_.Next(name));
  }
  size_t FatalCount() {
    absl::MutexLock lock(&mutex_);
    return fatal_.size();
  }

  const std::thread::id test_thread_ = std::this_thread::get_id();
  ScriptedStore store_;
  Reports reports_;
  absl::Mutex mutex_;
  std::vector<absl::Status> fatal_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_a_ = 0;
  uint64_t last_b_ = 0;
  std::unique_ptr<LogWriter> writer_;
};

using Strings = std::vector<std::string>;

TEST_F(LogWriterTest, WhatWaitsGoesIntoOneSyncedWriteAndIsReportedInOrder) {
  Start({});
  store_.Hold();
  Append(kA);
  store_.AwaitHeld();
  for (int i = 0; i < 3; ++i) {
    Append(kB);
    Append(kA);
  }
  LogWrite state;
  state.hard_state = {Term(1), ReplicaId(1), LogIndex(2)};
  writer_->Write(kB, std::move(state), reports_.Next("state"));
  store_.LetGo();
  EXPECT_EQ(reports_.Await(8),
            (Strings{"A1 OK", "B1 OK", "A2 OK", "B2 OK", "A3 OK", "B3 OK", "A4 OK", "state OK"}));
  EXPECT_EQ(store_.writes(), (std::vector<size_t>{1, 7}));
  EXPECT_EQ(store_.last_mode(), SyncMode::kNow);
  EXPECT_EQ(store_.LastIndex(kA), LogIndex(4));
  EXPECT_EQ(store_.HardStateOf(kB).commit, LogIndex(2));
}

TEST_F(LogWriterTest, OneWriteIsBoundedInBytesButTakesOneEntryOfAnySize) {
  LogWriter::Options options;
  options.batch_bytes_max = 100;
  Start(options);
  store_.Hold();
  Append(kA);
  store_.AwaitHeld();
  Append(kA, 60);
  Append(kA, 40);
  Append(kA, 40);
  Append(kA, 1000);
  store_.LetGo();
  reports_.Await(5);
  EXPECT_EQ(store_.writes(), (std::vector<size_t>{1, 2, 1, 1}));
}

TEST_F(LogWriterTest, WithAnIntervalWritesAreReportedFirstAndSyncedSoon) {
  LogWriter::Options options;
  options.sync_interval = absl::Milliseconds(1);
  Start(options);
  Append(kA);
  EXPECT_EQ(reports_.Await(1), Strings{"A1 OK"});
  EXPECT_EQ(store_.last_mode(), SyncMode::kLater);
  store_.AwaitSyncs(1);
}

TEST_F(LogWriterTest, WithAnIntervalWhatWasReportedCanBeSyncedAtOnce) {
  LogWriter::Options options;
  options.sync_interval = absl::Hours(1);
  Start(options);
  Append(kA);
  reports_.Await(1);
  EXPECT_EQ(writer_->SyncReported(), absl::OkStatus());
  store_.AwaitSyncs(1);
}

TEST_F(LogWriterTest, WhatMayLagIsReportedFirstAndSyncedSoon) {
  LogWriter::Options options;
  options.may_lag = [](const LogWrite& write) { return write.size_bytes() < 100; };
  options.sync_interval = absl::Milliseconds(1);
  Start(options);
  Append(kA);
  EXPECT_EQ(reports_.Await(1), Strings{"A1 OK"});
  EXPECT_EQ(store_.last_mode(), SyncMode::kLater);
  store_.AwaitSyncs(1);
  Append(kA, 100);
  EXPECT_EQ(reports_.Await(2)[1], "A2 OK");
  EXPECT_EQ(store_.last_mode(), SyncMode::kNow);
}

TEST_F(LogWriterTest, WhatMayLagIsSyncedWithWhatMayNot) {
  LogWriter::Options options;
  options.may_lag = [](const LogWrite& write) { return write.size_bytes() < 100; };
  options.sync_interval = absl::Hours(1);
  Start(options);
  store_.Hold();
  Append(kA, 1000);
  store_.AwaitHeld();
  Append(kA);
  Append(kB, 100);
  Append(kA);
  store_.LetGo();
  reports_.Await(4);
  EXPECT_EQ(store_.writes().size(), 2u);
  EXPECT_EQ(store_.last_mode(), SyncMode::kNow);
  Append(kA);
  reports_.Await(5);
  EXPECT_EQ(store_.last_mode(), SyncMode::kLater);
  EXPECT_EQ(writer_->SyncReported(), absl::OkStatus());
  store_.AwaitSyncs(1);
}

TEST_F(LogWriterTest, WhatNeedsNoSyncAloneIsNotSynced) {
  Start({});
  LogWrite state;
  state.hard_state = {Term(1), ReplicaId(1), LogIndex()};
  writer_->Write(kA, std::move(state), reports_.Next("state"));
  EXPECT_EQ(reports_.Await(1), Strings{"state OK"});
  EXPECT_EQ(store_.last_mode(), SyncMode::kLater);
}

TEST_F(LogWriterTest, WhatOnlyFreesSpaceIsNotHeldUpByAFullDisk) {
  Start({});
  Append(kA);
  reports_.Await(1);
  store_.FailNext(absl::ResourceExhaustedError("no space"));
  Append(kA);
  EXPECT_EQ(reports_.Await(2)[1], "A2 RESOURCE_EXHAUSTED");
  LogWrite cut;
  cut.compact = {Term(1), LogIndex(1)};
  writer_->Write(kA, std::move(cut), reports_.Next("cut"));
  EXPECT_EQ(reports_.Await(3)[2], "cut OK");
  EXPECT_EQ(store_.FirstIndex(kA), LogIndex(2));
}

TEST_F(LogWriterTest, QuietLogIsSealedOnce) {
  LogWriter::Options options;
  options.seal_after = absl::Milliseconds(1);
  Start(options);
  Append(kA);
  reports_.Await(1);
  store_.AwaitSeals(1);
  Append(kA);
  store_.AwaitSeals(2);
}

TEST_F(LogWriterTest, FullDiskFailsWhatTheBatchHadAndWhatIsQueuedBehindUntilTheShardResumes) {
  Start({});
  store_.Hold();
  Append(kA);
  store_.AwaitHeld();
  store_.FailNext(absl::ResourceExhaustedError("no space"));
  store_.LetGo();
  EXPECT_EQ(reports_.Await(1), Strings{"A1 RESOURCE_EXHAUSTED"});
  Append(kA);  // there is room again, but its index would leave a gap
  Append(kB);  // was not in that batch
  EXPECT_EQ(reports_.Await(3)[1], "A2 RESOURCE_EXHAUSTED");
  EXPECT_EQ(reports_.Await(3)[2], "B1 OK");
  last_a_ = 0;
  writer_->Resume(kA, reports_.Next("resume"));
  Append(kA);
  EXPECT_EQ(reports_.Await(5)[3], "resume OK");
  EXPECT_EQ(reports_.Await(5)[4], "A1 OK");
  EXPECT_EQ(store_.LastIndex(kA), LogIndex(1));
  EXPECT_EQ(FatalCount(), 0u);
}

TEST_F(LogWriterTest, EveryOtherErrorIsFinalAndToldOnce) {
  Start({});
  store_.FailNext(absl::UnknownError("the disk is gone"));
  Append(kA);
  reports_.Await(1);
  Append(kA);
  Append(kB);
  writer_->Resume(kA, reports_.Next("resume"));
  EXPECT_EQ(reports_.Await(4),
            (Strings{"A1 UNKNOWN", "A2 UNKNOWN", "B1 UNKNOWN", "resume UNKNOWN"}));
  writer_->Stop();
  EXPECT_EQ(FatalCount(), 1u);
  EXPECT_EQ(store_.writes().size(), 1u) << "nothing is written after it";
}

TEST_F(LogWriterTest, OnTheCallersThreadAWriteIsReportedWithinTheCall) {
  LogWriter::Options options;
  options.thread = LogWriter::Thread::kCallers;
  Start(options);
  Append(kA);
  EXPECT_EQ(reports_.Await(0), (Strings{"A1 OK"}));
  Append(kA);
  writer_->Resume(kA, reports_.Next("resume"));
  EXPECT_EQ(reports_.Await(0), (Strings{"A1 OK", "A2 OK", "resume OK"}));
  EXPECT_EQ(store_.LastIndex(kA), LogIndex(2));
  EXPECT_TRUE(writer_->SyncReported().ok());
  writer_->Stop();
}

TEST_F(LogWriterTest, ASmallWriteThatFindsTheThreadIdleIsDoneByTheCaller) {
  LogWriter::Options options;
  options.callers_bytes_max = options.callers_synced_bytes_max = 100;
  options.seal_after = absl::Milliseconds(1);
  Start(options);
  // The thread has to come to rest first, as it does once more after each write of its own.
  bool by_caller = false;
  size_t tries = 0;
  for (; tries < 10'000 && !by_caller; ++tries) {
    LogWrite write;
    write.hard_state = raft::HardState{};
    absl::Notification reported;
    writer_->Write(kB, std::move(write), [&](const absl::Status& status) {
      EXPECT_TRUE(status.ok());
      by_caller = std::this_thread::get_id() == test_thread_;
      reported.Notify();
    });
    reported.WaitForNotification();
  }
  EXPECT_TRUE(by_caller);
  EXPECT_EQ(store_.writes().size(), tries);
  store_.AwaitSeals(1);
}

TEST_F(LogWriterTest, AWriteBehindOthersIsNotDoneByTheCaller) {
  LogWriter::Options options;
  options.callers_bytes_max = options.callers_synced_bytes_max = 100;
  Start(options);
  store_.Hold();
  Append(kA, 1000);
  store_.AwaitHeld();
  Append(kA);  // would wait here for ever
  store_.LetGo();
  EXPECT_EQ(reports_.Await(2), (Strings{"A1 OK", "A2 OK"}));
}

TEST_F(LogWriterTest, WithAnIntervalWhatACallerWroteIsSyncedSoonToo) {
  LogWriter::Options options;
  options.callers_bytes_max = options.callers_synced_bytes_max = 100;
  options.sync_interval = absl::Milliseconds(1);
  Start(options);
  for (size_t i = 1; i <= 3; ++i) {
    Append(kA);
    EXPECT_EQ(reports_.Await(i).size(), i);
    EXPECT_EQ(store_.last_mode(), SyncMode::kLater);
    store_.AwaitSyncs(static_cast<int>(i));
  }
}

TEST_F(LogWriterTest, StopWritesWhatIsQueuedAndSeals) {
  Start({});
  store_.Hold();
  Append(kA);
  store_.AwaitHeld();
  for (int i = 0; i < 10; ++i) Append(kA);
  store_.LetGo();
  writer_->Stop();
  EXPECT_EQ(reports_.Await(11).size(), 11u);
  EXPECT_EQ(store_.LastIndex(kA), LogIndex(11));
  store_.AwaitSeals(1);
}

}  // namespace
}  // namespace holdfast
