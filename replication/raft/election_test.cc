// Who leads: votes, terms, pre-votes, the quorum's check, and what keeps candidates quiet.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/core.h"
#include "replication/raft/testing/core_cluster.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

const std::vector<uint64_t> kThree{1, 2, 3};

Message PreVoteFrom(uint64_t from, uint64_t term, EntryId last) {
  Message message = VoteRequestFrom(from, term, last);
  message.type = MessageType::kPreVote;
  return message;
}

TEST(Election, FollowerThatHearsNothingCampaigns) {
  LoneCore lone(kThree);
  lone.core().SetRandomizedElectionTicks(13);
  lone.Tick(12);
  EXPECT_EQ(lone.core().role(), Role::kFollower);
  lone.Tick(1);
  EXPECT_EQ(lone.core().role(), Role::kCandidate);
  EXPECT_EQ(lone.core().term(), Term(1));
}

TEST(Election, TimeoutsAreSpreadOverOneToTwoTimesTheElectionTicks) {
  std::set<int> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    LoneCore lone(kThree, {}, [seed](Core::Options* o) { o->seed = seed; });
    int ticks = 0;
    while (lone.core().role() == Role::kFollower) {
      lone.Tick(1);
      ++ticks;
    }
    seen.insert(ticks);
  }
  EXPECT_EQ(seen, (std::set<int>{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}));
}

TEST(Election, LeaderHeardOfStartsTheTimeoutAnew) {
  LoneCore lone(kThree, {1});
  lone.core().SetRandomizedElectionTicks(10);
  for (int i = 0; i < 5; ++i) {
    lone.Tick(9);
    lone.Step(MessageFrom(2, 1, MessageType::kHeartbeat));
  }
  EXPECT_EQ(lone.core().role(), Role::kFollower);
  EXPECT_EQ(lone.core().leader(), ReplicaId(2));
}

TEST(Election, WonByAMajorityLostByAMajority) {
  struct Case {
    std::vector<uint64_t> voters;
    int granted;
    int refused;
    Role role;
  };
  const std::vector<Case> cases{
      {{1}, 0, 0, Role::kLeader},
      {{1, 2, 3}, 0, 0, Role::kCandidate},
      {{1, 2, 3}, 1, 0, Role::kLeader},
      {{1, 2, 3}, 0, 1, Role::kCandidate},
      {{1, 2, 3}, 0, 2, Role::kFollower},
      {{1, 2, 3, 4}, 1, 0, Role::kCandidate},
      {{1, 2, 3, 4}, 2, 0, Role::kLeader},
      {{1, 2, 3, 4}, 1, 2, Role::kFollower},
      {{1, 2, 3, 4, 5}, 2, 2, Role::kLeader},
      {{1, 2, 3, 4, 5}, 1, 3, Role::kFollower},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    LoneCore lone(cases[i].voters);
    lone.core().Campaign();
    lone.Settle();
    uint64_t from = 2;
    for (int n = 0; n < cases[i].granted; ++n) lone.Step(VoteResponseFrom(from++, 1));
    for (int n = 0; n < cases[i].refused; ++n) {
      Message refusal = VoteResponseFrom(from++, 1);
      refusal.reject = true;
      lone.Step(refusal);
    }
    EXPECT_EQ(lone.core().role(), cases[i].role) << i;
    EXPECT_EQ(lone.core().term(), Term(1)) << i;
  }
}

TEST(Election, VoteOfOnePeerCountsOnce) {
  LoneCore lone({1, 2, 3, 4, 5});
  lone.core().Campaign();
  lone.Settle();
  for (int i = 0; i < 3; ++i) lone.Step(VoteResponseFrom(2, 1));
  EXPECT_EQ(lone.core().role(), Role::kCandidate);
}

TEST(Election, OwnVoteCountsOnlyWhenItIsDurable) {
  LoneCore lone(kThree);
  lone.core().Campaign();
  lone.Take();
  lone.Step(VoteResponseFrom(2, 1));
  EXPECT_EQ(lone.core().role(), Role::kCandidate);
  lone.Written();
  EXPECT_EQ(lone.core().role(), Role::kLeader);
}

TEST(Election, OneVoteATermForWhoAsksFirst) {
  LoneCore lone(kThree);
  lone.Step(VoteRequestFrom(2, 1, At(0, 0)));
  lone.Step(VoteRequestFrom(3, 1, At(0, 0)));
  lone.Step(VoteRequestFrom(2, 1, At(0, 0)));  // asked again: the same answer
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kVoteResponse);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_FALSE(sent[0].reject);
  EXPECT_TRUE(sent[1].reject);
  EXPECT_FALSE(sent[2].reject);
}

