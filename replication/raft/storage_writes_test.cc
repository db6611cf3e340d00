// Writes under way while the core goes on: what counts as stored, and when.

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/core.h"
#include "replication/raft/testing/core_cluster.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

const std::vector<uint64_t> kThree{1, 2, 3};

TEST(StorageWrites, SeveralMayBeUnderWay) {
  LoneCore lone(kThree);
  lone.Lead();
  for (int i = 0; i < 3; ++i) {
    lone.Propose("a");
    EXPECT_EQ(lone.Take().entries.size(), 1u);
  }
  lone.Step(AppendResponseFrom(2, 1, 4));
  for (uint64_t stored = 2; stored <= 4; ++stored) {
    lone.Written();
    EXPECT_EQ(lone.core().commit(), LogIndex(stored));
  }
}

TEST(StorageWrites, AppendsLeaveBeforeTheWriteAcknowledgementsAfter) {
  LoneCore leader(kThree);
  leader.Lead();
  leader.Step(AppendResponseFrom(2, 1, 1));
  leader.Settle();
  leader.Sent();
  leader.Propose("a");
  const Ready& proposed = leader.Take();
  ASSERT_EQ(proposed.messages.size(), 1u);
  EXPECT_EQ(proposed.messages[0].type, MessageType::kAppend);

  LoneCore follower(kThree, {1});
  follower.Step(AppendFrom(2, 1, At(1, 1), EntriesOf(2, {1}), 0));
  const Ready& appended = follower.Take();
  EXPECT_TRUE(appended.messages.empty());
  ASSERT_EQ(appended.messages_after_write.size(), 1u);
  EXPECT_EQ(appended.messages_after_write[0].index, LogIndex(2));
}

TEST(StorageWrites, AcknowledgementWaitsForEarlierWritesToo) {
  LoneCore lone(kThree, {1});
  const Message append = AppendFrom(2, 1, At(1, 1), EntriesOf(2, {1}), 0);
  lone.Step(append);
  lone.Take();
  lone.Step(append);  // again: there is nothing more to write, but it is not durable yet
  const Ready& ready = lone.Take();
  EXPECT_TRUE(ready.entries.empty());
  EXPECT_TRUE(ready.messages.empty());
  EXPECT_EQ(ready.messages_after_write.size(), 1u);
  EXPECT_TRUE(ready.needs_write());
}

TEST(StorageWrites, HeartbeatsAreAnsweredWithoutWaiting) {
  LoneCore lone(kThree, {1});
  lone.Step(AppendFrom(2, 1, At(1, 1), EntriesOf(2, {1}), 0));
  lone.Take();
  lone.Step(MessageFrom(2, 1, MessageType::kHeartbeat));
  EXPECT_EQ(lone.Take().messages.size(), 1u);
}

TEST(StorageWrites, TokenNamesTheTermAndTheLastUnstoredEntry) {
  LoneCore lone(kThree, {1});
  lone.Step(AppendFrom(2, 2, At(1, 1), EntriesOf(2, {2, 2}), 0));
  const WriteToken token = lone.Take().write;
  EXPECT_EQ(token.term, Term(2));
  EXPECT_EQ(token.last, At(2, 3));
  EXPECT_FALSE(token.empty());
  lone.Written();
  lone.Step(MessageFrom(2, 2, MessageType::kHeartbeat));
  EXPECT_TRUE(lone.Take().write.empty());
}

// Follower 1 of five. Leader A (term 2) gives it entry 2; leader C (term 3) replaces that; A is
// elected again (term 4) and gives it the first one again. All three writes are under way.
class Aba : public testing::Test {
 protected:
  Aba() : lone_({1, 2, 3, 4, 5}, {1}) {
    lone_.Step(AppendFrom(2, 2, At(1, 1), EntriesOf(2, {2}), 0));
    lone_.Take();
    lone_.Step(AppendFrom(3, 3, At(1, 1), EntriesOf(2, {3}), 0));
    lone_.Take();
    lone_.Step(AppendFrom(2, 4, At(1, 1), EntriesOf(2, {2}), 2));
    lone_.Take();
  }
  bool EntryIsApplied() {
    lone_.Apply();
    return lone_.status().applied == LogIndex(2);
  }
  LoneCore lone_;
};

