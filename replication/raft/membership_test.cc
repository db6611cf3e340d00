// Changes of members: when they take effect, who decides meanwhile, and who steps down.

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/configuration.h"
#include "replication/raft/core.h"
#include "replication/raft/testing/core_cluster.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

using Kind = ConfigStep::Kind;

ConfigChange Steps(const std::vector<std::pair<Kind, uint64_t>>& steps,
                   ConfigChange::Transition transition = ConfigChange::Transition::kAuto) {
  ConfigChange change;
  change.transition = transition;
  for (const auto& [kind, id] : steps) {
    change.steps.push_back({.kind = kind, .replica = ReplicaId(id)});
  }
  return change;
}

std::vector<uint64_t> Values(const std::vector<ReplicaId>& ids) {
  std::vector<uint64_t> values;
  for (const ReplicaId id : ids) values.push_back(id.value());
  return values;
}

TEST(Membership, ChangeTakesEffectWhenItIsAppliedEverywhere) {
  CoreCluster cluster(2);
  cluster.Elect(1);
  cluster.Add(3);
  EXPECT_EQ(cluster.core(1).ProposeConfigChange(OneStep(Kind::kAddVoter, 3)), ProposeResult::kOk);
  EXPECT_EQ(Values(cluster.core(1).configuration().voters), (std::vector<uint64_t>{1, 2}));
  cluster.Settle();
  cluster.Tick(1, 1);
  cluster.Settle();
  for (const uint64_t id : {1, 2, 3}) {
    EXPECT_EQ(Values(cluster.core(id).configuration().voters), (std::vector<uint64_t>{1, 2, 3}));
  }
  cluster.Propose(1, "a");
  cluster.Settle();
  cluster.Tick(1, 1);
  cluster.Settle();
  EXPECT_EQ(cluster.replica(3).applied, (std::vector<std::string>{"a"}));
}

TEST(Membership, OneChangeAtATime) {
  LoneCore lone({1, 2, 3});
  lone.Lead();
  EXPECT_EQ(lone.core().ProposeConfigChange(OneStep(Kind::kAddVoter, 4)), ProposeResult::kOk);
  EntryId where;
  EXPECT_EQ(lone.core().ProposeConfigChange(OneStep(Kind::kAddVoter, 5), &where),
            ProposeResult::kConfigPending);
  lone.Settle();
  EXPECT_EQ(lone.log().At(where.index).type, EntryType::kNoOp);  // in its place
  lone.Step(AppendResponseFrom(2, 1, 3));
  lone.Settle();
  EXPECT_EQ(lone.core().ProposeConfigChange(OneStep(Kind::kAddVoter, 5)), ProposeResult::kOk);
}

TEST(Membership, NewLeaderWaitsUntilAChangeOfEarlierTermsThatMayBeInItsLogIsApplied) {
  LoneCore lone({1, 2, 3}, {1});
  lone.Step(AppendFrom(2, 1, At(1, 1), {ConfigEntry(1, 2, OneStep(Kind::kAddVoter, 4))}, 1));
  lone.Settle();
  lone.Lead();
  EXPECT_EQ(lone.core().ProposeConfigChange(OneStep(Kind::kRemove, 2)),
            ProposeResult::kConfigPending);
  lone.Settle();
  lone.Step(AppendResponseFrom(2, 2, 4));
  lone.Settle();
  EXPECT_EQ(Values(lone.core().configuration().voters), (std::vector<uint64_t>{1, 2, 3, 4}));
  EXPECT_EQ(lone.core().ProposeConfigChange(OneStep(Kind::kRemove, 2)), ProposeResult::kOk);
}

TEST(Membership, ChangeThatDoesNotFitIsNotLogged) {
  LoneCore lone({1});
  lone.core().Campaign();
  lone.Settle();
  for (const ConfigChange& change : {ConfigChange(), OneStep(Kind::kRemove, 1)}) {
    EXPECT_EQ(lone.core().ProposeConfigChange(change), ProposeResult::kConfigPending);
  }
  EXPECT_EQ(lone.core().Propose(EntryType::kConfiguration,
                                std::make_shared<const std::string>("what is this")),
            ProposeResult::kConfigPending);
  lone.Settle();
  EXPECT_EQ(Values(lone.core().configuration().voters), (std::vector<uint64_t>{1}));
}

TEST(Membership, ChangeThatDoesNotFitWhenItIsAppliedChangesNothing) {
  LoneCore lone({1, 2});
  const Configuration before = lone.core().configuration();
  EXPECT_EQ(lone.core().ApplyConfigChange(ConfigChange()), before);
  EXPECT_EQ(lone.core().configuration(), before);
}

