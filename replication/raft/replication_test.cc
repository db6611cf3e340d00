// Appends and their answers, what commits, and what is handed out to be written and applied.

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/core.h"
#include "replication/raft/testing/core_cluster.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

const std::vector<uint64_t> kThree{1, 2, 3};

TEST(Replication, NewLeaderBeginsItsTermWithAnEmptyEntry) {
  LoneCore lone(kThree, {1, 1});
  lone.Lead();
  EXPECT_EQ(lone.core().last_index(), LogIndex(3));
  EXPECT_EQ(lone.log().At(LogIndex(3)).type, EntryType::kNoOp);
  EXPECT_EQ(lone.log().At(LogIndex(3)).term, Term(2));
}

TEST(Replication, AnEntryCommitsWhenAMajorityHasStoredIt) {
  LoneCore lone({1, 2, 3, 4, 5});
  lone.Lead();
  lone.Propose("a");
  lone.Settle();
  lone.Step(AppendResponseFrom(2, 1, 2));
  EXPECT_EQ(lone.core().commit(), LogIndex(0));
  lone.Step(AppendResponseFrom(3, 1, 1));
  EXPECT_EQ(lone.core().commit(), LogIndex(1));
  lone.Step(AppendResponseFrom(4, 1, 2));
  EXPECT_EQ(lone.core().commit(), LogIndex(2));
}

TEST(Replication, LeaderCountsItselfOnlyForWhatIsDurable) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.Propose("a");
  lone.Take();
  lone.Step(AppendResponseFrom(2, 1, 1));
  EXPECT_EQ(lone.core().commit(), LogIndex(1));
  lone.Written();
  EXPECT_EQ(lone.core().commit(), LogIndex(1));
  lone.Step(AppendResponseFrom(2, 1, 2));
  EXPECT_EQ(lone.core().commit(), LogIndex(2));
}

TEST(Replication, FollowersMayCommitWhatTheLeaderHasNotStored) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.Propose("a");
  lone.Take();
  lone.Step(AppendResponseFrom(2, 1, 2));
  lone.Step(AppendResponseFrom(3, 1, 2));
  EXPECT_EQ(lone.core().commit(), LogIndex(2));
  EXPECT_TRUE(lone.Take().committed.size() <= 1u);  // not handed out before it is stored here
  lone.Settle();
  EXPECT_EQ(lone.applied().size(), 2u);
}

// Raft's figure 8: index 2 is on a majority, but was proposed in an earlier term.
TEST(Replication, OldTermEntryIsNeverCommittedByCounting) {
  LoneCore lone(kThree, {1, 2});
  lone.Lead();  // term 3, its own entry is 3
  lone.Step(AppendResponseFrom(2, 3, 2));
  lone.Step(AppendResponseFrom(3, 3, 2));
  EXPECT_EQ(lone.core().commit(), LogIndex(0));
  EXPECT_FALSE(lone.core().committed_in_term());
  lone.Step(AppendResponseFrom(2, 3, 3));
  EXPECT_EQ(lone.core().commit(), LogIndex(3));
  EXPECT_TRUE(lone.core().committed_in_term());
}

TEST(Replication, CommitNeedNotWaitForTheLeadersLastEntry) {
  LoneCore lone(kThree);
  lone.Lead();
  for (int i = 0; i < 5; ++i) {
    lone.Propose("a");
    lone.Settle();
  }
  lone.Step(AppendResponseFrom(2, 1, 3));
  EXPECT_EQ(lone.core().commit(), LogIndex(3));
}

TEST(Replication, FollowerAcknowledgesOnlyWhatTheMessageChecked) {
  LoneCore lone(kThree, {1, 1, 1, 1});
  lone.Step(AppendFrom(2, 2, At(1, 1), EntriesOf(2, {1}), 0));
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kAppendResponse);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].index, LogIndex(2));
  EXPECT_EQ(lone.core().last_index(), LogIndex(4));
}

