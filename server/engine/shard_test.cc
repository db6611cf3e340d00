// Rules of a shard's commands: how they become entries, when they are answered, and what becomes
// of them when leadership or the log fails.

#include "server/engine/shard.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/codec/payload_codec.h"
#include "server/engine/testing/test_node.h"

namespace holdfast {
namespace {

constexpr auto kByHand = ScriptedLog::Commits::kByHand;

// Refused or unknown: the code of the answer, which must be there.
absl::StatusCode CodeOf(const Answer<ExecuteResult>& answer) { return answer->status.code(); }

TEST(Commands, ThatWaitTogetherGoIntoOneEntry) {
  TestNode node({.commits = kByHand});
  node.Start();
  const LogIndex before = node.log().last();
  const auto a = node.Enqueue("mail", "1");
  const auto b = node.Enqueue("mail", "2");
  const auto c = node.Reserve("mail", absl::ZeroDuration());
  node.events().RunUntilIdle();
  EXPECT_EQ(node.log().last(), Next(before));
  EXPECT_FALSE(a.has_value()) << "nothing is answered before it is committed";
  node.Commit();
  EXPECT_EQ(node.Enqueued(a).value() + 1, node.Enqueued(b).value());
  EXPECT_EQ(c->outcome.code, OutcomeCode::kNothingReady)
      << "a reserve that does not wait is told what was so when it came";
}

TEST(Commands, InFlightEntriesAreBounded) {
  TestNode node(
      {.proposer = {.entry_commands_max = 1, .entries_in_flight_max = 2}, .commits = kByHand});
  node.Start();
  const uint64_t before = node.log().last().value();
  std::vector<Answer<ExecuteResult>> answers;
  for (int i = 0; i < 5; ++i) answers.push_back(node.Enqueue("mail", "x"));
  node.events().RunUntilIdle();
  EXPECT_EQ(node.log().last().value(), before + 2);
  node.Commit(1);
  node.events().RunUntilIdle();
  EXPECT_EQ(node.log().last().value(), before + 3);
  for (int i = 0; i < 5; ++i) {
    node.Commit();
    node.events().RunUntilIdle();
  }
  for (const auto& answer : answers) EXPECT_TRUE(answer.has_value());
}

// For as long as the relay waits for a leader.
constexpr int64_t kWaited = 11'000'000;

TEST(Commands, OfAFollowerWithoutALeaderAreRefusedAfterAWhile) {
  TestNode node({});
  ASSERT_TRUE(node.StartFollowing().ok());
  const auto enqueue = node.Enqueue("mail", "x");
  const auto reserve = node.Reserve("mail", absl::Seconds(5));
  const auto query = node.Ask(QueueQuery{"mail"});
  node.events().RunFor(9'000'000);
  EXPECT_FALSE(enqueue.has_value());
  node.events().RunFor(kWaited);
  EXPECT_EQ(CodeOf(enqueue), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(reserve), absl::StatusCode::kUnavailable);
  EXPECT_EQ(query->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(node.log().last(), LogIndex());
}

TEST(Commands, OfAFollowerAreExecutedWhenItLeads) {
  TestNode node({});
  ASSERT_TRUE(node.StartFollowing().ok());
  const auto enqueue = node.Enqueue("mail", "x");
  const auto reserve = node.Reserve("mail", absl::Seconds(5));
  node.events().RunFor(1'000'000);
  node.OnLoop([&] { node.log().Lead(); });
  EXPECT_NE(node.Enqueued(enqueue), JobId());
  EXPECT_EQ(node.Await(reserve).payloads.size(), 1u);
}

TEST(Commands, OfAnotherLeaderAreAppliedWithoutAnswers) {
  TestNode node({});
  node.Start();
  const JobId job = node.Enqueued(node.Enqueue("mail", "x"));
  const raft::Entry entry = node.log().entry(node.log().last());
  node.OnLoop([&] { node.log().StopLeading(absl::UnavailableError("another leads")); });
  node.log().Replace(raft::EntryType::kCommands, *entry.data);
  node.Commit();
  EXPECT_EQ(node.shard().machine().FindQueue("mail")->counts[0], 2u);
  EXPECT_EQ(node.shard().applied().index, node.log().last());
  EXPECT_NE(node.shard().machine().FindHotJob(job), nullptr);
}

// A node that proposed one command and holds another and a reserve back, and leads no more.
class LeadershipEnds : public ::testing::Test {
 protected:
  LeadershipEnds()
      : node_({.proposer = {.entry_commands_max = 1, .entries_in_flight_max = 1},
               .commits = kByHand}) {
    node_.Start();
    proposed_ = node_.Enqueue("mail", "proposed");
    pending_ = node_.Enqueue("mail", "pending");
    waiting_ = node_.Reserve("other", absl::Seconds(60));
    node_.events().RunUntilIdle();
    node_.OnLoop([&] { node_.log().StopLeading(absl::UnavailableError("cut off")); });
    node_.events().RunUntilIdle();
    EXPECT_FALSE(proposed_.has_value() || pending_.has_value() || waiting_.has_value());
  }

  TestNode node_;
  Answer<ExecuteResult> proposed_;
  Answer<ExecuteResult> pending_;
  Answer<ExecuteResult> waiting_;
};

TEST_F(LeadershipEnds, WhatIsCommittedAfterAllIsAnsweredAsIfNothingHadHappened) {
  node_.Commit();
  EXPECT_NE(node_.Enqueued(proposed_), JobId());
  EXPECT_FALSE(pending_.has_value());
}

TEST_F(LeadershipEnds, WhatIsReplacedIsProposedAgainOnce) {
  node_.log().Replace(raft::EntryType::kNoOp, "");
  node_.log().SetCommits(ScriptedLog::Commits::kAtOnce);
  node_.OnLoop([&] { node_.log().Lead(); });
  node_.events().RunFor(1'000'000);
  EXPECT_NE(node_.Enqueued(proposed_), JobId());
  EXPECT_NE(node_.Enqueued(pending_), JobId());
  EXPECT_EQ(node_.shard().machine().FindQueue("mail")->counts[0], 2u);
  node_.Enqueue("other", "y");
  EXPECT_EQ(node_.Await(waiting_).outcome.grants.size(), 1u);
}

TEST_F(LeadershipEnds, WhatNobodyDecidesIsUnknownAndTheRestCertainlyNotExecuted) {
  node_.events().RunFor(kWaited);
  EXPECT_EQ(CodeOf(proposed_), absl::StatusCode::kUnknown);
  EXPECT_EQ(CodeOf(pending_), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf(waiting_), absl::StatusCode::kUnavailable);
  // It was committed after all; nobody is answered a second time.
  node_.Commit();
  node_.events().RunFor(kWaited);
  EXPECT_EQ(node_.shard().machine().FindQueue("mail")->counts[0], 1u);
}

TEST(Leadership, OfAReplicaThatHasEndedIsUnknownAtOnce) {
  TestNode node({.commits = kByHand});
  node.Start();
  const auto proposed = node.Enqueue("mail", "x");
  node.events().RunUntilIdle();
  node.OnLoop([&] { node.log().StopLeading(absl::UnknownError("the disk has failed")); });
  EXPECT_EQ(CodeOf(proposed), absl::StatusCode::kUnknown);
}

TEST(Leadership, ThatBeginsAgainAcceptsAgain) {
  TestNode node({});
  node.Start();
  node.OnLoop([&] { node.log().StopLeading(absl::UnavailableError("cut off")); });
  node.OnLoop([&] { node.log().Lead(); });
  EXPECT_NE(node.Enqueued(node.Enqueue("mail", "x")), JobId());
}

TEST(Leadership, FullDiskIsCertainAndLeavesReservesWaiting) {
  TestNode node({.commits = kByHand});
  node.Start();
  const auto enqueue = node.Enqueue("mail", "x");
  const auto waiting = node.Reserve("other", absl::Seconds(5));
  node.events().RunUntilIdle();
  node.OnLoop([&] { node.log().StopLeading(absl::ResourceExhaustedError("no space")); });
  EXPECT_EQ(CodeOf(enqueue), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(enqueue->retry_after, absl::ZeroDuration());
  EXPECT_FALSE(waiting.has_value());
  node.log().Replace(raft::EntryType::kNoOp, "");  // what was refused is not in the log
  node.log().SetCommits(ScriptedLog::Commits::kAtOnce);
  node.OnLoop([&] { node.log().Lead(); });
  node.Enqueue("other", "y");
  EXPECT_EQ(node.Await(waiting).outcome.grants.size(), 1u);
}

TEST(Leadership, OfALaterIncarnationEndsTheLeasesOfTheEarlierOnes) {
  TestNode node({});
  node.Start();
  const Holder holder =
      node.router().OpenHolder(LeasesAtClose::kRelease, [](const Machine::EndedLease&) {});
  node.Enqueued(node.Enqueue("mail", "x"));
  ReserveRequest request;
  request.queues = {"mail"};
  request.holder = holder;
  ASSERT_EQ(node.Await(node.Reserve(std::move(request))).outcome.grants.size(), 1u);
  node.Crash();
  node.Start();
  const auto again = node.Reserve("mail", absl::ZeroDuration());
  EXPECT_EQ(node.Await(again).outcome.grants.size(), 1u);
}

// It kept a process that was told to stop for ever.
TEST(Stop, AnswersWhoWaitsForAnEntryThatDoesNotCome) {
  TestNode node({});
  node.Start();
  bool told = false;
  node.OnLoop([&] {
    node.shard().AfterApplied(LogIndex(node.log().last().value() + 1), [&] { told = true; });
  });
  EXPECT_FALSE(told);
  node.OnLoop([&] { node.shard().Stop(); });
  EXPECT_TRUE(told);
  EXPECT_EQ(node.Await(node.Ask(QueueQuery{"mail"})).status.code(), absl::StatusCode::kUnavailable);
}

// The groups run to the end of the stop, and may win an election whose votes were under way.
TEST(Stop, WhatComesLaterIsRefusedThoughTheShardIsMadeTheLeader) {
  TestNode node({.commits = kByHand});
  ASSERT_TRUE(node.StartFollowing().ok());
  node.OnLoop([&] {
    node.relay().Stop();
    node.shard().Stop();
    node.log().Lead();
  });
  const auto enqueue = node.Enqueue("mail", "x");
  node.events().RunUntilIdle();
  ASSERT_TRUE(enqueue.has_value());
  EXPECT_EQ(CodeOf(enqueue), absl::StatusCode::kUnavailable);
}

// A proposal may be refused without an end of leadership, while it is being handed over. What
// nobody waits for was once lost with it: a due lease then stayed until the next command.
TEST(Proposals, ThatAreRefusedAreTriedAgainIfNobodyWaitsForThem) {
  TestNode node({});
  node.Start();
  JobSpec later;
  later.delay = LogDuration::Seconds(1);
  node.Enqueue("mail", "later", later);
  node.events().RunUntilIdle();
  node.log().RefuseProposals(absl::UnavailableError("leadership is being handed over"));
  const auto refused = node.Enqueue("mail", "x");
  node.events().RunFor(3'000'000);
  EXPECT_FALSE(refused.has_value());
  EXPECT_EQ(node.shard().machine().FindQueue("mail")->counts[0], 0u);
  node.log().RefuseProposals(absl::OkStatus());
  node.events().RunFor(1'000'000);
  EXPECT_EQ(node.shard().machine().FindQueue("mail")->counts[0], 2u);
  EXPECT_NE(node.Enqueued(refused), JobId());
}

TEST(Answers, CarryThePayloadFromMemoryOrFromTheStore) {
  TestNode node({});
  node.Start();
  node.Enqueue("mail", "flushed");
  node.events().RunUntilIdle();
  node.Flush();
  node.Enqueue("mail", "not flushed");
  ReserveRequest request;
  request.queues = {"mail"};
  request.max = 3;
  node.events().RunUntilIdle();
  const auto answer = node.Reserve(std::move(request));
  const ExecuteResult& result = node.Await(answer);
  ASSERT_EQ(result.payloads.size(), 2u);
  EXPECT_EQ(DecodePayload(result.payloads[0].bytes)->body, "flushed");
  EXPECT_EQ(DecodePayload(result.payloads[1].bytes)->body, "not flushed");
}

TEST(Answers, NameTheDamageOfAStoredPayload) {
  TestNode node({});
  node.Start();
  node.Enqueue("mail", "x");
  node.events().RunUntilIdle();
  node.Flush();
  node.disk().SetRule([](StateOperation operation, uint64_t) {
    return operation == StateOperation::kFlush ? absl::OkStatus()
                                               : absl::DataLossError("bad block");
  });
  const auto answer = node.Reserve("mail", absl::ZeroDuration());
  EXPECT_EQ(node.Await(answer).status.code(), absl::StatusCode::kDataLoss);
  ASSERT_EQ(node.fatal().size(), 1u);
  EXPECT_EQ(node.fatal()[0].message(), "bad block");
}

}  // namespace
}  // namespace holdfast