TEST(Election, TransferIsNoReasonForASecondVoteInATerm) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.Step(AppendResponseFrom(2, 1, 1));
  lone.core().TransferLeadership(ReplicaId(2));
  lone.Step(VoteRequestFrom(3, 2, At(1, 1)));  // not listened to: it leads
  EXPECT_EQ(lone.core().term(), Term(1));
  Message asked_to = VoteRequestFrom(3, 2, At(1, 1));
  asked_to.transfer = true;
  lone.Step(asked_to);
  asked_to.from = ReplicaId(2);
  lone.Step(asked_to);
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kVoteResponse);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_FALSE(sent[0].reject);
  EXPECT_TRUE(sent[1].reject);
}

TEST(Election, VoteSurvivesARestart) {
  for (const uint64_t asker : {2, 3}) {
    LoneCore lone(kThree, {}, [](Core::Options* o) {
      o->hard_state = {.term = Term(4), .vote = ReplicaId(2), .commit = LogIndex()};
    });
    lone.Step(VoteRequestFrom(asker, 4, At(0, 0)));
    lone.Settle();
    const std::vector<Message> sent = lone.Sent(MessageType::kVoteResponse);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].reject, asker == 3);
  }
}

TEST(Election, VotesLeaveOnlyWhenTheyAreDurable) {
  LoneCore lone(kThree);
  lone.Step(VoteRequestFrom(2, 1, At(0, 0)));
  const Ready& ready = lone.Take();
  EXPECT_TRUE(ready.messages.empty());
  EXPECT_TRUE(ready.must_sync);
  EXPECT_EQ(ready.hard_state, (HardState{Term(1), ReplicaId(2), LogIndex()}));
  ASSERT_EQ(ready.messages_after_write.size(), 1u);
  EXPECT_EQ(ready.messages_after_write[0].type, MessageType::kVoteResponse);
}

TEST(Election, OnlyALogThatIsUpToDateGetsAVote) {
  struct Case {
    EntryId candidate;
    bool granted;
  };
  // The own log ends at (2, 3).
  for (const Case& c : {Case{At(0, 0), false}, Case{At(1, 9), false}, Case{At(2, 2), false},
                        Case{At(2, 3), true}, Case{At(2, 4), true}, Case{At(3, 1), true}}) {
    for (const bool pre : {false, true}) {
      LoneCore lone(kThree, {1, 2, 2});
      lone.Step(pre ? PreVoteFrom(2, 5, c.candidate) : VoteRequestFrom(2, 5, c.candidate));
      lone.Settle();
      const std::vector<Message> sent = lone.Sent();
      ASSERT_EQ(sent.size(), 1u);
      EXPECT_EQ(sent[0].reject, !c.granted) << c.candidate.index.value();
    }
  }
}

TEST(Election, WhatIsNotDurableYetCountsForWhoIsUpToDate) {
  LoneCore lone(kThree, {1});
  lone.Step(AppendFrom(2, 1, At(1, 1), EntriesOf(2, {1, 1}), 0));
  lone.Tick(20);
  lone.Step(VoteRequestFrom(3, 9, At(1, 2)));
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kVoteResponse);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(sent[0].reject);
}

TEST(Election, HigherTermMakesAnyoneAFollower) {
  for (const MessageType type : {MessageType::kAppend, MessageType::kHeartbeat,
                                 MessageType::kAppendResponse, MessageType::kVoteResponse}) {
    LoneCore lone(kThree);
    lone.Lead();
    lone.Step(MessageFrom(2, 7, type));
    EXPECT_EQ(lone.core().role(), Role::kFollower);
    EXPECT_EQ(lone.core().term(), Term(7));
    const bool of_leader = type == MessageType::kAppend || type == MessageType::kHeartbeat;
    EXPECT_EQ(lone.core().leader(), of_leader ? ReplicaId(2) : ReplicaId());
  }
}

TEST(Election, CandidateThatHearsOfALeaderOfItsTermFollows) {
  LoneCore lone(kThree);
  lone.core().Campaign();
  lone.Step(AppendFrom(2, 1, At(0, 0), EntriesOf(1, {1}), 0));
  EXPECT_EQ(lone.core().role(), Role::kFollower);
  EXPECT_EQ(lone.core().leader(), ReplicaId(2));
}