TEST(Membership, LearnerGetsEverythingAndDecidesNothing) {
  CoreCluster cluster(2, 1);
  cluster.Elect(1);
  cluster.drop = [](const Message& m) { return m.to == ReplicaId(2) || m.from == ReplicaId(2); };
  const LogIndex commit = cluster.core(1).commit();
  cluster.Propose(1, "a");
  cluster.Settle();
  EXPECT_EQ(cluster.core(3).last_index(), cluster.core(1).last_index());
  EXPECT_EQ(cluster.core(1).commit(), commit);
}

TEST(Membership, LearnerIsPromotedAndThenCampaigns) {
  CoreCluster cluster(1, 1);
  cluster.Elect(1);
  cluster.Tick(2, 100);
  EXPECT_EQ(cluster.core(2).role(), Role::kFollower);
  EXPECT_EQ(cluster.core(1).ProposeConfigChange(OneStep(Kind::kAddVoter, 2)), ProposeResult::kOk);
  cluster.Settle();
  cluster.Tick(1, 1);
  cluster.Settle();
  EXPECT_TRUE(cluster.core(2).configuration().learners.empty());
  cluster.core(1).TransferLeadership(ReplicaId(2));
  cluster.Settle();
  EXPECT_EQ(cluster.core(1).leader(), ReplicaId(2));
}

TEST(Membership, LeaderThatIsRemovedStepsDownWhenThatIsApplied) {
  for (const bool learns : {false, true}) {
    CoreCluster cluster(3);
    cluster.Elect(1);
    const ConfigChange change = OneStep(learns ? Kind::kAddLearner : Kind::kRemove, 1);
    EXPECT_EQ(cluster.core(1).ProposeConfigChange(change), ProposeResult::kOk);
    EXPECT_EQ(cluster.core(1).role(), Role::kLeader);
    cluster.Settle();
    EXPECT_EQ(cluster.core(1).role(), Role::kFollower);
    cluster.Tick(1, 100);
    cluster.Settle();
    EXPECT_EQ(cluster.core(1).role(), Role::kFollower);
    cluster.Elect(2);
  }
}

TEST(Membership, LeaderThatIsRemovedMayBeKept) {
  CoreCluster cluster(3, 0, [](Core::Options* o) { o->step_down_on_removal = false; });
  cluster.Elect(1);
  cluster.core(1).ProposeConfigChange(OneStep(Kind::kRemove, 1));
  cluster.Settle();
  EXPECT_EQ(cluster.core(1).role(), Role::kLeader);
  EXPECT_EQ(cluster.Propose(1, "a"), ProposeResult::kRemoved);
}

TEST(Membership, RemovalMayCommitWhatWaitedForTheRemoved) {
  LoneCore lone({1, 2});
  lone.Lead();
  lone.Step(AppendResponseFrom(2, 1, 1));
  lone.core().ProposeConfigChange(OneStep(Kind::kRemove, 2));
  lone.Propose("a");
  lone.Settle();
  lone.Step(AppendResponseFrom(2, 1, 2));
  EXPECT_EQ(lone.core().commit(), LogIndex(2));
  lone.Settle();
  EXPECT_EQ(lone.core().commit(), LogIndex(3));
  EXPECT_EQ(lone.applied().back().index, LogIndex(3));
}

TEST(Membership, ThoseWhoLeaveAreNotListenedTo) {
  LoneCore lone({1, 2, 3});
  lone.Lead();
  lone.core().ApplyConfigChange(OneStep(Kind::kRemove, 3));
  lone.Step(AppendResponseFrom(3, 1, 1));
  lone.Step(MessageFrom(3, 9, MessageType::kVoteResponse));
  EXPECT_EQ(lone.core().term(), Term(1));
  EXPECT_EQ(lone.core().commit(), LogIndex(0));
}

TEST(Membership, JointConfigurationNeedsBothHalves) {
  // From 1 2 3 to 1 4 5; what the new half has alone is not committed, nor what the old has.
  for (const auto& [stored, commits] : std::vector<std::pair<std::vector<uint64_t>, bool>>{
           {{2}, false}, {{4}, false}, {{2, 3}, false}, {{4, 5}, false}, {{2, 4}, true}}) {
    LoneCore lone({1, 2, 3});
    lone.Lead();
    lone.core().ApplyConfigChange(Steps(
        {{Kind::kAddVoter, 4}, {Kind::kAddVoter, 5}, {Kind::kRemove, 2}, {Kind::kRemove, 3}}));
    for (const uint64_t id : stored) lone.Step(AppendResponseFrom(id, 1, 1));
    EXPECT_EQ(lone.core().commit(), LogIndex(commits ? 1 : 0));
  }
}