TEST_F(Aba, WriteOfAnEarlierTermDoesNotCountThoughItsEntryIsTheRightOne) {
  lone_.Written();  // The first: its entry has the same term and index as the present one, but
                    // the storage is still to be given the other one in between.
  EXPECT_EQ(lone_.log().At(LogIndex(2)).term, Term(2));
  EXPECT_FALSE(lone_.core().HasReady());
  lone_.Written();
  EXPECT_EQ(lone_.log().At(LogIndex(2)).term, Term(3));
  EXPECT_FALSE(lone_.core().HasReady());
  lone_.Written();
  EXPECT_EQ(lone_.log().At(LogIndex(2)).term, Term(2));
  ASSERT_TRUE(lone_.core().HasReady());
  EXPECT_EQ(lone_.Take().committed.size(), 1u);
  EXPECT_TRUE(EntryIsApplied());
}

TEST_F(Aba, WhatItReadsIsNeverTheEntryInBetween) {
  lone_.Written();
  lone_.Written();
  // The storage holds the entry of term 3; the log is the one of term 4's leader.
  lone_.Step(AppendFrom(2, 4, At(2, 2), EntriesOf(3, {4}), 2));
  EXPECT_EQ(lone_.core().last_index(), LogIndex(3));
  lone_.Settle();
  ASSERT_EQ(lone_.applied().size(), 2u);
  EXPECT_EQ(lone_.applied()[1].term, Term(2));
}

TEST(StorageWrites, LaterWriteOfTheTermAttestsWhatAnEarlierTermsWriteStored) {
  LoneCore lone(kThree, {1});
  lone.Step(AppendFrom(2, 1, At(1, 1), EntriesOf(2, {1, 1}), 3));
  lone.Take();
  lone.Step(VoteRequestFrom(3, 2, At(1, 9)));  // not listened to
  lone.Tick(10);
  lone.Step(VoteRequestFrom(3, 2, At(1, 9)));
  ASSERT_EQ(lone.core().term(), Term(2));
  const WriteToken token = lone.Take().write;  // the vote alone
  EXPECT_EQ(token.last, At(1, 3));
  lone.Written();
  EXPECT_FALSE(lone.core().HasReady());  // of term 1: does not count
  lone.Written();
  ASSERT_TRUE(lone.core().HasReady());
  EXPECT_EQ(lone.Take().committed.size(), 2u);
}

TEST(StorageWrites, TogetherNothingWaitsAndUnstoredEntriesAreApplied) {
  PlainLog log;
  Core::Options options;
  options.id = ReplicaId(1);
  options.configuration = VotersOnly({1});
  options.write_mode = Core::WriteMode::kTogether;
  Core core(options, &log);
  core.Campaign();
  size_t applied = 0;
  while (core.HasReady()) {
    const Ready ready = core.TakeReady();
    EXPECT_TRUE(ready.messages_after_write.empty());
    log.Write(ready);
    applied += ready.committed.size();
    core.Advance();
    core.CheckInvariants();
  }
  EXPECT_EQ(core.role(), Role::kLeader);
  EXPECT_EQ(applied, 1u);
}

TEST(StorageWritesDeathTest, TogetherOneReadyAtATime) {
  PlainLog log;
  Core::Options options;
  options.id = ReplicaId(1);
  options.configuration = VotersOnly({1});
  options.write_mode = Core::WriteMode::kTogether;
  Core core(options, &log);
  core.Campaign();
  core.TakeReady();
  core.ForgetLeader();
  EXPECT_DEATH(
      {
        core.Step(VoteRequestFrom(1, 99, At(1, 1)));
        core.TakeReady();
      },
      "advance_pending_");
}

TEST(StorageWrites, RestartFindsWhatWasDurableAndNothingElse) {
  CoreCluster cluster(3);
  cluster.Elect(1);
  cluster.Propose(1, "a");
  cluster.Settle();
  const HardState before = cluster.replica(1).log.hard_state;
  cluster.Restart(1);
  EXPECT_EQ(cluster.core(1).GetStatus().hard_state, before);
  EXPECT_EQ(cluster.core(1).role(), Role::kFollower);
  EXPECT_EQ(cluster.core(1).last_index(), LogIndex(2));
  cluster.Elect(1);
  EXPECT_EQ(cluster.replica(1).applied.size(), 1u);  // again, since nothing was said to be applied
}

}  // namespace
}  // namespace holdfast::raft