TEST(Election, MessagesOfAnEarlierTermAreIgnoredOrToldTheTerm) {
  LoneCore lone(kThree, {1, 5});
  lone.Step(VoteRequestFrom(2, 3, At(5, 9)));
  lone.Step(VoteResponseFrom(2, 3));
  lone.Settle();
  EXPECT_TRUE(lone.Sent().empty());
  lone.Step(AppendFrom(2, 3, At(1, 1), EntriesOf(2, {3}), 2));
  lone.Settle();
  const std::vector<Message> sent = lone.Sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].type, MessageType::kAppendResponse);
  EXPECT_EQ(sent[0].term, Term(5));
  EXPECT_EQ(lone.core().last_index(), LogIndex(2));
}

TEST(Election, PreVoteChangesNeitherTermNorVote) {
  LoneCore lone(kThree, {1}, [](Core::Options* o) { o->pre_vote = true; });
  lone.core().Campaign();
  EXPECT_EQ(lone.core().role(), Role::kPreCandidate);
  EXPECT_EQ(lone.core().term(), Term(1));
  lone.Settle();
  for (const Message& message : lone.Sent()) {
    EXPECT_EQ(message.type, MessageType::kPreVote);
    EXPECT_EQ(message.term, Term(2));
  }
  EXPECT_EQ(lone.status().hard_state.vote, ReplicaId());
  Message granted = MessageFrom(2, 2, MessageType::kPreVoteResponse);
  lone.Step(granted);
  EXPECT_EQ(lone.core().role(), Role::kCandidate);
  EXPECT_EQ(lone.core().term(), Term(2));
}

TEST(Election, GrantingAPreVoteBindsNobody) {
  LoneCore lone(kThree);
  lone.Step(PreVoteFrom(2, 1, At(0, 0)));
  lone.Step(PreVoteFrom(3, 1, At(0, 0)));
  lone.Settle();
  for (const Message& message : lone.Sent(MessageType::kPreVoteResponse)) {
    EXPECT_FALSE(message.reject);
    EXPECT_EQ(message.term, Term(1));
  }
  EXPECT_EQ(lone.core().term(), Term());
}

TEST(Election, RefusedPreVoteTellsTheTerm) {
  LoneCore lone(kThree, {1, 5}, [](Core::Options* o) { o->pre_vote = true; });
  lone.Step(PreVoteFrom(2, 3, At(1, 1)));
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kPreVoteResponse);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(sent[0].reject);
  EXPECT_EQ(sent[0].term, Term(5));
}

TEST(Election, ReplicaThatWasCutOffDoesNotDisturbWithPreVote) {
  CoreCluster cluster(3);
  cluster.Elect(1);
  cluster.Cut(3);
  cluster.Tick(3, 100);
  cluster.Settle();
  const Term term = cluster.core(1).term();
  EXPECT_EQ(cluster.core(3).term(), term);
  cluster.Heal();
  cluster.Tick(3, 20);
  cluster.Settle();
  cluster.Tick(1, 1);
  cluster.Settle();
  EXPECT_EQ(cluster.core(1).role(), Role::kLeader);
  EXPECT_EQ(cluster.core(1).term(), term);
  EXPECT_EQ(cluster.core(3).leader(), ReplicaId(1));
}

TEST(Election, ReplicaThatGotAheadWithoutPreVoteIsNotStuckForEver) {
  CoreCluster cluster(3, 0, [](Core::Options* o) { o->pre_vote = false; });
  cluster.Elect(1);
  cluster.Cut(3);
  cluster.Tick(3, 100);
  cluster.Settle();
  const Term ahead = cluster.core(3).term();
  ASSERT_GT(ahead, cluster.core(1).term());
  cluster.Heal();
  cluster.Tick(1, 1);  // its heartbeat is answered with the term
  cluster.Settle();
  EXPECT_GE(cluster.core(1).term(), ahead);
  cluster.core(1).Campaign();
  cluster.Settle();
  EXPECT_EQ(cluster.core(3).term(), cluster.core(1).term());
  EXPECT_EQ(cluster.core(1).role(), Role::kLeader);
}

TEST(Election, LeaderThatHearsOfNoMajorityStepsDown) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.Tick(9);
  lone.Step(MessageFrom(2, 1, MessageType::kHeartbeatResponse));
  lone.Tick(1);
  EXPECT_EQ(lone.core().role(), Role::kLeader);
  lone.Tick(10);
  EXPECT_EQ(lone.core().role(), Role::kFollower);
  EXPECT_EQ(lone.core().leader(), ReplicaId());
  EXPECT_EQ(lone.core().term(), Term(1));
}

TEST(Election, WithoutTheCheckALeaderStays) {
  LoneCore lone(kThree, {}, [](Core::Options* o) { o->check_quorum = false; });
  lone.Lead();
  lone.Tick(100);
  EXPECT_EQ(lone.core().role(), Role::kLeader);
}

