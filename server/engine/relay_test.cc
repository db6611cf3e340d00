// The relays of three nodes without threads: one log that all apply, one of them leads, and the
// connections between them break as the test says.

#include "server/engine/relay.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/codec/payload_codec.h"
#include "server/engine/forward/forward_server.h"
#include "server/engine/testing/test_node.h"

namespace holdfast {
namespace {

constexpr int64_t kSecond = 1'000'000;

// What is between a node and the one that leads: carries requests when the test lets it.
class Wire final : public Forwarder {
 public:
  struct Request {
    ReplicaId to;
    std::shared_ptr<const std::string> bytes;
    Done done;
  };

  void Forward(ReplicaId to, ShardId, std::shared_ptr<const std::string> bytes,
               Done done) override {
    requests.push_back({to, std::move(bytes), std::move(done)});
  }

  std::vector<Request> requests;  // on their way
};

ReplicaId OtherReplica() { return ReplicaId(2); }

// A node that follows, and beside it the one that leads, each with a log of its own to which the
// test writes the same entries: the leader's.
class RelayTest : public ::testing::Test {
 protected:
  RelayTest()
      : here_({.self = ReplicaId(1), .forwarder = &wire_}), there_({.self = OtherReplica()}) {
    CHECK_EQ(here_.StartFollowing(), absl::OkStatus());
    there_.Start();
    server_ =
        std::make_unique<ForwardServer>(ForwardServer::Options(), &there_.loop(), &there_.shard());
    here_.OnLoop([&] { here_.relay().OnLeader(OtherReplica()); });
    Settle();
  }

  // What the leader's log has and the follower's has not is applied there.
  void Replicate() {
    while (here_.log().last() < there_.log().committed()) {
      const raft::Entry entry = there_.log().entry(Next(here_.log().last()));
      here_.log().Replace(entry.type, *entry.data);
      here_.Commit();
    }
    here_.events().RunUntilIdle();
  }
  void Settle() {
    here_.events().RunUntilIdle();
    there_.events().RunUntilIdle();
    Replicate();
  }
  // Takes all requests that are on their way.
  std::vector<Wire::Request> TakeRequests() {
    here_.events().RunUntilIdle();
    return std::exchange(wire_.requests, {});
  }
  // The leader's answers to them, in order. They are not delivered.
  std::vector<std::shared_ptr<const std::string>> Execute(
      const std::vector<Wire::Request>& requests) {
    auto replies = std::make_shared<std::vector<std::shared_ptr<const std::string>>>();
    for (const Wire::Request& request : requests) {
      there_.OnLoop([&] {
        server_->Handle(request.bytes, [replies](std::shared_ptr<const std::string> reply) {
          replies->push_back(std::move(reply));
        });
      });
    }
    there_.events().RunUntilIdle();
    EXPECT_EQ(replies->size(), requests.size());
    return *replies;
  }
  void Deliver(Wire::Request request, Forwarder::Result result,
               std::shared_ptr<const std::string> reply = nullptr) {
    here_.OnLoop([&] { std::move(request.done)(result, std::move(reply)); });
    here_.events().RunUntilIdle();
  }
  // Carries everything there and back until nothing is on its way.
  void Carry() {
    for (int round = 0; round < 20; ++round) {
      std::vector<Wire::Request> requests = TakeRequests();
      if (requests.empty()) break;
      const auto replies = Execute(requests);
      for (size_t i = 0; i < requests.size(); ++i) {
        Deliver(std::move(requests[i]), Forwarder::Result::kReplied, replies[i]);
      }
      Replicate();
    }
    here_.events().RunUntilIdle();
  }
  // Opens the relay's session and leaves one request on its way: the command itself.
  Wire::Request OneRequest() {
    for (;;) {
      std::vector<Wire::Request> requests = TakeRequests();
      CHECK_EQ(requests.size(), 1u);
      const auto decoded = DecodeForwardRequest(*requests[0].bytes);
      if (DecodeCommand(decoded->command)->command.request.has_session()) {
        return std::move(requests[0]);
      }
      const auto replies = Execute(requests);
      Deliver(std::move(requests[0]), Forwarder::Result::kReplied, replies[0]);
    }
  }
  uint64_t Ready(TestNode& node) {
    const QueueRecord* queue = node.shard().machine().FindQueue("mail");
    return queue == nullptr ? 0 : queue->counts[static_cast<int>(JobState::kReady)];
  }