TEST(Replication, FollowerCommitsOnlyWhatTheMessageChecked) {
  struct Case {
    uint64_t leader_commit;
    uint64_t entries;
    uint64_t commit;
  };
  for (const Case& c : {Case{1, 1, 1}, Case{2, 1, 2}, Case{4, 1, 2}, Case{9, 0, 1}}) {
    LoneCore lone(kThree, {1, 1, 1, 1});
    lone.Step(AppendFrom(2, 2, At(1, 1), EntriesOf(2, std::vector<uint64_t>(c.entries, 1)),
                         c.leader_commit));
    EXPECT_EQ(lone.core().commit(), LogIndex(c.commit));
  }
}

TEST(Replication, StaleAppendNeverLowersTheCommit) {
  LoneCore lone(kThree, {1, 1, 1, 1});
  lone.Step(AppendFrom(2, 2, At(1, 4), {}, 3));
  EXPECT_EQ(lone.core().commit(), LogIndex(3));
  lone.Settle();
  lone.Sent();
  lone.Step(AppendFrom(2, 2, At(1, 1), EntriesOf(2, {1}), 1));  // reordered
  lone.Step(AppendFrom(2, 2, At(1, 4), {}, 1));
  Message heartbeat = MessageFrom(2, 2, MessageType::kHeartbeat);
  heartbeat.commit = LogIndex(2);
  lone.Step(heartbeat);
  EXPECT_EQ(lone.core().commit(), LogIndex(3));
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kAppendResponse);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].index, LogIndex(3));  // what is committed agrees with every leader
}

TEST(Replication, RefusalTellsWhereTheLogsMayAgree) {
  struct Case {
    EntryId previous;
    EntryId hint;
  };
  // The own log has terms 1 3 3 4 4 5.
  for (const Case& c : {Case{At(6, 9), At(5, 6)}, Case{At(3, 5), At(3, 3)},
                        Case{At(2, 4), At(1, 1)}, Case{At(4, 6), At(4, 5)}}) {
    LoneCore lone(kThree, {1, 3, 3, 4, 4, 5});
    lone.Step(AppendFrom(2, 9, c.previous, {}, 0));
    lone.Settle();
    const std::vector<Message> sent = lone.Sent(MessageType::kAppendResponse);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_TRUE(sent[0].reject);
    EXPECT_EQ(sent[0].index, c.previous.index);
    EXPECT_EQ((EntryId{sent[0].log_term, sent[0].reject_hint}), c.hint);
  }
}

TEST(Replication, LeaderSkipsTermsThatTheFollowerCannotHave) {
  LoneCore lone(kThree, {1, 3, 3, 3, 5, 5, 5, 5, 5});
  lone.Lead();
  lone.Step(RefusalFrom(2, 6, 9, At(2, 6)));
  const std::vector<Message> sent = [&] {
    lone.Settle();
    return lone.Sent(MessageType::kAppend);
  }();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ((EntryId{sent[0].log_term, sent[0].index}), At(1, 1));
}

// The divergent tails of both are some hundred entries long; a probe costs a round trip.
TEST(Replication, LongDivergenceIsFoundInOneProbeATerm) {
  std::vector<uint64_t> leader(100, 1);
  std::vector<uint64_t> follower(100, 1);
  for (int i = 0; i < 150; ++i) {
    leader.push_back(i < 75 ? 3 : 6);
    follower.push_back(i < 75 ? 2 : 4);
  }
  CoreCluster cluster(2);
  for (const uint64_t id : {1, 2}) {
    Ready ready;
    ready.entries = EntriesOf(1, id == 1 ? leader : follower);
    ready.hard_state = HardState{.term = Term(6), .vote = {}, .commit = {}};
    cluster.replica(id).log.Write(ready);
    cluster.Restart(id);
  }
  cluster.Elect(1);
  size_t refusals = 0;
  for (const Message& message : cluster.sent) {
    refusals += message.type == MessageType::kAppendResponse && message.reject ? 1 : 0;
  }
  EXPECT_LE(refusals, 3u);
  EXPECT_EQ(cluster.core(2).last_index(), cluster.core(1).last_index());
  EXPECT_EQ(cluster.replica(2).applied.size(), 250u);
}

