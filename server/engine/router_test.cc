// Rules of the router and of reserves over several shards.

#include "server/engine/router.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/codec/payload_codec.h"
#include "server/engine/testing/test_node.h"

namespace holdfast {
namespace {

constexpr auto kByHand = ScriptedLog::Commits::kByHand;
constexpr int64_t kSecond = 1'000'000;
constexpr uint32_t kShards = 4;

JobSpec Priority(uint32_t priority) {
  JobSpec spec;
  spec.priority = priority;
  return spec;
}

class Routing : public ::testing::Test {
 protected:
  Routing() : node_({.shards = kShards}) { node_.Start(); }

  ReserveRequest From(std::vector<uint32_t> shards, uint32_t max, absl::Duration wait) {
    ReserveRequest request;
    for (const uint32_t shard : shards) request.queues.push_back(node_.QueueIn(shard));
    request.max = max;
    request.wait = wait;
    return request;
  }
  // A job in the shard's queue, some time after all before it.
  JobId Put(uint32_t shard, uint32_t priority) {
    node_.events().RunFor(1000);
    return node_.Enqueued(node_.Enqueue(node_.QueueIn(shard), "x", Priority(priority)));
  }
  static std::vector<JobId> JobsOf(const Answer<ExecuteResult>& answer) {
    std::vector<JobId> jobs;
    for (const Grant& grant : answer->outcome.grants) jobs.push_back(grant.job.id);
    return jobs;
  }
  uint64_t Ready(uint32_t shard) {
    const QueueRecord* queue = node_.shard(shard).machine().FindQueue(node_.QueueIn(shard));
    return queue == nullptr ? 0 : queue->counts[static_cast<int>(JobState::kReady)];
  }

