// Reads: answered by who leads for certain, with all that was committed when they were asked for.

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/core.h"
#include "replication/raft/testing/core_cluster.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

const std::vector<uint64_t> kThree{1, 2, 3};

// A leader with a commit in its term.
LoneCore Leading(const std::vector<uint64_t>& voters = kThree) {
  LoneCore lone(voters);
  lone.Lead();
  for (const uint64_t id : voters) {
    if (id != 1) lone.Step(AppendResponseFrom(id, 1, 1));
  }
  lone.Settle();
  lone.Sent();
  return lone;
}

Message Confirmation(uint64_t from, uint64_t number) {
  Message message = MessageFrom(from, 1, MessageType::kHeartbeatResponse);
  message.context = number;
  return message;
}

std::vector<uint64_t> Contexts(const std::vector<ReadState>& reads) {
  std::vector<uint64_t> contexts;
  for (const ReadState& read : reads) contexts.push_back(read.context);
  return contexts;
}

TEST(ReadIndex, AnsweredWhenAMajorityConfirms) {
  LoneCore lone = Leading({1, 2, 3, 4, 5});
  lone.core().ReadIndex(70);
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kHeartbeat);
  ASSERT_EQ(sent.size(), 4u);
  for (const Message& message : sent) EXPECT_EQ(message.context, 1u);
  lone.Step(Confirmation(2, 1));
  lone.Step(Confirmation(2, 1));
  lone.Settle();
  EXPECT_TRUE(lone.reads().empty());
  lone.Step(Confirmation(3, 1));
  lone.Settle();
  ASSERT_EQ(lone.reads().size(), 1u);
  EXPECT_EQ(lone.reads()[0].context, 70u);
  EXPECT_EQ(lone.reads()[0].index, LogIndex(1));
}

TEST(ReadIndex, OneConfirmationIsForAllReadsBefore) {
  LoneCore lone = Leading();
  for (const uint64_t context : {70, 71, 72}) {
    lone.core().ReadIndex(context);
    lone.Settle();
  }
  lone.Step(Confirmation(2, 2));
  lone.Settle();
  EXPECT_EQ(Contexts(lone.reads()), (std::vector<uint64_t>{70, 71}));
  lone.Step(Confirmation(3, 3));
  lone.Step(Confirmation(2, 1));  // late: nothing new
  lone.Settle();
  EXPECT_EQ(Contexts(lone.reads()), (std::vector<uint64_t>{70, 71, 72}));
}

TEST(ReadIndex, ReadsBeforeTheHeartbeatsLeaveShareThem) {
  LoneCore lone = Leading();
  for (const uint64_t context : {70, 71, 72}) lone.core().ReadIndex(context);
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kHeartbeat);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].context, 3u);
  EXPECT_EQ(sent[1].context, 3u);
}

TEST(ReadIndex, ReadsSinceTheHeartbeatsLeftAreNotConfirmedByTheirAnswers) {
  LoneCore lone = Leading();
  lone.core().ReadIndex(70);
  lone.Settle();
  lone.core().ReadIndex(71);
  lone.Step(Confirmation(2, 1));
  lone.Settle();
  EXPECT_EQ(Contexts(lone.reads()), (std::vector<uint64_t>{70}));
}

TEST(ReadIndex, LostHeartbeatsAreMadeUpForByTheNext) {
  LoneCore lone = Leading();
  lone.core().ReadIndex(70);
  lone.Settle();
  lone.Sent();
  lone.Tick(1);
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kHeartbeat);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].context, 1u);
  lone.Step(Confirmation(3, 1));
  lone.Settle();
  lone.Sent();
  lone.Tick(1);
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kHeartbeat)[0].context, 0u);  // no read is left
}

