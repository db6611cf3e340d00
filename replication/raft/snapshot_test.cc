// Snapshots: when one is sent, what makes the stream of entries go on, and who installs which.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/core.h"
#include "replication/raft/testing/core_cluster.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

const std::vector<uint64_t> kThree{1, 2, 3};

Message SnapshotFrom(uint64_t from, uint64_t term, EntryId at,
                     const std::vector<uint64_t>& voters = kThree) {
  Message message = MessageFrom(from, term, MessageType::kSnapshot);
  message.snapshot = std::make_shared<const SnapshotDescriptor>(SnapshotDescriptor{
      .index = at.index, .term = at.term, .configuration = VotersOnly(voters), .source = "there"});
  return message;
}

// A leader whose log begins after index 11; replica 3 has everything.
LoneCore Compacted() {
  LoneCore lone(kThree, std::vector<uint64_t>(11, 1));
  lone.Lead();
  lone.Step(AppendResponseFrom(3, 2, 12));
  lone.Settle();
  lone.log().Compact(LogIndex(11), VotersOnly(kThree));
  lone.Sent();
  return lone;
}

// The same, when replica 2 has turned out to have nothing.
LoneCore Sending() {
  LoneCore lone = Compacted();
  lone.Step(RefusalFrom(2, 2, 11, At(0, 0)));
  return lone;
}

TEST(Snapshot, SentWhenWhatThePeerNeedsIsGone) {
  LoneCore lone = Sending();
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kSnapshot);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, ReplicaId(2));
  EXPECT_EQ(sent[0].snapshot->index, LogIndex(11));
  EXPECT_EQ(sent[0].snapshot->source, "here");
  EXPECT_EQ(lone.progress(2).state, ProgressState::kSnapshot);
  EXPECT_EQ(lone.progress(2).pending_snapshot, LogIndex(11));
}

TEST(Snapshot, NothingElseIsSentUntilItsEndIsKnown) {
  LoneCore lone = Sending();
  lone.Settle();
  lone.Sent();
  for (int i = 0; i < 3; ++i) {
    lone.Propose("a");
    lone.Tick(1);
    lone.Step(MessageFrom(2, 2, MessageType::kHeartbeatResponse));
  }
  lone.Settle();
  for (const Message& message : lone.Sent()) {
    EXPECT_TRUE(message.to == ReplicaId(3) || message.type == MessageType::kHeartbeat);
  }
}

TEST(Snapshot, AcknowledgedPeerGoesOnBehindIt) {
  LoneCore lone = Sending();
  lone.Propose("a");
  lone.Step(AppendResponseFrom(2, 2, 11));
  lone.Settle();
  EXPECT_EQ(lone.progress(2).state, ProgressState::kReplicate);
  const std::vector<Message> sent = lone.Sent(MessageType::kAppend);
  size_t entries = 0;
  for (const Message& message : sent) {
    if (message.to == ReplicaId(2)) entries += message.entries.size();
  }
  EXPECT_EQ(entries, 2u);
}

TEST(Snapshot, AnyProgressFromWhichTheLogCanBeUsedWillDo) {
  LoneCore lone = Sending();
  lone.Step(AppendResponseFrom(2, 2, 5));  // of another one: the log does not reach there
  EXPECT_EQ(lone.progress(2).state, ProgressState::kSnapshot);
  lone.Step(AppendResponseFrom(2, 2, 12));
  EXPECT_EQ(lone.progress(2).state, ProgressState::kReplicate);
}

TEST(Snapshot, ReportedArrivalIsProbedBehindAfterTheNextHeartbeat) {
  LoneCore lone = Sending();
  lone.core().ReportSnapshot(ReplicaId(2), Core::SnapshotResult::kInstalled);
  EXPECT_EQ(lone.progress(2).state, ProgressState::kProbe);
  EXPECT_EQ(lone.progress(2).next, LogIndex(12));
  EXPECT_TRUE(lone.progress(2).append_paused);
  lone.Step(MessageFrom(2, 2, MessageType::kHeartbeatResponse));
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kAppend);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].index, LogIndex(11));
}

TEST(Snapshot, ReportedFailureIsTriedAgainAfterTheNextHeartbeat) {
  LoneCore lone = Sending();
  lone.core().ReportSnapshot(ReplicaId(2), Core::SnapshotResult::kFailed);
  EXPECT_EQ(lone.progress(2).next, LogIndex(1));
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kSnapshot).size(), 1u);  // the one that failed
  lone.Step(MessageFrom(2, 2, MessageType::kHeartbeatResponse));
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kSnapshot).size(), 1u);
}

TEST(Snapshot, ReportsOfNobodyAndOfNoSnapshotAreIgnored) {
  LoneCore lone = Sending();
  lone.core().ReportSnapshot(ReplicaId(3), Core::SnapshotResult::kFailed);
  lone.core().ReportSnapshot(ReplicaId(9), Core::SnapshotResult::kFailed);
  EXPECT_EQ(lone.progress(3).state, ProgressState::kReplicate);
}

TEST(Snapshot, NotSentToAPeerThatDoesNotAnswer) {
  LoneCore lone = Compacted();
  lone.core().ReportUnreachable(ReplicaId(2));
  lone.Propose("a");
  lone.Settle();
  EXPECT_TRUE(lone.Sent(MessageType::kSnapshot).empty());
}