  Wire wire_;
  TestNode here_;   // follows
  TestNode there_;  // leads
  std::unique_ptr<ForwardServer> server_;
};

TEST_F(RelayTest, CommandsAreExecutedWhereTheShardLeads) {
  const auto enqueue = here_.Enqueue("mail", "hello");
  Carry();
  EXPECT_NE(here_.Enqueued(enqueue), JobId());
  EXPECT_EQ(Ready(there_), 1u);
  EXPECT_EQ(Ready(here_), 1u);
  const auto reserve = here_.Reserve("mail", absl::ZeroDuration());
  Carry();
  ASSERT_EQ(reserve->payloads.size(), 1u);
  EXPECT_EQ(DecodePayload(reserve->payloads[0].bytes)->body, "hello");
}

TEST_F(RelayTest, WhatWasNotSentIsSentAgain) {
  const auto enqueue = here_.Enqueue("mail", "x");
  Deliver(OneRequest(), Forwarder::Result::kNotSent);
  EXPECT_TRUE(TakeRequests().empty()) << "not without a pause";
  here_.events().RunFor(kSecond / 10);
  Carry();
  EXPECT_NE(here_.Enqueued(enqueue), JobId());
  EXPECT_EQ(Ready(there_), 1u);
}

TEST_F(RelayTest, WhatMayHaveBeenExecutedIsExecutedOnce) {
  const auto enqueue = here_.Enqueue("mail", "x");
  Wire::Request request = OneRequest();
  std::vector<Wire::Request> sent;
  sent.push_back(std::move(request));
  Execute(sent);  // and the answer is lost
  EXPECT_EQ(Ready(there_), 1u);
  Deliver(std::move(sent[0]), Forwarder::Result::kUnknown);
  here_.events().RunFor(kSecond / 10);
  Carry();
  EXPECT_NE(here_.Enqueued(enqueue), JobId());
  EXPECT_EQ(Ready(there_), 1u);
}

TEST_F(RelayTest, AReserveWhoseAnswerWasLostGivesTheSameJob) {
  here_.Enqueue("mail", "x");
  Carry();
  const auto reserve = here_.Reserve("mail", absl::ZeroDuration());
  std::vector<Wire::Request> sent;
  sent.push_back(OneRequest());
  Execute(sent);
  EXPECT_EQ(Ready(there_), 0u);
  Deliver(std::move(sent[0]), Forwarder::Result::kUnknown);
  here_.events().RunFor(kSecond / 10);
  Carry();
  ASSERT_EQ(reserve->payloads.size(), 1u);
  EXPECT_EQ(reserve->outcome.grants[0].job.token, LeaseToken(1));
}

TEST_F(RelayTest, AnotherLeaderIsAskedWhatTheFirstDidNotAnswer) {
  const auto enqueue = here_.Enqueue("mail", "x");
  Wire::Request first = OneRequest();
  here_.OnLoop([&] { here_.relay().OnLeader(ReplicaId(3)); });
  std::vector<Wire::Request> again = TakeRequests();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].to, ReplicaId(3));
  // The first one had executed it, and its answer comes after all.
  std::vector<Wire::Request> late;
  late.push_back(std::move(first));
  const auto replies = Execute(late);
  Deliver(std::move(late[0]), Forwarder::Result::kReplied, replies[0]);
  EXPECT_NE(here_.Enqueued(enqueue), JobId());
  Deliver(std::move(again[0]), Forwarder::Result::kUnknown);
  EXPECT_TRUE(TakeRequests().empty());
}