TEST(Membership, JointElectionNeedsBothHalves) {
  for (const auto& [votes, wins] : std::vector<std::pair<std::vector<uint64_t>, bool>>{
           {{4, 5}, false}, {{2, 3}, false}, {{2, 4}, true}}) {
    LoneCore lone({1, 4, 5}, {1}, [](Core::Options* o) {
      o->configuration.voters_outgoing = VotersOnly({1, 2, 3}).voters;
    });
    lone.core().Campaign();
    lone.Settle();
    for (const uint64_t id : votes) lone.Step(VoteResponseFrom(id, 2));
    EXPECT_EQ(lone.core().role() == Role::kLeader, wins);
  }
}

TEST(Membership, JointConfigurationIsLeftByItself) {
  CoreCluster cluster(3);
  cluster.Elect(1);
  cluster.Add(4);
  cluster.Add(5);
  const ConfigChange change = Steps(
      {{Kind::kAddVoter, 4}, {Kind::kAddVoter, 5}, {Kind::kRemove, 2}, {Kind::kAddLearner, 3}});
  EXPECT_EQ(cluster.core(1).ProposeConfigChange(change), ProposeResult::kOk);
  for (int i = 0; i < 3; ++i) {
    cluster.Settle();
    cluster.Tick(1, 1);
  }
  cluster.Settle();
  for (const uint64_t id : {1, 3, 4, 5}) {
    const Configuration& configuration = cluster.core(id).configuration();
    EXPECT_EQ(Values(configuration.voters), (std::vector<uint64_t>{1, 4, 5})) << id;
    EXPECT_EQ(Values(configuration.learners), (std::vector<uint64_t>{3})) << id;
    EXPECT_TRUE(configuration.voters_outgoing.empty()) << id;
  }
}