  TestNode node_;
};

TEST_F(Routing, FindsTheShardOfAJobByItsId) {
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    const JobId job = Put(shard, 0);
    EXPECT_EQ(job.value() % kShards, shard);
    const auto found = node_.Ask(JobQuery{job});
    EXPECT_EQ(node_.Await(found).jobs.at(0).queue, node_.QueueIn(shard));
  }
}

TEST_F(Routing, PutsTheAnswersOfSplitCommandsTogetherInTheOrderAsked) {
  std::vector<JobId> jobs;
  for (const uint32_t shard : {2u, 0u, 3u, 1u, 0u, 2u}) jobs.push_back(Put(shard, 0));
  DeleteJobCommand remove;
  remove.jobs.assign(jobs.begin(), jobs.end());
  remove.jobs.insert(remove.jobs.begin() + 3, JobId(4'000'001));
  const auto removal = node_.Execute(std::move(remove));
  const ExecuteResult& result = node_.Await(removal);
  ASSERT_TRUE(result.status.ok());
  ASSERT_EQ(result.outcome.items.size(), jobs.size() + 1);
  for (size_t i = 0; i < result.outcome.items.size(); ++i) {
    EXPECT_EQ(result.outcome.items[i].code, i == 3 ? OutcomeCode::kJobNotFound : OutcomeCode::kOk);
  }
}

TEST_F(Routing, FailureOfOneShardFailsASplitCommand) {
  const JobId a = Put(0, 0);
  const JobId b = Put(1, 0);
  node_.OnLoop([&] { node_.log(1).StopLeading(absl::UnavailableError("cut off")); });
  const auto remove = node_.Execute(DeleteJobCommand{.jobs = {a, b}, .reserved = {}});
  node_.events().RunFor(11'000'000);  // while a leader is waited for
  EXPECT_EQ(node_.Await(remove).status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(Routing, ListsTheQueuesOfAllShardsInOrderOfTheirNames) {
  std::set<std::string> names;
  for (int i = 0; i < 25; ++i) names.insert(absl::StrCat("list-", i));
  for (const std::string& name : names) node_.Enqueued(node_.Enqueue(name, "x"));
  Put(0, 0);  // whose name does not have the prefix
  std::vector<std::string> listed;
  QueueListQuery query{.after = "", .prefix = "list-", .limit = 7};
  for (bool more = true; more;) {
    const auto page = node_.Ask(query);
    node_.Await(page);
    EXPECT_LE(page->queues.size(), 7u);
    for (const QueueRecord& queue : page->queues) listed.push_back(queue.name);
    more = page->more;
    query.after = listed.back();
  }
  EXPECT_EQ(listed, std::vector<std::string>(names.begin(), names.end()));
}

TEST_F(Routing, TotalsAreTheSumOverAllShards) {
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    Put(shard, 1023);
    Put(shard, 1024);
  }
  node_.Await(node_.Reserve(node_.QueueIn(0), absl::ZeroDuration()));
  const auto answer = node_.Ask(TotalsQuery());
  const QueryResult& result = node_.Await(answer);
  ASSERT_TRUE(result.status.ok());
  EXPECT_EQ(result.totals.enqueued, 2 * kShards);
  EXPECT_EQ(result.totals.queues, kShards);
  EXPECT_EQ(result.totals.jobs_by_state[static_cast<int>(JobState::kReady)], 2 * kShards - 1);
  EXPECT_EQ(result.totals.jobs_by_state[static_cast<int>(JobState::kReserved)], 1u);
  EXPECT_EQ(result.totals.urgent_jobs, kShards - 1);
  EXPECT_EQ(result.totals.timeouts, 0u);
  // A job without a lease of its own is leased for a minute.
  node_.events().RunFor(61 * kSecond);
  const auto later = node_.Ask(TotalsQuery());
  EXPECT_EQ(node_.Await(later).totals.timeouts, 1u);
}

TEST_F(Routing, ReplicasTellHowFarTheyAreAndWhatTheirStateIs) {
  const auto replicas = [this] {
    const auto answer = node_.Ask(ReplicasQuery());
    EXPECT_TRUE(node_.Await(answer).status.ok());
    return answer->replicas;
  };
  const std::vector<ReplicaView> before = replicas();
  ASSERT_EQ(before.size(), kShards);
  Put(1, 0);
  const std::vector<ReplicaView> after = replicas();
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    EXPECT_EQ(after[shard].shard, ShardId(shard));
    EXPECT_TRUE(after[shard].leading);
    const bool changed = shard == 1;
    EXPECT_EQ(after[shard].applied > before[shard].applied, changed);
    EXPECT_EQ(after[shard].state_hash != before[shard].state_hash, changed);
  }
}

TEST_F(Routing, AQuerysTimeGoesOnBetweenCommands) {
  Put(0, 0);
  const LogTime before = node_.Await(node_.Ask(QueueQuery{node_.QueueIn(0)})).now;
  node_.events().RunFor(5 * kSecond);
  const LogTime after = node_.Await(node_.Ask(QueueQuery{node_.QueueIn(0)})).now;
  EXPECT_GE((after - before).micros(), 4 * kSecond);
}

TEST_F(Routing, RefusesEnqueuesOnlyWhileTheDiskIsFull) {
  const JobId job = Put(0, 0);
  node_.router().SetDiskFull(absl::ResourceExhaustedError("no space"));
  const auto enqueue = node_.Enqueue("mail", "x");
  EXPECT_EQ(enqueue->status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(enqueue->retry_after, absl::ZeroDuration());
  const auto remove = node_.Execute(DeleteJobCommand{.jobs = {job}, .reserved = {}});
  EXPECT_EQ(node_.Await(remove).outcome.items.at(0).code, OutcomeCode::kOk);
  node_.router().SetDiskFull(absl::OkStatus());
  EXPECT_TRUE(node_.Await(node_.Enqueue("mail", "x")).status.ok());
}

TEST_F(Routing, RefusesCommandsThatAreNotAFrontends) {
  const auto answer = node_.Execute(ExpireCommand{});
  EXPECT_EQ(answer->status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(Admitting, RefusesBeyondTheBoundUntilAnswersComeBack) {
  TestNode node({.admission = {.commands_max = 2}, .commits = kByHand});
  node.Start();
  const auto a = node.Enqueue("mail", "x");
  const auto b = node.Enqueue("mail", "x");
  const auto refused = node.Enqueue("mail", "x");
  EXPECT_EQ(refused->status.code(), absl::StatusCode::kResourceExhausted);
  node.events().RunUntilIdle();
  node.Commit();
  EXPECT_TRUE(a.has_value() && b.has_value());
  const auto next = node.Enqueue("mail", "x");
  EXPECT_FALSE(next.has_value());
  node.events().RunUntilIdle();
  node.Commit();
  EXPECT_TRUE(next->status.ok());
}

// Its jobs waited for the ends of their leases.
TEST(Admitting, AHolderThatClosesWhileTheNodeIsBusyIsClosedLater) {
  TestNode node({.admission = {.commands_max = 1}, .commits = kByHand});
  node.Start();
  const auto commit = [&](const Answer<ExecuteResult>& answer) {
    node.events().RunUntilIdle();
    node.Commit();
    EXPECT_TRUE(answer.has_value() && answer->status.ok());
  };
  commit(node.Enqueue("mail", "x"));
  const Holder holder =
      node.router().OpenHolder(LeasesAtClose::kRelease, [](const Machine::EndedLease&) {});
  ReserveRequest request;
  request.queues = {"mail"};
  request.holder = holder;
  request.lease = LogDuration::Seconds(3600);
  commit(node.Reserve(request));
  const auto busy = node.Enqueue("mail", "y");
  node.router().CloseHolder(holder, LeasesAtClose::kRelease);
  commit(busy);
  const auto ready = [&] {
    const QueueRecord* const queue = node.shard().machine().FindQueue("mail");
    return queue->counts[static_cast<int>(JobState::kReady)];
  };
  EXPECT_EQ(ready(), 1u) << "the second one";
  // The mark, then the collection of what it marks.
  for (int entry = 0; entry < 2; ++entry) {
    node.events().RunFor(2 * kSecond);
    node.Commit();
  }
  EXPECT_EQ(ready(), 2u);
}

// --- Reserves over several shards.

TEST_F(Routing, ReserveOverShardsIsByPriorityThenByTheTimeOfTheEnqueue) {
  const JobId c = Put(3, 5);
  const JobId d = Put(1, 5);
  const JobId e = Put(0, 5);
  const JobId a = Put(2, 1);
  const JobId b = Put(0, 1);
  std::vector<JobId> order;
  for (int i = 0; i < 5; ++i) {
    const auto answer = node_.Reserve(From({0, 1, 2, 3}, 1, absl::ZeroDuration()));
    node_.Await(answer);
    ASSERT_EQ(answer->outcome.grants.size(), 1u);
    order.push_back(JobsOf(answer)[0]);
  }
  EXPECT_EQ(order, (std::vector<JobId>{a, b, c, d, e}));
}

TEST_F(Routing, ReserveOfSeveralTakesTheBestOfAllShards) {
  std::set<JobId> best;
  for (uint32_t i = 0; i < 12; ++i) {
    const JobId job = Put(i % kShards, i);
    if (i < 6) best.insert(job);
  }
  const auto answer = node_.Reserve(From({0, 1, 2, 3}, 6, absl::ZeroDuration()));
  node_.Await(answer);
  const std::vector<JobId> jobs = JobsOf(answer);
  EXPECT_EQ(std::set<JobId>(jobs.begin(), jobs.end()), best);
  EXPECT_EQ(answer->payloads.size(), 6u);
}

TEST_F(Routing, ReserveOverShardsThatFindsNothingSaysSo) {
  const auto answer = node_.Reserve(From({0, 1, 2, 3}, 1, absl::ZeroDuration()));
  EXPECT_EQ(node_.Await(answer).outcome.code, OutcomeCode::kNothingReady);
}

TEST_F(Routing, ReserveOverShardsWaitsForTheFirstJobInAnyOfThem) {
  const auto answer = node_.Reserve(From({0, 1, 2}, 1, absl::Seconds(5)));
  node_.events().RunFor(kSecond);
  EXPECT_FALSE(answer.has_value());
  const JobId job = Put(2, 0);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(JobsOf(answer), std::vector<JobId>{job});
  EXPECT_EQ(answer->outcome.grants[0].job.attempts, 1u);
}

TEST_F(Routing, ReserveOverShardsEndsAtItsDeadline) {
  const auto answer = node_.Reserve(From({0, 1, 2}, 1, absl::Seconds(5)));
  node_.events().RunFor(5 * kSecond - 1);
  EXPECT_FALSE(answer.has_value());
  node_.events().RunFor(1);
  EXPECT_EQ(answer->outcome.code, OutcomeCode::kNothingReady);
}

TEST_F(Routing, ReserveOverShardsThatLosesTheRaceGoesOnWaiting) {
  std::vector<Answer<ExecuteResult>> waiting;
  for (int i = 0; i < 8; ++i) {
    waiting.push_back(node_.Reserve(From({0, 1, 2, 3}, 1, absl::Seconds(60))));
  }
  node_.events().RunFor(kSecond);
  std::set<JobId> jobs;
  for (int i = 0; i < 5; ++i) jobs.insert(Put(static_cast<uint32_t>(i) % kShards, 0));
  std::set<JobId> given;
  for (const auto& answer : waiting) {
    if (!answer.has_value()) continue;
    ASSERT_EQ(answer->outcome.grants.size(), 1u);
    EXPECT_TRUE(given.insert(JobsOf(answer)[0]).second);
    EXPECT_EQ(answer->outcome.grants[0].job.attempts, 1u) << "no attempt is burnt on a lost race";
  }
  EXPECT_EQ(given, jobs);
  node_.events().RunFor(60 * kSecond);
  for (const auto& answer : waiting) EXPECT_TRUE(answer.has_value());
}

TEST_F(Routing, CancelledReserveOverShardsEndsAndTakesNothing) {
  ReserveId id;
  const auto answer = node_.Reserve(From({0, 1, 2}, 1, absl::Seconds(5)), &id);
  node_.events().RunUntilIdle();
  node_.router().CancelReserve(id);
  EXPECT_EQ(node_.Await(answer).outcome.code, OutcomeCode::kNothingReady);
  Put(1, 0);
  EXPECT_EQ(Ready(1), 1u);
}

TEST_F(Routing, ReserveOverShardsWaitsWhileOneHasNoLeader) {
  const auto answer = node_.Reserve(From({0, 1, 2}, 1, absl::Seconds(5)));
  node_.events().RunUntilIdle();
  node_.OnLoop([&] { node_.log(1).StopLeading(absl::UnavailableError("cut off")); });
  node_.events().RunFor(1'000'000);
  EXPECT_FALSE(answer.has_value());
  node_.OnLoop([&] { node_.log(1).Lead(); });
  Put(1, 0);
  EXPECT_EQ(node_.Await(answer).outcome.grants.size(), 1u);
}

TEST_F(Routing, ReserveOverShardsFailsWithAShardThatCannotBeRead) {
  node_.OnLoop([&] { node_.log(1).StopLeading(absl::UnavailableError("cut off")); });
  const auto answer = node_.Reserve(From({0, 1, 2}, 1, absl::Seconds(5)));
  EXPECT_EQ(node_.Await(answer).status.code(), absl::StatusCode::kUnavailable);
}

// It once asked again and again, without end and without a pause, as the shards let none wait.
TEST_F(Routing, ReserveOverShardsEndsWhenTheNodeDrains) {
  const auto answer = node_.Reserve(From({0, 1, 2}, 1, absl::Seconds(5)));
  node_.events().RunUntilIdle();
  node_.router().Drain();
  EXPECT_EQ(node_.Await(answer).outcome.code, OutcomeCode::kNothingReady);
  const auto late = node_.Reserve(From({0, 1, 2}, 1, absl::Seconds(5)));
  EXPECT_EQ(node_.Await(late).outcome.code, OutcomeCode::kNothingReady);
}

// A reserve that is on its way while the node begins to drain.
TEST_F(Routing, ReserveOverShardsThatComesToDrainingShardsEnds) {
  const auto answer = node_.Reserve(From({0, 1, 2}, 1, absl::Seconds(5)));
  for (uint32_t i = 0; i < kShards; ++i) node_.OnLoop([&] { node_.shard(i).Drain(); });
  EXPECT_EQ(node_.Await(answer).outcome.code, OutcomeCode::kNothingReady);
}

// It once asked again and again where no more could wait.
TEST(ReserveOverShards, IsRefusedWhereNoMoreCanWait) {
  TestNode node({.shards = 2, .waiters_max = 1});
  node.Start();
  const auto parked = node.Reserve(node.QueueIn(1), absl::Seconds(5));
  ReserveRequest request;
  request.queues = {node.QueueIn(0), node.QueueIn(1)};
  request.wait = absl::Seconds(5);
  const auto answer = node.Reserve(std::move(request));
  EXPECT_EQ(node.Await(answer).status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(answer->retry_after, absl::ZeroDuration());
  EXPECT_FALSE(parked.has_value());
}

TEST_F(Routing, PausedQueuesAndFullCapsOfferNothing) {
  QueueOptions options;
  options.max_reserved = 1;
  node_.Await(node_.Execute(PutQueueOptionsCommand{
      .queue = node_.QueueIn(0), .options = options, .fields = kAllQueueOptionFields}));
  Put(0, 0);
  const JobId second = Put(0, 0);
  Put(1, 0);
  node_.Await(node_.Execute(PauseQueueCommand{
      .queue = node_.QueueIn(1), .duration = LogDuration::Max(), .existence = {}}));
  const auto first = node_.Reserve(From({0, 1}, 5, absl::ZeroDuration()));
  EXPECT_EQ(node_.Await(first).outcome.grants.size(), 1u);
  const auto waits = node_.Reserve(From({0, 1}, 5, absl::Seconds(5)));
  node_.events().RunFor(kSecond);
  EXPECT_FALSE(waits.has_value());
  node_.Execute(DeleteCommand{.leases = {{first->outcome.grants[0].job.id, LeaseToken(1)}}});
  node_.events().RunUntilIdle();
  ASSERT_TRUE(waits.has_value());
  EXPECT_EQ(JobsOf(waits), std::vector<JobId>{second});
}

TEST(ReserveOverShards, CancelledWhileItsLeaseIsOnTheWayGivesItBack) {
  TestNode node({.shards = 2, .commits = kByHand});
  node.Start();
  node.Enqueue(node.QueueIn(1), "x");
  node.events().RunUntilIdle();
  node.Commit(SIZE_MAX, 1);
  ReserveRequest request;
  request.queues = {node.QueueIn(0), node.QueueIn(1)};
  request.wait = absl::Seconds(5);
  ReserveId id;
  const auto answer = node.Reserve(std::move(request), &id);
  node.events().RunUntilIdle();
  node.router().CancelReserve(id);
  node.events().RunUntilIdle();
  EXPECT_FALSE(answer.has_value());
  node.Commit(SIZE_MAX, 1);
  EXPECT_EQ(node.Await(answer).outcome.code, OutcomeCode::kNothingReady);
  node.Commit(SIZE_MAX, 1);
  const QueueRecord* queue = node.shard(1).machine().FindQueue(node.QueueIn(1));
  EXPECT_EQ(queue->counts[static_cast<int>(JobState::kReady)], 1u);
}

TEST(ReserveOverShards, ColdHeadsAreOffersToo) {
  TestNode::Options options{.shards = 2};
  options.machine.window_jobs_max = 2;
  options.machine.window_jobs_low = 0;  // nothing is fetched ahead of need
  options.machine.hot_jobs_max = 2;
  TestNode node(options);
  node.Start();
  for (int i = 0; i < 20; ++i) node.Enqueue(node.QueueIn(1), "x");
  node.events().RunUntilIdle();
  node.Flush();
  node.Crash();
  node.Start();
  for (int i = 0; i < 20; ++i) {
    ReserveRequest request;
    request.queues = {node.QueueIn(0), node.QueueIn(1)};
    const auto answer = node.Reserve(std::move(request));
    EXPECT_EQ(node.Await(answer).outcome.grants.size(), 1u);
  }
}

}  // namespace
}  // namespace holdfast
