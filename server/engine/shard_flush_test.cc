// Rules of a shard between memory and store: freezing, releasing, cold rows that come late, and
// what a restart finds.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/codec/payload_codec.h"
#include "server/codec/row_keys.h"
#include "server/engine/testing/test_node.h"

namespace holdfast {
namespace {

// Windows so small that most of a hundred jobs are cold.
TestNode::Options SmallWindows() {
  TestNode::Options options;
  options.machine.window_jobs_max = 8;
  options.machine.window_jobs_low = 4;
  options.machine.hot_jobs_max = 16;
  return options;
}

// Enqueues `count` jobs, flushes them, and starts again: all are cold then.
std::vector<JobId> MakeCold(TestNode& node, int count) {
  std::vector<JobId> jobs;
  for (int i = 0; i < count; ++i) {
    jobs.push_back(node.Enqueued(node.Enqueue("mail", absl::StrCat("body ", i))));
  }
  node.Flush();
  node.Crash();
  node.Start();
  return jobs;
}

ReserveRequest Any(uint32_t max) {
  ReserveRequest request;
  request.queues = {"mail"};
  request.max = max;
  return request;
}

TEST(Flushing, FreezesWhatTheStoreDoesNotHaveAndThenCutsTheLog) {
  TestNode node({});
  node.Start();
  node.Enqueued(node.Enqueue("mail", "x"));
  const LogIndex applied = node.shard().applied().index;
  EXPECT_GT(node.overlay_bytes(), 0u);
  node.BeginFlush();
  ASSERT_TRUE(node.frozen());
  node.Enqueued(node.Enqueue("mail", "not in it"));
  EXPECT_EQ(node.log().compacted(), LogIndex());
  ASSERT_TRUE(node.EndFlush().ok());
  EXPECT_EQ(node.log().compacted(), applied);
  node.Crash();
  node.Start();
  EXPECT_EQ(node.shard().machine().FindQueue("mail")->counts[0], 2u);
}

TEST(Flushing, WithNothingNewFreezesNothing) {
  TestNode node({});
  node.Start();
  node.Enqueued(node.Enqueue("mail", "x"));
  node.Flush();
  node.BeginFlush();
  EXPECT_FALSE(node.frozen());
}

// What the log keeps of an idle shard hangs on how much the others have written since.
TEST(Flushing, TellsTheLogAgainWhenOthersAreFlushed) {
  TestNode node({});
  node.Start();
  node.Enqueued(node.Enqueue("mail", "x"));
  node.Flush();
  const size_t told = node.log().told_flushed();
  node.OnLoop([&] { node.shard().OthersFlushed(); });
  EXPECT_EQ(node.log().told_flushed(), told + 1);
  EXPECT_EQ(node.log().compacted(), node.shard().applied().index);
}

TEST(Flushing, GivesTheMemoryBack) {
  TestNode node({});
  node.Start();
  for (int i = 0; i < 100; ++i) node.Enqueue("mail", std::string(1000, 'x'));
  node.events().RunUntilIdle();
  EXPECT_GT(node.overlay_bytes(), 100'000u);
  node.Flush();
  EXPECT_LT(node.overlay_bytes(), 10'000u);
}

TEST(Flushing, BoundOnUnflushedBytesHoldsProposalsBackUntilAFlushEnds) {
  TestNode node({.overlay_bytes_max = 10'000});
  node.Start();
  node.Enqueued(node.Enqueue("mail", std::string(20'000, 'x')));
  const auto held = node.Enqueue("mail", "y");
  node.events().RunUntilIdle();
  EXPECT_FALSE(held.has_value());
  node.Flush();
  EXPECT_TRUE(held.has_value());
}

TEST(Flushing, FreezeWaitsForTheEndOfAnEntryThatIsHalfApplied) {
  TestNode node(SmallWindows());
  node.Start();
  const std::vector<JobId> jobs = MakeCold(node, 20);
  node.reader().Pause();
  // The first command of the entry is applied, the second wants a cold row.
  const auto enqueue = node.Enqueue("mail", "first");
  const auto remove = node.Execute(DeleteJobCommand{.jobs = {jobs[15]}, .reserved = {}});
  node.events().RunUntilIdle();
  node.BeginFlush();
  EXPECT_FALSE(node.frozen());
  node.reader().Resume();
  node.events().RunUntilIdle();
  ASSERT_TRUE(node.frozen());
  EXPECT_TRUE(enqueue.has_value() && remove.has_value());
  ASSERT_TRUE(node.EndFlush().ok());
  const uint64_t hash = node.shard().machine().StateHash();
  node.Crash();
  ASSERT_TRUE(node.StartFollowing().ok());
  EXPECT_EQ(node.shard().machine().StateHash(), hash);
}

TEST(Flushing, FailedFlushIsLostAndItsEntriesAreReplayed) {
  TestNode node({});
  node.Start();
  node.Enqueued(node.Enqueue("mail", "x"));
  const uint64_t hash = node.shard().machine().StateHash();
  node.disk().CrashAtFlush(1, CutFlush::kNothing);
  node.BeginFlush();
  EXPECT_FALSE(node.EndFlush().ok());
  EXPECT_EQ(node.log().compacted(), LogIndex());
  node.Crash();
  ASSERT_TRUE(node.StartFollowing().ok());
  EXPECT_EQ(node.shard().machine().StateHash(), hash);
}

TEST(Flushing, ThatTheStoreHasAndTheShardNeverHeardOfIsWhereTheReplayBegins) {
  TestNode node({});
  node.Start();
  node.Enqueued(node.Enqueue("mail", "x"));
  const uint64_t hash = node.shard().machine().StateHash();
  node.disk().CrashAtFlush(1, CutFlush::kAll);
  node.BeginFlush();
  EXPECT_FALSE(node.EndFlush().ok());
  node.Crash();
  ASSERT_TRUE(node.StartFollowing().ok());
  EXPECT_EQ(node.shard().machine().StateHash(), hash);
}

TEST(ColdJobs, AreHandedOutInOrderWithTheirPayloads) {
  TestNode node(SmallWindows());
  node.Start();
  const std::vector<JobId> jobs = MakeCold(node, 100);
  for (size_t next = 0; next < jobs.size();) {
    const auto answer = node.Reserve(Any(7));
    const ExecuteResult& result = node.Await(answer);
    ASSERT_FALSE(result.outcome.grants.empty());
    for (size_t i = 0; i < result.outcome.grants.size(); ++i, ++next) {
      EXPECT_EQ(result.outcome.grants[i].job.id, jobs[next]);
      EXPECT_EQ(DecodePayload(result.payloads[i].bytes)->body, absl::StrCat("body ", next));
    }
    node.shard().machine().CheckInvariants();
  }
  EXPECT_LE(node.shard().machine().totals().hot_jobs, 116u) << "reserved, so not flushed";
}

TEST(ColdJobs, ThatComeLateHoldUpOnlyTheirShard) {
  TestNode::Options options = SmallWindows();
  options.shards = 2;
  TestNode node(options);
  node.Start();
  const std::string slow = node.QueueIn(0);
  const std::string fast = node.QueueIn(1);
  for (int i = 0; i < 20; ++i) node.Enqueue(slow, "x");
  node.events().RunUntilIdle();
  node.Flush();
  node.Crash();
  node.Start();
  node.reader().Pause();
  const auto waits = node.Reserve(slow, absl::ZeroDuration());
  const auto passes = node.Enqueue(fast, "y");
  node.events().RunUntilIdle();
  EXPECT_FALSE(waits.has_value());
  EXPECT_TRUE(passes.has_value());
  node.reader().Resume();
  EXPECT_EQ(node.Await(waits).outcome.grants.size(), 1u);
}

// It is agreed on, so it is not nowhere, though RESOURCE_EXHAUSTED would say so.
TEST(ColdJobs, ACommittedCommandThatWaitsForThemIsAnsweredThoughTheDiskBecameFull) {
  TestNode node(SmallWindows());
  node.Start();
  const std::vector<JobId> jobs = MakeCold(node, 100);
  node.log().SetCommits(ScriptedLog::Commits::kByHand);
  node.reader().Pause();
  const auto committed =
      node.Execute(DeleteJobCommand{.jobs = {jobs.back()}, .reserved = ReservedJobs::kRefuse});
  node.events().RunUntilIdle();
  node.Commit();
  const auto lost = node.Enqueue("mail", "not committed");
  node.events().RunUntilIdle();
  node.OnLoop([&] { node.log().StopLeading(absl::ResourceExhaustedError("no space")); });
  EXPECT_TRUE(absl::IsResourceExhausted(node.Await(lost).status));
  EXPECT_FALSE(committed.has_value());
  node.reader().Resume();
  EXPECT_EQ(node.Await(committed).status, absl::OkStatus());
  EXPECT_EQ(committed->outcome.code, OutcomeCode::kOk);
}

// A fetch and a flush cross: what was read before the flush may be old and not look so.
TEST(ColdJobs, FetchedBeforeAFlushEndedAreFetchedAgain) {
  TestNode node(SmallWindows());
  node.Start();
  const std::vector<JobId> jobs = MakeCold(node, 30);
  // Deleted and not flushed: the store still has the row.
  node.Await(node.Execute(DeleteJobCommand{.jobs = {jobs[0]}, .reserved = {}}));
  node.BeginFlush();
  ASSERT_TRUE(node.frozen());
  node.reader().Pause();
  const auto remove = node.Execute(DeleteJobCommand{.jobs = {jobs[20], jobs[0]}, .reserved = {}});
  node.events().RunUntilIdle();
  EXPECT_FALSE(remove.has_value());
  ASSERT_TRUE(node.EndFlush().ok());
  node.reader().Resume();
  const ExecuteResult& result = node.Await(remove);
  ASSERT_EQ(result.outcome.items.size(), 2u);
  EXPECT_EQ(result.outcome.items[0].code, OutcomeCode::kOk);
  EXPECT_EQ(result.outcome.items[1].code, OutcomeCode::kJobNotFound);
  EXPECT_TRUE(node.fatal().empty());
}

TEST(ColdJobs, AreFoundByQueriesWhileFlushesGoOn) {
  TestNode node(SmallWindows());
  node.Start();
  const std::vector<JobId> jobs = MakeCold(node, 30);
  node.reader().Pause();
  const auto cold = node.Ask(JobQuery{jobs[20]});
  const auto list =
      node.Ask(JobListQuery{.queue = "mail", .state = JobState::kReady, .after = {}, .limit = 100});
  node.events().RunUntilIdle();
  node.Enqueued(node.Enqueue("mail", "new"));
  node.BeginFlush();
  ASSERT_TRUE(node.frozen());
  ASSERT_TRUE(node.EndFlush().ok());
  node.reader().Resume();
  node.events().RunUntilIdle();
  ASSERT_EQ(cold->jobs.size(), 1u);
  EXPECT_EQ(DecodePayload(cold->jobs[0].payload.bytes)->body, "body 20");
  ASSERT_EQ(list->jobs.size(), 31u);
  for (size_t i = 0; i < jobs.size(); ++i) EXPECT_EQ(list->jobs[i].job.id, jobs[i]);
}

TEST(ColdJobs, ThatCannotBeReadStopTheShard) {
  TestNode node(SmallWindows());
  node.Start();
  const std::vector<JobId> jobs = MakeCold(node, 30);
  node.disk().SetRule([](StateOperation operation, uint64_t) {
    return operation == StateOperation::kFlush ? absl::OkStatus()
                                               : absl::DataLossError("bad block");
  });
  const auto remove = node.Execute(DeleteJobCommand{.jobs = {jobs[20]}, .reserved = {}});
  const auto behind = node.Enqueue("mail", "x");
  node.events().RunUntilIdle();
  ASSERT_FALSE(node.fatal().empty());
  EXPECT_EQ(node.fatal()[0].message(), "bad block");
  EXPECT_FALSE(remove.has_value()) << "not known; the process ends";
  EXPECT_FALSE(behind.has_value());
}

TEST(Restarting, RefusesRowsThatAreNotThoseOfTheirEntry) {
  TestNode node({});
  node.Start();
  node.Enqueued(node.Enqueue("mail", "x"));
  node.BeginFlush();
  ASSERT_TRUE(node.frozen());
  ASSERT_TRUE(node.EndFlush().ok());
  node.Crash();
  // The row of the queue is gone behind everybody's back.
  {
    const std::unique_ptr<StateStore> store = node.disk().Open();
    StateBatch batch;
    batch.Delete(Table::kMeta, QueueRowKey(ShardId(0), QueueId(1)));
    ASSERT_TRUE(store->Flush(batch).ok());
    node.disk().Crash();
  }
  const absl::Status status = node.StartFollowing();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(std::string(status.message()).find("shard 0"), std::string::npos);
}

TEST(Applying, EntryThatCannotBeReadStopsTheShard) {
  TestNode node({});
  ASSERT_TRUE(node.StartFollowing().ok());
  node.log().Replace(raft::EntryType::kCommands, "garbage");
  node.Commit();
  ASSERT_EQ(node.fatal().size(), 1u);
  EXPECT_EQ(node.fatal()[0].code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(std::string(node.fatal()[0].message()).find("entry 1"), std::string::npos);
  node.log().Replace(raft::EntryType::kNoOp, "");
  node.Commit();
  EXPECT_EQ(node.shard().applied().index, LogIndex()) << "nothing is applied behind it";
}

TEST(Applying, EntriesThatAreNotCommandsMoveTheIndexOnly) {
  TestNode node({});
  ASSERT_TRUE(node.StartFollowing().ok());
  const uint64_t hash = node.shard().machine().StateHash();
  node.log().Replace(raft::EntryType::kConfiguration, "not commands");
  node.Commit();
  EXPECT_EQ(node.shard().applied().index, LogIndex(1));
  EXPECT_EQ(node.shard().machine().StateHash(), hash);
  EXPECT_TRUE(node.fatal().empty());
}

}  // namespace
}  // namespace holdfast