TEST(Membership, ExplicitJointConfigurationIsLeftWhenAskedFor) {
  CoreCluster cluster(3);
  cluster.Elect(1);
  cluster.core(1).ProposeConfigChange(
      Steps({{Kind::kRemove, 3}}, ConfigChange::Transition::kExplicit));
  cluster.Settle();
  EXPECT_EQ(Values(cluster.core(1).configuration().voters_outgoing),
            (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(cluster.core(1).ProposeConfigChange(OneStep(Kind::kRemove, 2)),
            ProposeResult::kConfigPending);  // only to be left
  EXPECT_EQ(cluster.core(1).ProposeConfigChange({}), ProposeResult::kOk);
  cluster.Settle();
  EXPECT_TRUE(cluster.core(1).configuration().voters_outgoing.empty());
}

TEST(Membership, NextLeaderLeavesAJointConfigurationThatItsPredecessorDidNot) {
  CoreCluster cluster(3);
  cluster.Elect(1);
  cluster.Add(4);
  cluster.core(1).ProposeConfigChange(
      Steps({{Kind::kAddVoter, 4}}, ConfigChange::Transition::kImplicit));
  // The change itself gets through; the entry that would leave does not.
  cluster.drop = [](const Message& m) {
    if (m.type != MessageType::kAppend) return false;
    for (const Entry& entry : m.entries) {
      if (entry.type == EntryType::kConfiguration && entry.data == nullptr) return true;
    }
    return false;
  };
  cluster.Settle();
  cluster.Tick(1, 1);
  cluster.Settle();
  ASSERT_FALSE(cluster.core(2).configuration().voters_outgoing.empty());
  cluster.Cut(1);
  cluster.Elect(2);
  cluster.Settle();
  EXPECT_TRUE(cluster.core(2).configuration().voters_outgoing.empty());
}

// The leader that is removed was cut off when it learned that its removal is committed, with more
// entries in its log than the others have. They need its vote by the configuration that they have
// applied, and their logs are not up to date enough for it. It can't campaign itself.
TEST(Membership, ReplicaThatWasRemovedDoesNotKeepTheOthersFromElectingALeader) {
  for (const bool pre_vote : {false, true}) {
    CoreCluster cluster(2, 0, [=](Core::Options* o) { o->pre_vote = pre_vote; });
    cluster.Elect(1);
    cluster.core(1).ProposeConfigChange(OneStep(Kind::kRemove, 1));
    cluster.Work(1);
    cluster.Propose(1, "a");
    // Replica 2 stores the change; nothing else reaches it.
    cluster.drop = [](const Message& m) {
      return m.to == ReplicaId(2) && (m.commit > LogIndex(1) || m.index > LogIndex(1));
    };
    cluster.Settle();
    ASSERT_EQ(cluster.core(1).role(), Role::kFollower);
    ASSERT_EQ(cluster.core(1).last_index(), LogIndex(3));
    ASSERT_EQ(cluster.core(2).last_index(), LogIndex(2));
    ASSERT_EQ(Values(cluster.core(2).configuration().voters), (std::vector<uint64_t>{1, 2}));
    cluster.Heal();
    for (int i = 0; i < 5; ++i) {
      cluster.Tick(1, 20);
      cluster.Tick(2, 20);
      cluster.Settle();
    }
    EXPECT_EQ(cluster.core(2).role(), Role::kLeader);
    EXPECT_EQ(Values(cluster.core(2).configuration().voters), (std::vector<uint64_t>{2}));
  }
}

TEST(Membership, CommitThatARemovedReplicaTellsCountsOnlyForTheSameEntry) {
  struct Case {
    EntryId told;
    uint64_t commit;
  };
  for (const Case& c : {Case{At(1, 2), 2}, Case{At(2, 3), 3}, Case{At(1, 3), 0}, Case{At(3, 9), 0},
                        Case{At(0, 0), 0}}) {
    LoneCore lone({1, 2, 3}, {1, 1, 2});
    lone.core().Campaign();
    lone.Settle();
    Message refusal = VoteResponseFrom(2, lone.core().term().value());
    refusal.reject = true;
    refusal.log_term = c.told.term;
    refusal.commit = c.told.index;
    lone.Step(refusal);
    EXPECT_EQ(lone.core().commit(), LogIndex(c.commit));
  }
}

// It once won by votes that were under way, and led for good as no member: it refused all that was
// proposed, and its heartbeats kept the others from electing one of them.
TEST(Membership, CandidateThatLearnsOfItsRemovalIsElectedNoMore) {
  for (const Kind kind : {Kind::kRemove, Kind::kAddLearner}) {
    LoneCore lone({1, 2, 3, 4, 5}, {1});
    lone.Step(AppendFrom(2, 1, At(1, 1), {ConfigEntry(1, 2, OneStep(kind, 1))}, 1));
    lone.Settle();
    lone.core().Campaign();
    lone.Settle();
    ASSERT_EQ(lone.core().role(), Role::kCandidate);
    const uint64_t term = lone.core().term().value();
    Message refusal = VoteResponseFrom(2, term);
    refusal.reject = true;
    refusal.log_term = Term(1);
    refusal.commit = LogIndex(2);
    lone.Step(refusal);
    lone.Settle();
    EXPECT_EQ(lone.core().role(), Role::kFollower);
    for (const uint64_t id : {3, 4, 5}) lone.Step(VoteResponseFrom(id, term));
    lone.Settle();
    EXPECT_EQ(lone.core().role(), Role::kFollower);
  }
}

TEST(Membership, TransferThatFailedDoesNotKeepTheConfigurationJoint) {
  LoneCore lone({1, 2, 3});
  lone.Lead();
  for (const uint64_t id : {2, 3}) lone.Step(AppendResponseFrom(id, 1, 1));
  lone.core().ProposeConfigChange(Steps({{Kind::kRemove, 3}}, ConfigChange::Transition::kImplicit));
  lone.core().TransferLeadership(ReplicaId(2));
  for (const uint64_t id : {2, 3}) lone.Step(AppendResponseFrom(id, 1, 2));
  lone.Settle();
  EXPECT_EQ(lone.core().last_index(), LogIndex(2));  // nothing is proposed during the transfer
  lone.Step(MessageFrom(2, 1, MessageType::kHeartbeatResponse));
  lone.Step(MessageFrom(3, 1, MessageType::kHeartbeatResponse));
  lone.Tick(10);
  EXPECT_EQ(lone.core().last_index(), LogIndex(3));
}

TEST(Membership, ConfigurationOfATruncatedEntryIsNeverInEffect) {
  LoneCore lone({1, 2, 3}, {1});
  lone.Step(AppendFrom(2, 1, At(1, 1), {ConfigEntry(1, 2, OneStep(Kind::kAddVoter, 4))}, 1));
  lone.Settle();
  EXPECT_EQ(Values(lone.core().configuration().voters), (std::vector<uint64_t>{1, 2, 3}));
  lone.Step(AppendFrom(3, 2, At(1, 1), EntriesOf(2, {2}), 2));
  lone.Settle();
  EXPECT_EQ(Values(lone.core().configuration().voters), (std::vector<uint64_t>{1, 2, 3}));
  EXPECT_EQ(lone.core().commit(), LogIndex(2));
}

TEST(Membership, NewMemberIsNotTakenForOneThatIsCutOff) {
  LoneCore lone({1});
  lone.core().Campaign();
  lone.Settle();
  lone.Tick(9);
  lone.core().ProposeConfigChange(OneStep(Kind::kAddVoter, 2));
  lone.Settle();
  lone.Tick(1);
  EXPECT_EQ(lone.core().role(), Role::kLeader);
  lone.Tick(10);
  EXPECT_EQ(lone.core().role(), Role::kFollower);
}

}  // namespace
}  // namespace holdfast::raft