TEST(ReadIndex, WaitsForTheFirstCommitOfTheTerm) {
  LoneCore lone(kThree, {1, 1});
  lone.Lead();
  lone.core().ReadIndex(70);
  lone.Settle();
  EXPECT_TRUE(lone.Sent(MessageType::kHeartbeat).empty());
  lone.Step(AppendResponseFrom(2, 2, 3));
  lone.Settle();
  EXPECT_FALSE(lone.Sent(MessageType::kHeartbeat).empty());
  Message confirmation = Confirmation(2, 1);
  confirmation.term = Term(2);
  lone.Step(confirmation);
  lone.Settle();
  ASSERT_EQ(lone.reads().size(), 1u);
  EXPECT_EQ(lone.reads()[0].index, LogIndex(3));
}

TEST(ReadIndex, SingleVoterAnswersAtOnceButNotBeforeItsFirstCommit) {
  LoneCore lone({1}, {1, 1});
  lone.core().Campaign();
  lone.Take();
  lone.Written();  // elected; its first entry is not stored yet
  ASSERT_EQ(lone.core().role(), Role::kLeader);
  lone.core().ReadIndex(70);
  EXPECT_TRUE(lone.Take().read_states.empty());
  lone.Settle();
  ASSERT_EQ(lone.reads().size(), 1u);
  EXPECT_EQ(lone.reads()[0].index, LogIndex(3));
}

TEST(ReadIndex, LearnersDoNotConfirm) {
  CoreCluster cluster(3, 2);
  cluster.Elect(1);
  cluster.drop = [](const Message& m) { return m.from == ReplicaId(2) || m.from == ReplicaId(3); };
  cluster.core(1).ReadIndex(70);
  cluster.Settle();
  EXPECT_TRUE(cluster.replica(1).reads.empty());
  cluster.Heal();
  cluster.Tick(1, 1);
  cluster.Settle();
  EXPECT_EQ(cluster.replica(1).reads.size(), 1u);
}

TEST(ReadIndex, FollowerAsksTheLeader) {
  CoreCluster cluster(3, 1);
  cluster.Elect(1);
  for (const uint64_t id : {2, 4}) {
    cluster.core(id).ReadIndex(70 + id);
    cluster.Settle();
    ASSERT_EQ(cluster.replica(id).reads.size(), 1u);
    EXPECT_EQ(cluster.replica(id).reads[0].context, 70 + id);
    EXPECT_EQ(cluster.replica(id).reads[0].index, cluster.core(1).commit());
  }
}

TEST(ReadIndex, NobodyAnswersWithoutALeader) {
  CoreCluster cluster(3);
  cluster.core(1).ReadIndex(70);
  cluster.Settle();
  EXPECT_TRUE(cluster.replica(1).reads.empty());
}

// The leader that is cut off may not know yet that there is another one.
TEST(ReadIndex, LeaderThatWasReplacedDoesNotAnswer) {
  CoreCluster cluster(3);
  cluster.Elect(1);
  cluster.Cut(1);
  cluster.core(2).ForgetLeader();
  cluster.core(3).ForgetLeader();
  cluster.core(2).Campaign();
  cluster.Settle();
  ASSERT_EQ(cluster.core(2).role(), Role::kLeader);
  ASSERT_EQ(cluster.core(1).role(), Role::kLeader);
  cluster.Propose(2, "newer");
  cluster.core(1).ReadIndex(70);
  cluster.Settle();
  EXPECT_TRUE(cluster.replica(1).reads.empty());
  cluster.Heal();
  cluster.Tick(1, 1);
  cluster.Settle();
  EXPECT_TRUE(cluster.replica(1).reads.empty());
  EXPECT_EQ(cluster.core(1).role(), Role::kFollower);
}

TEST(ReadIndex, ConfirmationsOfAnEarlierTermDoNotCount) {
  LoneCore lone = Leading();
  lone.core().ReadIndex(70);
  lone.Settle();
  lone.Step(MessageFrom(2, 5, MessageType::kAppendResponse));  // steps down
  lone.Lead();
  ASSERT_EQ(lone.core().term(), Term(6));
  lone.Step(AppendResponseFrom(2, 6, 2));
  lone.core().ReadIndex(71);
  lone.Step(Confirmation(2, 1));
  lone.Step(Confirmation(3, 1));
  lone.Settle();
  EXPECT_TRUE(lone.reads().empty());
}

}  // namespace
}  // namespace holdfast::raft
