// A node's engine with its threads, over stores in memory that fail on demand: start, recovery,
// flushing, a full disk, fatal failures, drain and stop.

#include "server/engine/node_engine.h"

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "storage/faulty/faulty_state_store.h"
#include "storage/memory_log/memory_log_store.h"

namespace holdfast {
namespace {

constexpr NodeId kNode{1};
constexpr uint32_t kShards = 3;

// An answer that is waited for.
template <class Result>
class Awaited {
 public:
  auto Done() {
    return [this](Result result) {
      result_ = std::move(result);
      came_.Notify();
    };
  }
  const Result& Get() {
    came_.WaitForNotification();
    return result_;
  }

 private:
  absl::Notification came_;
  Result result_;
};

class NodeEngineTest : public ::testing::Test {
 protected:
  // A new run of the node on what the last one left.
  absl::Status Start(NodeEngine::Options options = {}) {
    options.node = kNode;
    options.disk = DiskId(7);
    options.initial_voters = {ReplicaId(7)};
    options.incarnation = ++incarnation_;
    options.shards = kShards;
    options.loops = 2;
    options.on_disk_full = [this](const absl::Status& status) {
      (status.ok() ? has_room_ : full_).Notify();
    };
    state_ = disk_.Open();
    engine_ = std::make_unique<NodeEngine>(options, &log_, state_.get(),
                                           [this](const absl::Status& status) {
                                             fatal_status_ = status;
                                             fatal_.Notify();  // once, or this ends the process
                                           });
    return engine_->Start();
  }
  void Stop(Flusher::LastFlush last) {
    engine_->Stop(last);
    engine_.reset();
    state_.reset();
  }
  Router& router() { return *engine_->router(); }

  absl::Status Enqueue(const std::string& queue, size_t bytes = 10) {
    EnqueueEncoder encoder({}, queue, bytes);
    encoder.Add({}, {.attributes = {}, .dedup_key = {}, .body = std::string(bytes, 'x')});
    Awaited<ExecuteResult> answer;
    router().Enqueue(queue, std::move(encoder), answer.Done());
    return answer.Get().status;
  }
  uint64_t ReadyIn(const std::string& queue) {
    Awaited<QueryResult> answer;
    router().Ask(QueueQuery{queue}, answer.Done());
    const QueryResult& result = answer.Get();
    return result.queues.empty() ? 0 : result.queues[0].counts[static_cast<int>(JobState::kReady)];
  }
  static std::string Queue(int i) { return absl::StrCat("queue-", i); }

  MemoryLogStore log_;
  FaultyStateDisk disk_;
  std::unique_ptr<StateStore> state_;
  std::unique_ptr<NodeEngine> engine_;
  uint64_t incarnation_ = 0;
  absl::Notification full_;
  absl::Notification has_room_;
  absl::Notification fatal_;
  absl::Status fatal_status_;
};

TEST_F(NodeEngineTest, WithNothingBehindItTheLogHoldsNextToNothingAndNothingIsFlushed) {
  NodeEngine::Options options;
  options.backing = Backing::kNothing;
  options.unflushed_bytes_max = 1;
  options.hot_jobs_max = 1;
  ASSERT_TRUE(Start(options).ok());
  constexpr uint64_t kJobs = 5000;
  for (uint64_t i = 0; i < kJobs; ++i) ASSERT_TRUE(Enqueue("q", 1000).ok());
  EXPECT_EQ(ReadyIn("q"), kJobs);
  EXPECT_LT(log_.Usage().retained_bytes, 100'000u);
  Stop(Flusher::LastFlush::kDo);
  EXPECT_EQ(disk_.flushes(), 0u);
}

TEST_F(NodeEngineTest, ServesAfterStartAndKeepsWhatItAnsweredOverAStopWithoutAFlush) {
  ASSERT_TRUE(Start().ok());
  EXPECT_TRUE(router().Info().serving);
  EXPECT_EQ(router().Info().shards, kShards);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Enqueue(Queue(i)).ok());
  Stop(Flusher::LastFlush::kSkip);
  EXPECT_EQ(disk_.flushes(), 0u);
  ASSERT_TRUE(Start().ok());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ReadyIn(Queue(i)), 1u);
  Stop(Flusher::LastFlush::kSkip);
}

TEST_F(NodeEngineTest, LastFlushLeavesOnlyTheNewTermToReplay) {
  ASSERT_TRUE(Start().ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Enqueue(Queue(i)).ok());
  Stop(Flusher::LastFlush::kDo);
  EXPECT_EQ(disk_.flushes(), 1u);
  ASSERT_TRUE(Start().ok());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ReadyIn(Queue(i)), 1u);
  Stop(Flusher::LastFlush::kSkip);
}

TEST_F(NodeEngineTest, FlushesWhenTooMuchIsNotFlushed) {
  absl::Notification flushed;
  std::atomic<bool> first{true};
  disk_.SetRule([&](StateOperation operation, uint64_t) {
    if (operation == StateOperation::kFlush && first.exchange(false)) flushed.Notify();
    return absl::OkStatus();
  });
  NodeEngine::Options options;
  options.flush.unflushed_bytes = 10'000;
  ASSERT_TRUE(Start(options).ok());
  while (!flushed.HasBeenNotified()) ASSERT_TRUE(Enqueue(Queue(0), 1000).ok());
  Stop(Flusher::LastFlush::kSkip);
}