TEST(Election, CandidatesAreNotListenedToOnlyAsLongAsTheLeaderIsHeardOf) {
  struct Case {
    int ticks;
    bool listens;
  };
  for (const Case& c : {Case{0, false}, Case{9, false}, Case{10, true}, Case{50, true}}) {
    LoneCore lone(kThree, {1});
    lone.core().SetRandomizedElectionTicks(1000);
    lone.Step(AppendFrom(2, 1, At(1, 1), {}, 0));
    lone.core().SetRandomizedElectionTicks(1000);
    lone.Settle();
    lone.Sent();
    lone.Tick(c.ticks);
    lone.Step(VoteRequestFrom(3, 2, At(1, 1)));
    lone.Settle();
    EXPECT_EQ(lone.Sent(MessageType::kVoteResponse).size(), c.listens ? 1u : 0u) << c.ticks;
    EXPECT_EQ(lone.core().term(), Term(c.listens ? 2 : 1)) << c.ticks;
  }
}

TEST(Election, ForgottenLeaderIsNoReasonNotToListen) {
  LoneCore lone(kThree, {1});
  lone.Step(AppendFrom(2, 1, At(1, 1), {}, 0));
  lone.core().ForgetLeader();
  EXPECT_EQ(lone.core().leader(), ReplicaId());
  lone.Step(PreVoteFrom(3, 2, At(1, 1)));
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kPreVoteResponse).size(), 1u);
}

TEST(Election, LeaderDoesNotForgetItself) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.core().ForgetLeader();
  EXPECT_EQ(lone.core().leader(), ReplicaId(1));
}

TEST(Election, WhoIsNoVoterDoesNotCampaign) {
  for (const bool learner : {false, true}) {
    LoneCore lone({2, 3}, {1}, [learner](Core::Options* o) {
      if (learner) o->configuration.learners = {ReplicaId(1)};
    });
    lone.core().Campaign();
    lone.Tick(100);
    EXPECT_EQ(lone.core().role(), Role::kFollower);
    lone.Step(MessageFrom(2, 1, MessageType::kTimeoutNow));
    EXPECT_EQ(lone.core().role(), Role::kFollower);
  }
}

TEST(Election, LearnerVotesIfItIsAsked) {
  // It may be a voter by a change that it has not heard of.
  LoneCore lone({2, 3}, {1}, [](Core::Options* o) { o->configuration.learners = {ReplicaId(1)}; });
  lone.Step(VoteRequestFrom(2, 2, At(1, 1)));
  lone.Settle();
  ASSERT_EQ(lone.Sent(MessageType::kVoteResponse).size(), 1u);
}

TEST(Election, NobodyCampaignsWithACommittedConfigurationThatIsNotApplied) {
  LoneCore lone(kThree, {1});
  const ConfigChange change = OneStep(ConfigStep::Kind::kAddVoter, 4);
  lone.Step(AppendFrom(2, 1, At(1, 1), {ConfigEntry(1, 2, change)}, 2));
  lone.Take();
  lone.Written();
  lone.Take();
  lone.core().Campaign();
  EXPECT_EQ(lone.core().role(), Role::kFollower);
  lone.Apply();
  lone.core().Campaign();
  EXPECT_EQ(lone.core().role(), Role::kCandidate);
}

TEST(Election, NobodyCampaignsBeforeASnapshotIsInstalled) {
  LoneCore lone(kThree, {1});
  Message message = MessageFrom(2, 1, MessageType::kSnapshot);
  message.snapshot = std::make_shared<const SnapshotDescriptor>(SnapshotDescriptor{
      .index = LogIndex(5), .term = Term(1), .configuration = VotersOnly(kThree), .source = ""});
  lone.Step(message);
  lone.core().Campaign();
  EXPECT_EQ(lone.core().role(), Role::kFollower);
  lone.Settle();
  lone.core().Campaign();
  EXPECT_EQ(lone.core().role(), Role::kCandidate);
}

TEST(Election, AfterAFailedWriteItTakesNoPartAnyMore) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.core().StopLeading();
  EXPECT_EQ(lone.core().role(), Role::kFollower);
  EXPECT_EQ(lone.core().leader(), ReplicaId());
  lone.Step(VoteRequestFrom(2, 9, At(9, 9)));
  lone.Step(MessageFrom(2, 9, MessageType::kTimeoutNow));
  lone.core().Campaign();
  lone.Tick(100);
  EXPECT_EQ(lone.core().role(), Role::kFollower);
  EXPECT_EQ(lone.Propose("x"), ProposeResult::kNotLeader);
  while (lone.core().HasReady()) {
    EXPECT_TRUE(lone.Take().messages_after_write.empty());
  }
}

}  // namespace
}  // namespace holdfast::raft