TEST(Replication, DivergentFollowersEndWithTheLeadersLog) {
  const std::vector<uint64_t> leader{1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::vector<std::vector<uint64_t>> followers{
      {1, 1, 1, 4, 4, 5, 5, 6, 6},
      {1, 1, 1, 4},
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7},
      {1, 1, 1, 4, 4, 4, 4},
      {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
  };
  for (size_t i = 0; i < followers.size(); ++i) {
    CoreCluster cluster(3);
    for (const uint64_t id : {1, 2}) {
      Ready ready;
      ready.entries = EntriesOf(1, id == 1 ? leader : followers[i]);
      ready.hard_state = HardState{.term = Term(8), .vote = {}, .commit = {}};
      cluster.replica(id).log.Write(ready);
      cluster.Restart(id);
    }
    cluster.drop = [](const Message& m) { return m.to == ReplicaId(2) || m.from == ReplicaId(2); };
    cluster.Elect(1);
    cluster.Heal();
    cluster.Propose(1, "new");
    cluster.Tick(1, 1);
    cluster.Settle();
    cluster.Tick(1, 1);
    cluster.Settle();
    ASSERT_EQ(cluster.replica(2).applied, cluster.replica(1).applied) << i;
    ASSERT_EQ(cluster.replica(2).applied.size(), 11u) << i;
  }
}

TEST(Replication, AppendsMayComeTwiceAndInAnyOrder) {
  LoneCore lone(kThree);
  const Message first = AppendFrom(2, 1, At(0, 0), EntriesOf(1, {1}), 0);
  const Message second = AppendFrom(2, 1, At(1, 1), EntriesOf(2, {1}), 1);
  for (const Message& message : {second, first, second, first, second}) lone.Step(message);
  lone.Settle();
  EXPECT_EQ(lone.core().last_index(), LogIndex(2));
  EXPECT_EQ(lone.core().commit(), LogIndex(1));
}

TEST(Replication, HeartbeatNeverTellsMoreCommitThanThePeerIsKnownToHave) {
  LoneCore lone(kThree);
  lone.Lead();
  lone.Propose("a");
  lone.Settle();
  lone.Step(AppendResponseFrom(2, 1, 2));
  lone.Step(AppendResponseFrom(3, 1, 1));
  lone.Settle();
  lone.Sent();
  lone.Tick(1);
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kHeartbeat);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].commit, LogIndex(2));
  EXPECT_EQ(sent[1].commit, LogIndex(1));
}

TEST(Replication, ProposalsNeedALeader) {
  LoneCore lone(kThree, {1});
  EXPECT_EQ(lone.Propose("a"), ProposeResult::kNotLeader);
  lone.Step(AppendFrom(2, 1, At(1, 1), {}, 0));
  EXPECT_EQ(lone.Propose("a"), ProposeResult::kNotLeader);
  lone.Settle();
  EXPECT_TRUE(lone.Sent(MessageType::kPropose).empty());
}

TEST(Replication, ProposalsAreForwardedOnlyWhereThatIsAskedFor) {
  CoreCluster cluster(3, 0, [](Core::Options* o) { o->forward_proposals = true; });
  EXPECT_EQ(cluster.Propose(2, "nobody leads"), ProposeResult::kNotLeader);
  cluster.Elect(1);
  EXPECT_EQ(cluster.Propose(2, "a"), ProposeResult::kOk);
  cluster.Settle();
  EXPECT_EQ(cluster.replica(1).applied, (std::vector<std::string>{"a"}));
}

TEST(Replication, ProposalIsToldItsPlace) {
  LoneCore lone(kThree);
  lone.Lead();
  EntryId where;
  lone.core().Propose(EntryType::kCommands, nullptr, &where);
  EXPECT_EQ(where, At(1, 2));
}