TEST_F(NodeEngineTest, FullDiskRefusesEnqueuesAloneUntilThereIsRoom) {
  std::atomic<bool> full{true};
  disk_.SetRule([&full](StateOperation operation, uint64_t) {
    return operation == StateOperation::kFlush && full ? absl::ResourceExhaustedError("no space")
                                                       : absl::OkStatus();
  });
  NodeEngine::Options options;
  options.flush.unflushed_bytes = 10'000;
  ASSERT_TRUE(Start(options).ok());
  uint64_t enqueued = 0;
  while (!full_.HasBeenNotified()) enqueued += Enqueue(Queue(0), 1000).ok() ? 1 : 0;
  EXPECT_EQ(Enqueue(Queue(0)).code(), absl::StatusCode::kResourceExhausted);
  Awaited<ExecuteResult> purge;
  router().Execute({.request = {}, .body = PurgeQueueCommand{.queue = "queue-0"}}, purge.Done());
  EXPECT_TRUE(purge.Get().status.ok());
  EXPECT_EQ(purge.Get().outcome.count, enqueued);
  full = false;
  has_room_.WaitForNotification();
  EXPECT_TRUE(Enqueue(Queue(0)).ok());
  EXPECT_FALSE(fatal_.HasBeenNotified());
  Stop(Flusher::LastFlush::kDo);
}

TEST_F(NodeEngineTest, StopOnAFullDiskEndsAndLosesNothing) {
  disk_.SetRule([](StateOperation operation, uint64_t) {
    return operation == StateOperation::kFlush ? absl::ResourceExhaustedError("no space")
                                               : absl::OkStatus();
  });
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Enqueue(Queue(0)).ok());
  Stop(Flusher::LastFlush::kDo);
  EXPECT_FALSE(fatal_.HasBeenNotified());
  disk_.SetRule(nullptr);
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(ReadyIn(Queue(0)), 1u);
  Stop(Flusher::LastFlush::kSkip);
}

TEST_F(NodeEngineTest, FlushThatFailsIsFatal) {
  disk_.SetRule([](StateOperation operation, uint64_t) {
    return operation == StateOperation::kFlush ? absl::UnknownError("the disk is gone")
                                               : absl::OkStatus();
  });
  NodeEngine::Options options;
  options.flush.unflushed_bytes = 10'000;
  ASSERT_TRUE(Start(options).ok());
  while (!fatal_.HasBeenNotified()) Enqueue(Queue(0), 1000).IgnoreError();
  EXPECT_EQ(fatal_status_.message(), "the disk is gone");
  Stop(Flusher::LastFlush::kDo);
}

TEST_F(NodeEngineTest, DamagedStateFailsTheStart) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Enqueue(Queue(0)).ok());
  Stop(Flusher::LastFlush::kDo);
  disk_.SetRule([](StateOperation operation, uint64_t) {
    return operation == StateOperation::kScan ? absl::DataLossError("bad block") : absl::OkStatus();
  });
  EXPECT_EQ(Start().code(), absl::StatusCode::kDataLoss);
  Stop(Flusher::LastFlush::kSkip);
}

TEST_F(NodeEngineTest, DrainEndsWaitingReservesAndCommandsGoOn) {
  ASSERT_TRUE(Start().ok());
  ReserveRequest request;
  request.queues = {Queue(0), Queue(1), Queue(2)};
  request.wait = absl::Hours(1);
  Awaited<ExecuteResult> reserve;
  router().Reserve(request, reserve.Done());
  engine_->Drain();
  EXPECT_EQ(reserve.Get().outcome.code, OutcomeCode::kNothingReady);
  EXPECT_FALSE(router().Info().serving);
  EXPECT_TRUE(Enqueue(Queue(0)).ok());
  Stop(Flusher::LastFlush::kSkip);
}

// Waits, reads and flushes of many clients at once: for the thread sanitizer.
TEST_F(NodeEngineTest, ManyClientsAtOnceAreAllServed) {
  NodeEngine::Options options;
  options.flush.unflushed_bytes = 20'000;
  options.hot_jobs_max = 3000;
  ASSERT_TRUE(Start(options).ok());
  constexpr int kJobs = 300;
  std::vector<std::unique_ptr<Awaited<ExecuteResult>>> reserves;
  for (int i = 0; i < kJobs; ++i) {
    ReserveRequest request;
    request.queues = i % 2 == 0 ? std::vector<std::string>{Queue(i % 4)}
                                : std::vector<std::string>{Queue(0), Queue(1), Queue(2), Queue(3)};
    request.wait = absl::Hours(1);
    reserves.push_back(std::make_unique<Awaited<ExecuteResult>>());
    router().Reserve(std::move(request), reserves.back()->Done());
  }
  std::vector<std::unique_ptr<Awaited<ExecuteResult>>> enqueues;
  for (int i = 0; i < 2 * kJobs; ++i) {
    EnqueueEncoder encoder({}, Queue(i % 4), 200);
    encoder.Add({}, {.attributes = {}, .dedup_key = {}, .body = std::string(200, 'x')});
    enqueues.push_back(std::make_unique<Awaited<ExecuteResult>>());
    router().Enqueue(Queue(i % 4), std::move(encoder), enqueues.back()->Done());
  }
  for (auto& enqueue : enqueues) EXPECT_TRUE(enqueue->Get().status.ok());
  std::set<JobId> jobs;
  for (auto& reserve : reserves) {
    ASSERT_EQ(reserve->Get().outcome.grants.size(), 1u);
    EXPECT_TRUE(jobs.insert(reserve->Get().outcome.grants[0].job.id).second);
  }
  Stop(Flusher::LastFlush::kDo);
}

}  // namespace
}  // namespace holdfast
