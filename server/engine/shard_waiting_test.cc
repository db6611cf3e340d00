// Rules of reserves that wait at a shard, and of what time does: deadlines become entries.

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/codec/command_codec.h"
#include "server/codec/payload_codec.h"
#include "server/engine/testing/test_node.h"

namespace holdfast {
namespace {

constexpr auto kByHand = ScriptedLog::Commits::kByHand;
constexpr int64_t kSecond = 1'000'000;

JobSpec Delayed(LogDuration delay) {
  JobSpec spec;
  spec.delay = delay;
  return spec;
}

JobSpec Leased(LogDuration lease) {
  JobSpec spec;
  spec.lease = lease;
  return spec;
}

// The one lease that the answer brought.
LeaseRef LeaseOf(const Answer<ExecuteResult>& answer) {
  CHECK_EQ(answer->outcome.grants.size(), 1u);
  return {answer->outcome.grants[0].job.id, answer->outcome.grants[0].job.token};
}

bool IsNothingReady(const Answer<ExecuteResult>& answer) {
  return answer.has_value() && answer->status.ok() &&
         answer->outcome.code == OutcomeCode::kNothingReady;
}

uint64_t CountOf(TestNode& node, const std::string& queue, JobState state) {
  const QueueRecord* record = node.shard().machine().FindQueue(queue);
  return record == nullptr ? 0 : record->counts[static_cast<int>(state)];
}

TEST(Waiting, ReserveIsGrantedInTheEntryThatEnqueues) {
  TestNode node({.commits = kByHand});
  node.Start();
  const auto reserve = node.Reserve("mail", absl::Seconds(5));
  node.events().RunUntilIdle();
  node.Enqueue("mail", "hello");
  node.events().RunUntilIdle();
  const LogIndex entry = node.log().last();
  node.Commit();
  ASSERT_TRUE(reserve.has_value());
  EXPECT_EQ(node.log().last(), entry);
  EXPECT_EQ(DecodePayload(reserve->payloads.at(0).bytes)->body, "hello");
}

// --- Nodes that are lost.

ReserveRequest As(const Holder& holder, absl::Duration wait = absl::ZeroDuration()) {
  ReserveRequest request;
  request.queues = {"mail"};
  request.max = 1;
  request.wait = wait;
  request.holder = holder;
  return request;
}

TEST(LostNodes, HoldNothingAndAreLeasedNothing) {
  TestNode node({});
  node.Start();
  const Holder holder = {NodeId(2), 5, 1};
  node.Enqueued(node.Enqueue("mail", "x"));
  ASSERT_EQ(node.Await(node.Reserve(As(holder))).outcome.grants.size(), 1u);
  const auto lose = [&node](NodeId lost) {
    node.OnLoop([&] { node.shard().LoseNodes([lost](NodeId other) { return other == lost; }); });
    node.events().RunUntilIdle();
  };
  const LogIndex before = node.log().last();
  lose(NodeId(3));
  lose(NodeId(1));
  EXPECT_EQ(node.log().last(), before) << "they hold nothing, or are this node";
  lose(NodeId(2));
  EXPECT_EQ(CountOf(node, "mail", JobState::kReady), 1u);
  EXPECT_EQ(node.Await(node.Reserve(As(holder))).outcome.code, OutcomeCode::kHolderGone);
  const LogIndex after = node.log().last();
  lose(NodeId(2));
  EXPECT_EQ(node.log().last(), after) << "it is known";
  EXPECT_EQ(node.Await(node.Reserve(As({NodeId(2), 6, 1}))).outcome.grants.size(), 1u);
}

TEST(LostNodes, ThisNodesHoldersGoOnAsAnotherRun) {
  TestNode node({});
  node.Start();
  int ended = 0;
  const Holder holder = node.router().OpenHolder(LeasesAtClose::kRelease,
                                                 [&](const Machine::EndedLease&) { ++ended; });
  const JobId job = node.Enqueued(node.Enqueue("mail", "x"));
  const auto first = node.Reserve(As(holder));
  ASSERT_EQ(node.Await(first).outcome.grants.size(), 1u);
  const auto parked = node.Reserve(As(holder, absl::Hours(1)));
  node.events().RunUntilIdle();
  EXPECT_FALSE(parked.has_value());
  // What the leader has logged while this node was not heard of.
  Submission lost;
  lost.command =
      EncodeCommand({.request = {}, .body = NodeLostCommand{NodeId(1), holder.incarnation}});
  node.OnLoop([&] { node.shard().Submit(std::move(lost)); });
  node.events().RunUntilIdle();
  EXPECT_EQ(ended, 1) << "it is told that its lease has ended";
  ASSERT_TRUE(parked.has_value()) << "what waits reserves as the run that it is of now";
  EXPECT_EQ(LeaseOf(parked).job, job);
  const auto stale = node.Execute(DeleteCommand{.leases = {LeaseOf(first)}});
  EXPECT_EQ(node.Await(stale).outcome.items[0].code, OutcomeCode::kLeaseInvalid);
  node.Enqueued(node.Enqueue("mail", "y"));
  EXPECT_EQ(node.Await(node.Reserve(As(holder))).outcome.grants.size(), 1u);
  node.router().CloseHolder(holder, LeasesAtClose::kRelease);
  node.events().RunUntilIdle();
  EXPECT_EQ(CountOf(node, "mail", JobState::kReady), 2u);
}

TEST(Waiting, FirstComeFirstServed) {
  TestNode node({});
  node.Start();
  std::vector<Answer<ExecuteResult>> reserves;
  for (int i = 0; i < 4; ++i) reserves.push_back(node.Reserve("mail", absl::Seconds(5)));
  node.events().RunUntilIdle();
  for (size_t i = 0; i < 4; ++i) {
    const JobId job = node.Enqueued(node.Enqueue("mail", "x"));
    EXPECT_EQ(LeaseOf(reserves[i]).job, job);
  }
}

TEST(Waiting, EndsAtItsDeadlineWithNothingReady) {
  TestNode node({});
  node.Start();
  const auto reserve = node.Reserve("mail", absl::Seconds(5));
  node.events().RunFor(5 * kSecond - 1);
  EXPECT_FALSE(reserve.has_value());
  node.events().RunFor(1);
  EXPECT_TRUE(IsNothingReady(reserve));
}

TEST(Waiting, DeadlineThatComesWhileTheReserveIsInAnEntryEndsItThere) {
  TestNode node({.commits = kByHand});
  node.Start();
  node.Enqueue("mail", "x");
  node.events().RunUntilIdle();
  node.Commit();
  const auto first = node.Reserve("mail", absl::Seconds(1));
  const auto second = node.Reserve("mail", absl::Seconds(1));
  node.events().RunFor(2 * kSecond);
  EXPECT_FALSE(second.has_value());
  node.Commit();
  EXPECT_EQ(first->outcome.grants.size(), 1u);
  EXPECT_TRUE(IsNothingReady(second));
}

TEST(Waiting, CancelEndsIt) {
  TestNode node({});
  node.Start();
  ReserveId id;
  const auto reserve = node.Reserve("mail", absl::Seconds(5), &id);
  node.router().CancelReserve(id);
  node.events().RunUntilIdle();
  EXPECT_TRUE(IsNothingReady(reserve));
  node.router().CancelReserve(id);
  node.router().CancelReserve(ReserveId(77));
  node.events().RunUntilIdle();
}

TEST(Waiting, JobsGrantedToACancelledReserveGoBackAsIfNothingHadBeen) {
  TestNode node({.commits = kByHand});
  node.Start();
  node.Enqueue("mail", "x");
  node.events().RunUntilIdle();
  node.Commit();
  ReserveId id;
  const auto reserve = node.Reserve("mail", absl::Seconds(5), &id);
  node.events().RunUntilIdle();
  node.router().CancelReserve(id);
  node.events().RunUntilIdle();
  EXPECT_FALSE(reserve.has_value()) << "it may already have a job";
  node.Commit();
  EXPECT_TRUE(IsNothingReady(reserve));
  node.events().RunUntilIdle();
  node.Commit();
  EXPECT_EQ(CountOf(node, "mail", JobState::kReady), 1u);
  const auto again = node.Reserve("mail", absl::ZeroDuration());
  node.events().RunUntilIdle();
  node.Commit();
  EXPECT_EQ(again->outcome.grants[0].job.attempts, 1u);
  EXPECT_EQ(again->outcome.grants[0].job.reserves, 1u);
  EXPECT_EQ(again->outcome.grants[0].job.token, LeaseToken(2)) << "tokens are never given twice";
}

TEST(Waiting, IsBounded) {
  TestNode node({.waiters_max = 2});
  node.Start();
  const auto a = node.Reserve("mail", absl::Seconds(5));
  const auto b = node.Reserve("mail", absl::Seconds(5));
  const auto c = node.Reserve("mail", absl::Seconds(5));
  node.events().RunUntilIdle();
  EXPECT_FALSE(a.has_value());
  EXPECT_FALSE(b.has_value());
  EXPECT_EQ(c->status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(c->retry_after, absl::ZeroDuration());
}

TEST(Waiting, NothingIsAnsweredBeforeLeadershipIsConfirmed) {
  TestNode node({});
  node.Start();
  node.log().RefuseBarriers(absl::UnavailableError("cut off"));
  const auto answer = node.Reserve("mail", absl::ZeroDuration());
  EXPECT_EQ(node.Await(answer).status.code(), absl::StatusCode::kUnavailable)
      << "another leader may have jobs";
}

TEST(Draining, EndsWaitingAndLetsNoneWaitWhileCommandsGoOn) {
  TestNode node({.commits = kByHand});
  node.Start();
  const auto parked = node.Reserve("mail", absl::Seconds(5));
  const JobSpec soon = Delayed(LogDuration::Seconds(1));
  const auto enqueue = node.Enqueue("other", "x", soon);
  node.events().RunUntilIdle();
  node.router().Drain();
  node.events().RunUntilIdle();
  EXPECT_TRUE(IsNothingReady(parked));
  const auto late = node.Reserve("mail", absl::Seconds(5));
  node.events().RunUntilIdle();
  EXPECT_TRUE(IsNothingReady(late));
  node.Commit();
  EXPECT_EQ(node.Enqueued(enqueue), JobId(1));
}

TEST(Draining, EndsAReserveThatIsInAnEntry) {
  TestNode node({.commits = kByHand});
  node.Start();
  node.Enqueue("mail", "x");
  node.events().RunUntilIdle();
  node.Commit();
  const auto first = node.Reserve("mail", absl::Seconds(5));
  const auto second = node.Reserve("mail", absl::Seconds(5));
  node.events().RunUntilIdle();
  node.router().Drain();
  node.events().RunUntilIdle();
  node.Commit();
  EXPECT_EQ(first->outcome.grants.size(), 1u);
  EXPECT_TRUE(IsNothingReady(second));
}

// --- What makes a job available wakes who waits.

class Wakes : public ::testing::Test {
 protected:
  Wakes() : node_({}) {
    node_.Start();
    job_ = node_.Enqueued(node_.Enqueue("mail", "x", Leased(LogDuration::Seconds(10))));
    const auto held = node_.Reserve("mail", absl::ZeroDuration());
    node_.events().RunUntilIdle();
    lease_ = LeaseOf(held);
    waiting_ = node_.Reserve("mail", absl::Seconds(60));
    node_.events().RunUntilIdle();
  }
  // The waiting reserve has the job, under its second lease.
  void ExpectWoken() {
    node_.events().RunUntilIdle();
    ASSERT_TRUE(waiting_.has_value());
    EXPECT_EQ(LeaseOf(waiting_).job, job_);
    EXPECT_EQ(LeaseOf(waiting_).token, LeaseToken(2));
  }

  TestNode node_;
  JobId job_;
  LeaseRef lease_;
  Answer<ExecuteResult> waiting_;
};

TEST_F(Wakes, Release) {
  node_.Execute(ReleaseCommand{.leases = {lease_}, .mode = {}, .priority = {}, .delay = {}});
  ExpectWoken();
}

TEST_F(Wakes, Kick) {
  node_.Execute(BuryCommand{.leases = {lease_}, .priority = {}});
  node_.events().RunUntilIdle();
  EXPECT_FALSE(waiting_.has_value());
  node_.Execute(KickCommand{.queue = "mail", .bound = 1});
  ExpectWoken();
}

TEST_F(Wakes, Resume) {
  node_.Execute(PauseQueueCommand{.queue = "mail", .duration = LogDuration::Max()});
  node_.Execute(ReleaseCommand{.leases = {lease_}, .mode = {}, .priority = {}, .delay = {}});
  node_.events().RunUntilIdle();
  EXPECT_FALSE(waiting_.has_value());
  node_.Execute(PauseQueueCommand{.queue = "mail", .duration = LogDuration()});
  ExpectWoken();
}

TEST_F(Wakes, EndOfAPause) {
  node_.Execute(PauseQueueCommand{.queue = "mail", .duration = LogDuration::Seconds(3)});
  node_.Execute(ReleaseCommand{.leases = {lease_}, .mode = {}, .priority = {}, .delay = {}});
  node_.events().RunFor(2 * kSecond);
  EXPECT_FALSE(waiting_.has_value());
  node_.events().RunFor(1 * kSecond + 1000);
  ExpectWoken();
}

TEST_F(Wakes, LeaseExpiry) {
  node_.events().RunFor(9 * kSecond);
  EXPECT_FALSE(waiting_.has_value());
  node_.events().RunFor(1 * kSecond + 1000);
  ExpectWoken();
}

TEST_F(Wakes, EndOfADelay) {
  node_.Execute(ReleaseCommand{
      .leases = {lease_}, .mode = {}, .priority = {}, .delay = LogDuration::Seconds(2)});
  node_.events().RunFor(1 * kSecond);
  EXPECT_FALSE(waiting_.has_value());
  node_.events().RunFor(1 * kSecond + 1000);
  ExpectWoken();
}

TEST_F(Wakes, ReturnUndelivered) {
  node_.Execute(ReturnUndeliveredCommand{.leases = {lease_}});
  ExpectWoken();
}

TEST_F(Wakes, RoomUnderTheCapOnReservedJobs) {
  QueueOptions options;
  options.max_reserved = 1;
  node_.Execute(PutQueueOptionsCommand{.queue = "mail", .options = options});
  const JobId next = node_.Enqueued(node_.Enqueue("mail", "y"));
  EXPECT_FALSE(waiting_.has_value());
  node_.Execute(DeleteCommand{.leases = {lease_}});
  node_.events().RunUntilIdle();
  EXPECT_EQ(LeaseOf(waiting_).job, next);
}

// --- Deadlines.

TEST(Deadlines, BecomeEntriesWithoutAnyCommand) {
  TestNode node({});
  node.Start();
  node.Enqueue("mail", "x", Delayed(LogDuration::Seconds(3)));
  node.events().RunFor(3 * kSecond - 1000);
  EXPECT_EQ(CountOf(node, "mail", JobState::kReady), 0u);
  node.events().RunFor(2000);
  EXPECT_EQ(CountOf(node, "mail", JobState::kReady), 1u);
}

TEST(Deadlines, AreWorkedOffHoweverManyAreDue) {
  TestNode node({});
  node.Start();
  for (int i = 0; i < 2500; ++i) node.Enqueue("mail", "x", Delayed(LogDuration::Seconds(3)));
  node.events().RunFor(3 * kSecond + 1000);
  EXPECT_EQ(CountOf(node, "mail", JobState::kReady), 2500u);
}

TEST(Deadlines, AreNotLostWhenLeadershipEndsWithTheirEntry) {
  TestNode node({.commits = kByHand});
  node.Start();
  node.Enqueue("mail", "x", Delayed(LogDuration::Seconds(1)));
  node.events().RunUntilIdle();
  node.Commit();
  const LogIndex before = node.log().last();
  node.events().RunFor(2 * kSecond);
  EXPECT_EQ(node.log().last(), Next(before)) << "one Expire, however long it takes";
  node.OnLoop([&] { node.log().StopLeading(absl::UnavailableError("cut off")); });
  node.log().Replace(raft::EntryType::kNoOp, "");
  node.log().SetCommits(ScriptedLog::Commits::kAtOnce);
  node.OnLoop([&] { node.log().Lead(); });
  node.events().RunUntilIdle();
  EXPECT_EQ(CountOf(node, "mail", JobState::kReady), 1u);
}

TEST(Deadlines, WallClockThatJumpsEndsNoLeaseBeforeHalfItsTime) {
  TestNode node({});
  node.Start();
  node.Enqueued(node.Enqueue("mail", "x", Leased(LogDuration::Seconds(60))));
  node.Reserve("mail", absl::ZeroDuration());
  node.events().RunUntilIdle();
  node.loop().AdvanceWall(3600 * kSecond);
  node.events().RunFor(30 * kSecond - 1000);
  EXPECT_EQ(CountOf(node, "mail", JobState::kReserved), 1u);
  node.events().RunFor(30 * kSecond + 2000);
  EXPECT_EQ(CountOf(node, "mail", JobState::kReserved), 0u) << "nor does it keep one longer";
}

TEST(Deadlines, OfWaitersAreKeptByAShardThatNobodyWrites) {
  TestNode node({});
  node.Start();
  std::vector<Answer<ExecuteResult>> waiting;
  for (int i = 1; i <= 5; ++i) waiting.push_back(node.Reserve("mail", absl::Seconds(6 - i)));
  for (int second = 1; second <= 5; ++second) {
    node.events().RunFor(kSecond);
    for (int i = 1; i <= 5; ++i) {
      EXPECT_EQ(waiting[static_cast<size_t>(i - 1)].has_value(), 6 - i <= second);
    }
  }
}

}  // namespace
}  // namespace holdfast