TEST(Replication, UncommittedDataIsBoundedButOneEntryAndEmptyOnesAlwaysGo) {
  LoneCore lone(kThree, {}, [](Core::Options* o) { o->uncommitted_bytes_max = 10; });
  lone.Lead();
  EXPECT_EQ(lone.Propose(std::string(50, 'x')), ProposeResult::kOk);
  EXPECT_EQ(lone.Propose("y"), ProposeResult::kTooMuch);
  EXPECT_EQ(lone.Propose(""), ProposeResult::kOk);
  lone.Settle();
  EXPECT_EQ(lone.core().last_index(), LogIndex(3));
  lone.Step(AppendResponseFrom(2, 1, 3));
  lone.Settle();
  EXPECT_EQ(lone.Propose("1234"), ProposeResult::kOk);
  EXPECT_EQ(lone.Propose("123456"), ProposeResult::kOk);
  EXPECT_EQ(lone.Propose("1"), ProposeResult::kTooMuch);
}

TEST(Replication, CommittedEntriesAreHandedOutWithinTheLimit) {
  LoneCore lone({1}, {}, [](Core::Options* o) { o->committed_bytes_max = 100; });
  lone.core().Campaign();
  lone.Settle();
  for (int i = 0; i < 10; ++i) lone.Propose(std::string(30, 'x'));
  lone.Take();
  lone.Written();
  const size_t first = lone.Take().committed.size();
  EXPECT_EQ(first, 2u);
  EXPECT_FALSE(lone.core().HasReady());
  lone.Apply();
  EXPECT_TRUE(lone.core().HasReady());
  lone.Settle();
  EXPECT_EQ(lone.applied().size(), 11u);
}

TEST(Replication, CommitHintAloneNeedsNoSync) {
  LoneCore lone(kThree, {1, 1});
  lone.Step(AppendFrom(2, 1, At(1, 2), {}, 0));
  lone.Settle();
  Message heartbeat = MessageFrom(2, 1, MessageType::kHeartbeat);
  heartbeat.commit = LogIndex(2);
  lone.Step(heartbeat);
  const Ready& ready = lone.Take();
  ASSERT_TRUE(ready.hard_state.has_value());
  EXPECT_FALSE(ready.must_sync);
  EXPECT_EQ(ready.committed.size(), 2u);
}

TEST(Replication, NothingIsReadyWhenNothingHasChanged) {
  LoneCore lone(kThree, {1});
  EXPECT_FALSE(lone.core().HasReady());
  lone.Tick(1);
  EXPECT_FALSE(lone.core().HasReady());
  lone.Step(AppendFrom(2, 1, At(1, 1), EntriesOf(2, {1}), 2));
  lone.Settle();
  EXPECT_FALSE(lone.core().HasReady());
}

TEST(Replication, EntriesBeingFetchedAreTriedAgainWhenTheyAreThere) {
  CoreCluster cluster(3);
  cluster.Elect(1);
  cluster.Cut(3);
  for (int i = 0; i < 5; ++i) cluster.Propose(1, "a");
  cluster.Settle();
  cluster.Heal();
  cluster.replica(1).log.not_yet = true;
  cluster.Tick(1, 1);
  cluster.Settle();
  EXPECT_TRUE(cluster.replica(3).applied.empty());
  cluster.replica(1).log.not_yet = false;
  cluster.core(1).LogFetched();
  cluster.Settle();
  cluster.Tick(1, 1);
  cluster.Settle();
  EXPECT_EQ(cluster.replica(3).applied.size(), 5u);
}

TEST(Replication, CommittedEntriesBeingFetchedDoNotKeepTheCallerBusy) {
  LoneCore lone(kThree, {1, 1});
  lone.log().not_yet = true;
  lone.Step(AppendFrom(2, 1, At(1, 2), {}, 2));
  while (lone.core().HasReady()) EXPECT_TRUE(lone.Take().committed.empty());
  lone.log().not_yet = false;
  EXPECT_FALSE(lone.core().HasReady());
  lone.core().LogFetched();
  ASSERT_TRUE(lone.core().HasReady());
  EXPECT_EQ(lone.Take().committed.size(), 2u);
}

}  // namespace
}  // namespace holdfast::raft
