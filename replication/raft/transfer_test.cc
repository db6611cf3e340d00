// Handing leadership over.

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/core.h"
#include "replication/raft/testing/core_cluster.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

const std::vector<uint64_t> kThree{1, 2, 3};

TEST(Transfer, ReplicaThatHasEverythingIsToldToCampaignAtOnce) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.Step(AppendResponseFrom(2, 1, 1));
  lone.core().TransferLeadership(ReplicaId(2));
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kTimeoutNow);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, ReplicaId(2));
  EXPECT_EQ(lone.status().transferee, ReplicaId(2));
}

TEST(Transfer, OneThatLagsIsCaughtUpFirst) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.Step(AppendResponseFrom(2, 1, 1));
  lone.Propose("a");
  lone.core().TransferLeadership(ReplicaId(2));
  lone.Settle();
  EXPECT_TRUE(lone.Sent(MessageType::kTimeoutNow).empty());
  lone.Step(AppendResponseFrom(2, 1, 2));
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kTimeoutNow).size(), 1u);
}

TEST(Transfer, LeadershipMovesWithoutAnyTimePassing) {
  for (const bool pre_vote : {false, true}) {
    CoreCluster cluster(3, 0, [=](Core::Options* o) { o->pre_vote = pre_vote; });
    cluster.Elect(1);
    cluster.Propose(1, "a");
    cluster.Settle();
    cluster.core(1).TransferLeadership(ReplicaId(3));
    cluster.Settle();
    EXPECT_EQ(cluster.core(3).role(), Role::kLeader);
    EXPECT_EQ(cluster.core(1).role(), Role::kFollower);
    EXPECT_EQ(cluster.core(2).leader(), ReplicaId(3));
  }
}

TEST(Transfer, FollowerPassesTheWishOnToTheLeader) {
  CoreCluster cluster(3);
  cluster.Elect(1);
  cluster.core(2).TransferLeadership(ReplicaId(3));
  cluster.Settle();
  EXPECT_EQ(cluster.core(3).role(), Role::kLeader);
}

TEST(Transfer, NothingIsAcceptedMeanwhile) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.core().TransferLeadership(ReplicaId(2));
  EXPECT_EQ(lone.Propose("a"), ProposeResult::kTransferring);
  EXPECT_EQ(lone.core().ProposeConfigChange(OneStep(ConfigStep::Kind::kAddVoter, 4)),
            ProposeResult::kTransferring);
}

TEST(Transfer, IsGivenUpAfterAnElectionTimeout) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.Tick(5);
  lone.core().TransferLeadership(ReplicaId(2));
  lone.Tick(9);
  EXPECT_EQ(lone.status().transferee, ReplicaId(2));
  lone.Step(MessageFrom(2, 1, MessageType::kHeartbeatResponse));
  lone.Tick(1);
  EXPECT_EQ(lone.status().transferee, ReplicaId());
  EXPECT_EQ(lone.core().role(), Role::kLeader);
  EXPECT_EQ(lone.Propose("a"), ProposeResult::kOk);
}

TEST(Transfer, SecondWishReplacesTheFirstAndTheSameOneChangesNothing) {
  LoneCore lone(kThree);
  lone.Lead();
  for (const uint64_t id : {2, 3}) lone.Step(AppendResponseFrom(id, 1, 1));
  lone.core().TransferLeadership(ReplicaId(2));
  lone.core().TransferLeadership(ReplicaId(2));
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kTimeoutNow).size(), 1u);
  lone.core().TransferLeadership(ReplicaId(3));
  EXPECT_EQ(lone.status().transferee, ReplicaId(3));
}

TEST(Transfer, ToItselfToALearnerOrToNobodyIsIgnored) {
  LoneCore lone(kThree, {}, [](Core::Options* o) { o->configuration.learners = {ReplicaId(4)}; });
  lone.Lead();
  for (const uint64_t to : {1, 4, 9}) {
    lone.core().TransferLeadership(ReplicaId(to));
    EXPECT_EQ(lone.status().transferee, ReplicaId()) << to;
  }
}

TEST(Transfer, EndsWhenTheTransfereeIsRemoved) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.core().TransferLeadership(ReplicaId(3));
  lone.core().ApplyConfigChange(OneStep(ConfigStep::Kind::kRemove, 3));
  EXPECT_EQ(lone.status().transferee, ReplicaId());
}

TEST(Transfer, EndsWhenTheTransfereeCannotBeReachedOrTheCallerHasWaitedEnough) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.core().TransferLeadership(ReplicaId(3));
  lone.core().ReportUnreachable(ReplicaId(2));
  EXPECT_EQ(lone.core().transferee(), ReplicaId(3)) << "another one";
  lone.core().ReportUnreachable(ReplicaId(3));
  EXPECT_EQ(lone.core().transferee(), ReplicaId());
  EXPECT_EQ(lone.Propose("a"), ProposeResult::kOk);
  lone.core().TransferLeadership(ReplicaId(3));
  EXPECT_EQ(lone.Propose("b"), ProposeResult::kTransferring);
  lone.core().GiveUpTransfer();
  EXPECT_EQ(lone.Propose("b"), ProposeResult::kOk);
}

TEST(Transfer, EndsWithTheTerm) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.core().TransferLeadership(ReplicaId(2));
  lone.Step(MessageFrom(3, 5, MessageType::kAppend));
  EXPECT_EQ(lone.status().transferee, ReplicaId());
}

TEST(Transfer, LateOrderToCampaignIsIgnoredByACandidate) {
  LoneCore lone(kThree, {1});
  lone.core().Campaign();
  const Term term = lone.core().term();
  lone.Step(MessageFrom(2, term.value(), MessageType::kTimeoutNow));
  EXPECT_EQ(lone.core().term(), term);
}

}  // namespace
}  // namespace holdfast::raft