TEST_F(RelayTest, WhatNobodyAnswersIsUnknownAndWhatNobodyGotIsNot) {
  const auto unknown = here_.Enqueue("mail", "x");
  Wire::Request request = OneRequest();
  here_.OnLoop([&] { here_.relay().OnLeader(ReplicaId()); });
  const auto unavailable = here_.Enqueue("mail", "y");
  here_.events().RunFor(11 * kSecond);
  EXPECT_EQ(unknown->status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(unavailable->status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(RelayTest, ASessionThatEndedIsReplacedByAnother) {
  here_.Enqueue("mail", "x");
  Carry();
  there_.events().RunFor(120 * kSecond);  // it is not used
  Settle();
  const auto enqueue = here_.Enqueue("mail", "y");
  Carry();
  here_.events().RunFor(kSecond / 10);
  Carry();
  EXPECT_NE(here_.Enqueued(enqueue), JobId());
  EXPECT_EQ(Ready(there_), 2u);
}

TEST_F(RelayTest, AReserveWaitsAtItsOwnReplicaAndAsksWhenAJobComes) {
  const auto reserve = here_.Reserve("mail", absl::Seconds(30));
  Carry();
  EXPECT_FALSE(reserve.has_value());
  const LogIndex before = there_.log().last();
  here_.events().RunFor(kSecond);
  EXPECT_TRUE(TakeRequests().empty());
  EXPECT_EQ(there_.log().last(), before) << "nothing of the waiting is in the log";
  there_.Enqueue("mail", "x");
  Settle();
  Carry();
  EXPECT_EQ(reserve->payloads.size(), 1u);
}

TEST_F(RelayTest, AReserveThatLostTheRaceAsksNoMoreBeforeItsReplicaKnows) {
  const auto reserve = here_.Reserve("mail", absl::Seconds(30));
  Carry();
  there_.Enqueue("mail", "x");
  Settle();  // the job is seen here
  const auto taken = there_.Reserve("mail", absl::ZeroDuration());
  there_.events().RunUntilIdle();
  ASSERT_EQ(taken->payloads.size(), 1u);  // and this is not
  std::vector<Wire::Request> requests = TakeRequests();
  ASSERT_EQ(requests.size(), 1u);
  const auto replies = Execute(requests);
  Deliver(std::move(requests[0]), Forwarder::Result::kReplied, replies[0]);
  here_.events().RunFor(kSecond);
  EXPECT_TRUE(TakeRequests().empty());
  Replicate();
  EXPECT_TRUE(TakeRequests().empty());
  EXPECT_FALSE(reserve.has_value());
}

TEST_F(RelayTest, ACancelledReserveGivesItsJobBack) {
  here_.Enqueue("mail", "x");
  Carry();
  ReserveId id;
  const auto reserve = here_.Reserve("mail", absl::Seconds(30), &id);
  std::vector<Wire::Request> requests;
  requests.push_back(OneRequest());
  here_.router().CancelReserve(id);
  here_.events().RunUntilIdle();
  const auto replies = Execute(requests);
  EXPECT_EQ(Ready(there_), 0u);
  Deliver(std::move(requests[0]), Forwarder::Result::kReplied, replies[0]);
  Carry();
  EXPECT_EQ(reserve->outcome.code, OutcomeCode::kNothingReady);
  EXPECT_EQ(Ready(there_), 1u);
}

TEST_F(RelayTest, LeadingHereItNeedsNobody) {
  const auto enqueue = here_.Enqueue("mail", "x");
  Wire::Request request = OneRequest();
  there_.OnLoop([&] { there_.log().StopLeading(absl::UnavailableError("another leads")); });
  Settle();
  here_.log().SetCommits(ScriptedLog::Commits::kAtOnce);
  here_.OnLoop([&] { here_.log().Lead(); });
  EXPECT_NE(here_.Enqueued(enqueue), JobId());
  EXPECT_EQ(Ready(here_), 1u);
  const auto plain = here_.Enqueue("mail", "y");
  EXPECT_NE(here_.Enqueued(plain), JobId());
  EXPECT_TRUE(TakeRequests().empty());
}

TEST_F(RelayTest, StoppingAnswersEverything) {
  const auto enqueue = here_.Enqueue("mail", "x");
  Wire::Request request = OneRequest();
  const auto reserve = here_.Reserve("other", absl::Seconds(30));
  here_.events().RunUntilIdle();
  here_.OnLoop([&] {
    here_.relay().Stop();
    here_.shard().Stop();
  });
  here_.events().RunUntilIdle();
  EXPECT_EQ(enqueue->status.code(), absl::StatusCode::kUnknown);
  EXPECT_FALSE(reserve->status.ok());
}

// --- The other side.

// The first answer was lost, its lease ended, and another has the job: the repeated request must
// not be told that it has it.
TEST_F(RelayTest, ARepeatedReserveIsNotGivenWhatItLostMeanwhile) {
  JobSpec spec;
  spec.lease = LogDuration::Seconds(1);
  there_.Enqueue("mail", "x", spec);
  const auto reserve = here_.Reserve("mail", absl::ZeroDuration());
  std::vector<Wire::Request> sent;
  sent.push_back(OneRequest());
  Execute(sent);
  there_.events().RunFor(2 * kSecond);
  const auto other = there_.Reserve("mail", absl::ZeroDuration());
  there_.events().RunUntilIdle();
  ASSERT_EQ(other->payloads.size(), 1u);
  Deliver(std::move(sent[0]), Forwarder::Result::kUnknown);
  here_.events().RunFor(kSecond / 10);
  Carry();
  EXPECT_EQ(reserve->status, absl::OkStatus());
  EXPECT_TRUE(reserve->outcome.grants.empty());
  EXPECT_EQ(reserve->outcome.code, OutcomeCode::kNothingReady);
}

TEST_F(RelayTest, ARepeatedReserveOfAJobThatIsGoneFindsNothing) {
  there_.Enqueued(there_.Enqueue("mail", "x"));
  const auto reserve = here_.Reserve("mail", absl::ZeroDuration());
  std::vector<Wire::Request> sent;
  sent.push_back(OneRequest());
  Execute(sent);
  there_.Execute(PurgeQueueCommand{.queue = "mail", .states = 0xf});
  there_.events().RunUntilIdle();
  Deliver(std::move(sent[0]), Forwarder::Result::kUnknown);
  here_.events().RunFor(kSecond / 10);
  Carry();
  EXPECT_EQ(reserve->outcome.code, OutcomeCode::kNothingReady);
  EXPECT_TRUE(there_.fatal().empty());
}

TEST_F(RelayTest, AReplyIsBoundedAndTheRestIsGivenBack) {
  server_ = std::make_unique<ForwardServer>(ForwardServer::Options{.reply_bytes_max = 100},
                                            &there_.loop(), &there_.shard());
  for (int i = 0; i < 5; ++i) there_.Enqueue("mail", std::string(60, 'x'));
  ReserveRequest request;
  request.queues = {"mail"};
  request.max = 5;
  const auto reserve = here_.Reserve(std::move(request));
  Carry();
  EXPECT_EQ(reserve->payloads.size(), 1u);
  EXPECT_EQ(Ready(there_), 4u);
}

TEST_F(RelayTest, ARequestThatCannotBeReadIsRefusedAndNotLogged) {
  const LogIndex before = there_.log().last();
  for (const std::string& bytes : {std::string(), std::string("\x01"), std::string("\x02\0", 2),
                                   std::string("\x01\0c\0", 4)}) {
    std::vector<Wire::Request> requests;
    requests.push_back({OtherReplica(), std::make_shared<const std::string>(bytes), nullptr});
    const auto reply = DecodeForwardReply(Execute(requests)[0]);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->status.code(), absl::StatusCode::kInvalidArgument) << reply->status;
  }
  EXPECT_EQ(there_.log().last(), before);
}

}  // namespace
}  // namespace holdfast