TEST(Snapshot, OneThatIsBeingMadeIsAskedForAgain) {
  LoneCore lone = Compacted();
  lone.log().not_yet = true;
  lone.Step(RefusalFrom(2, 2, 11, At(0, 0)));
  lone.Settle();
  EXPECT_TRUE(lone.Sent(MessageType::kSnapshot).empty());
  lone.log().not_yet = false;
  lone.core().LogFetched();
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kSnapshot).size(), 1u);
}

TEST(Snapshot, IsInstalledAndThenAcknowledged) {
  LoneCore lone(kThree, {1, 1});
  lone.Step(SnapshotFrom(2, 3, At(2, 20), {1, 2}));
  EXPECT_EQ(lone.core().commit(), LogIndex(20));
  EXPECT_EQ(lone.core().configuration(), VotersOnly({1, 2}));
  const Ready& ready = lone.Take();
  ASSERT_NE(ready.snapshot, nullptr);
  EXPECT_EQ(ready.snapshot->source, "there");
  EXPECT_TRUE(ready.must_sync);
  EXPECT_TRUE(ready.messages.empty());
  EXPECT_EQ(ready.write.snapshot, LogIndex(20));
  ASSERT_EQ(ready.messages_after_write.size(), 1u);
  EXPECT_EQ(ready.messages_after_write[0].index, LogIndex(20));
  EXPECT_EQ(lone.status().applied, LogIndex(0));
  lone.Written();
  EXPECT_EQ(lone.status().applied, LogIndex(20));
  EXPECT_FALSE(lone.core().HasReady());
}

TEST(Snapshot, InstalledInALaterTermCountsAllTheSame) {
  LoneCore lone(kThree, {1, 1});
  lone.Step(SnapshotFrom(2, 3, At(2, 20)));
  lone.Take();
  lone.Step(AppendFrom(3, 4, At(2, 20), EntriesOf(21, {4}), 21));
  lone.Written();
  EXPECT_EQ(lone.status().applied, LogIndex(20));
  lone.Settle();
  EXPECT_EQ(lone.applied().size(), 1u);
}

TEST(Snapshot, EntriesAfterItAreTakenWhileItIsBeingInstalled) {
  LoneCore lone(kThree, {1, 1});
  lone.Step(SnapshotFrom(2, 3, At(2, 20)));
  lone.Take();
  lone.Step(AppendFrom(2, 3, At(2, 20), EntriesOf(21, {3, 3}), 22));
  EXPECT_TRUE(lone.Take().committed.empty());
  lone.Written();
  lone.Written();
  lone.Settle();
  EXPECT_EQ(lone.status().applied, LogIndex(22));
}

TEST(Snapshot, WhatIsCommittedAlreadyIsNotInstalledOver) {
  LoneCore lone(kThree, {1, 1, 1});
  lone.Step(AppendFrom(2, 1, At(1, 3), {}, 2));
  lone.Settle();
  lone.Sent();
  lone.Step(SnapshotFrom(2, 1, At(1, 2)));
  EXPECT_EQ(lone.Take().snapshot, nullptr);
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kAppendResponse);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].index, LogIndex(2));
  EXPECT_EQ(lone.core().last_index(), LogIndex(3));
}

TEST(Snapshot, LogThatHasItAllOnlyLearnsWhatIsCommitted) {
  LoneCore lone(kThree, {1, 1, 1});
  lone.Step(SnapshotFrom(2, 1, At(1, 2)));
  EXPECT_EQ(lone.Take().snapshot, nullptr);
  lone.Settle();
  EXPECT_EQ(lone.core().commit(), LogIndex(2));
  EXPECT_EQ(lone.core().last_index(), LogIndex(3));
}

TEST(Snapshot, LogThatDivergesIsReplaced) {
  LoneCore lone(kThree, {1, 1, 1});
  lone.Step(SnapshotFrom(2, 3, At(2, 2)));
  lone.Settle();
  EXPECT_EQ(lone.core().last_index(), LogIndex(2));
  EXPECT_EQ(lone.log().First(), LogIndex(3));
}

TEST(Snapshot, OfOthersIsNotInstalled) {
  LoneCore lone(kThree, {1});
  lone.Step(SnapshotFrom(2, 1, At(1, 20), {2, 3}));
  EXPECT_EQ(lone.Take().snapshot, nullptr);
  EXPECT_EQ(lone.core().commit(), LogIndex(0));
}

TEST(Snapshot, ReplicaThatIsFarBehindCatchesUp) {
  for (const auto mode : {Core::WriteMode::kApart, Core::WriteMode::kTogether}) {
    CoreCluster cluster(3, 0, [mode](Core::Options* o) { o->write_mode = mode; });
    cluster.Elect(1);
    cluster.Cut(3);
    for (int i = 0; i < 20; ++i) cluster.Propose(1, "a");
    cluster.Settle();
    cluster.replica(1).log.Compact(LogIndex(15), cluster.core(1).configuration());
    cluster.Heal();
    cluster.Propose(1, "b");
    for (int i = 0; i < 4; ++i) {
      cluster.Tick(1, 1);
      cluster.Settle();
    }
    EXPECT_EQ(cluster.core(3).commit(), cluster.core(1).commit());
    EXPECT_EQ(cluster.replica(3).log.First(), LogIndex(16));
    EXPECT_EQ(cluster.replica(3).applied.size(), 7u);
  }
}

}  // namespace
}  // namespace holdfast::raft
