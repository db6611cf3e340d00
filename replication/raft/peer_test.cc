#include "replication/raft/peer.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast::raft {
namespace {

constexpr Inflights::Limits kLimits{.messages_max = 2};

Peer MadePeer(ProgressState state, uint64_t match, uint64_t next) {
  Peer peer;
  peer.progress.state = state;
  peer.progress.match = LogIndex(match);
  peer.progress.next = LogIndex(next);
  return peer;
}

TEST(Peer, AfterASnapshotThatArrivedItIsProbedBehindIt) {
  struct Case {
    uint64_t match;
    uint64_t pending;
    uint64_t next;
  };
  for (const Case& c : {Case{1, 10, 11}, Case{1, 0, 2}, Case{12, 10, 13}}) {
    Peer peer = MadePeer(ProgressState::kSnapshot, c.match, 99);
    peer.progress.pending_snapshot = LogIndex(c.pending);
    peer.BecomeProbe();
    EXPECT_EQ(peer.progress.next, LogIndex(c.next));
    EXPECT_EQ(peer.progress.pending_snapshot, LogIndex());
  }
}

TEST(Peer, ReplicationGoesOnAfterWhatIsStored) {
  Peer peer = MadePeer(ProgressState::kProbe, 4, 9);
  peer.progress.append_paused = true;
  peer.BecomeReplicate();
  EXPECT_EQ(peer.progress.next, LogIndex(5));
  EXPECT_FALSE(peer.IsPaused());
}

TEST(Peer, ProbeSendsOneAppendWithEntriesAndWaits) {
  Peer peer = MadePeer(ProgressState::kProbe, 1, 5);
  peer.OnSent(0, 0, kLimits);
  EXPECT_FALSE(peer.IsPaused());
  peer.OnSent(3, 30, kLimits);
  EXPECT_TRUE(peer.IsPaused());
  EXPECT_EQ(peer.progress.next, LogIndex(5));
}

TEST(Peer, ReplicationSendsAheadUntilTheWindowIsFull) {
  Peer peer = MadePeer(ProgressState::kReplicate, 1, 2);
  peer.OnSent(3, 30, kLimits);
  EXPECT_FALSE(peer.IsPaused());
  EXPECT_EQ(peer.progress.next, LogIndex(5));
  peer.OnSent(1, 10, kLimits);
  EXPECT_TRUE(peer.IsPaused());
  EXPECT_TRUE(peer.Shown(kLimits).inflight_full);
  EXPECT_EQ(peer.Shown(kLimits).inflight_messages, 2u);
  EXPECT_TRUE(peer.OnStored(LogIndex(4)));
  EXPECT_FALSE(peer.IsPaused());
}

TEST(Peer, NothingIsSentWhileItTakesASnapshot) {
  Peer peer = MadePeer(ProgressState::kReplicate, 1, 2);
  peer.BecomeSnapshot(LogIndex(7));
  EXPECT_TRUE(peer.IsPaused());
  EXPECT_EQ(peer.progress.pending_snapshot, LogIndex(7));
  EXPECT_TRUE(peer.OnStored(LogIndex(3)));
  EXPECT_TRUE(peer.IsPaused());
}

TEST(Peer, StoredOnlyGrows) {
  struct Case {
    uint64_t stored;
    bool news;
    uint64_t match;
    uint64_t next;
  };
  for (const Case& c : {Case{2, false, 3, 5}, Case{3, false, 3, 5}, Case{4, true, 4, 5},
                        Case{5, true, 5, 6}, Case{8, true, 8, 9}}) {
    Peer peer = MadePeer(ProgressState::kReplicate, 3, 5);
    EXPECT_EQ(peer.OnStored(LogIndex(c.stored)), c.news) << c.stored;
    EXPECT_EQ(peer.progress.match, LogIndex(c.match)) << c.stored;
    EXPECT_EQ(peer.progress.next, LogIndex(c.next)) << c.stored;
  }
}

TEST(Peer, RefusalMovesNextToTheHintUnlessItIsOld) {
  struct Case {
    ProgressState state;
    uint64_t match;
    uint64_t next;
    uint64_t refused;
    uint64_t hint;
    bool news;
    uint64_t next_after;
  };
  const std::vector<Case> cases{
      {ProgressState::kReplicate, 5, 10, 5, 5, false, 10},  // acknowledged since
      {ProgressState::kReplicate, 5, 10, 4, 4, false, 10},
      {ProgressState::kReplicate, 5, 10, 9, 9, true, 6},  // back to what is certain
      {ProgressState::kProbe, 0, 10, 0, 0, false, 10},    // not what was asked last
      {ProgressState::kProbe, 0, 10, 5, 5, false, 10},
      {ProgressState::kProbe, 0, 10, 9, 9, true, 9},
      {ProgressState::kProbe, 0, 10, 9, 2, true, 3},  // in one step
      {ProgressState::kProbe, 0, 10, 9, 0, true, 1},
      {ProgressState::kProbe, 4, 10, 9, 2, true, 5},  // never below what is stored
      {ProgressState::kProbe, 0, 2, 1, 1, true, 1},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& c = cases[i];
    Peer peer = MadePeer(c.state, c.match, c.next);
    peer.progress.append_paused = true;
    EXPECT_EQ(peer.OnRefused(LogIndex(c.refused), LogIndex(c.hint)), c.news) << i;
    EXPECT_EQ(peer.progress.next, LogIndex(c.next_after)) << i;
    if (c.state == ProgressState::kProbe) {
      EXPECT_EQ(peer.IsPaused(), !c.news) << i;
    }
  }
}

TEST(Peer, CommitIsWorthSendingOnlyIfItMayMoveThePeers) {
  struct Case {
    uint64_t sent;
    uint64_t next;
    uint64_t commit;
    bool worth;
  };
  for (const Case& c : {Case{0, 5, 3, true}, Case{3, 5, 3, false}, Case{3, 5, 4, true},
                        Case{4, 5, 9, false}, Case{4, 6, 9, true}}) {
    Peer peer = MadePeer(ProgressState::kReplicate, 1, c.next);
    peer.OnCommitSent(LogIndex(c.sent));
    EXPECT_EQ(peer.CanUseCommit(LogIndex(c.commit)), c.worth);
  }
}

TEST(Peer, ResetForgetsAllButWhetherItLearns) {
  Peer peer = MadePeer(ProgressState::kReplicate, 3, 5);
  peer.progress.learner = true;
  peer.progress.recent_active = true;
  peer.vote = Peer::Vote::kGranted;
  peer.read_ack = 4;
  peer.OnSent(1, 1, kLimits);
  peer.Reset(LogIndex(9));
  EXPECT_TRUE(peer.progress.learner);
  EXPECT_FALSE(peer.progress.recent_active);
  EXPECT_EQ(peer.progress.state, ProgressState::kProbe);
  EXPECT_EQ(peer.progress.match, LogIndex());
  EXPECT_EQ(peer.progress.next, LogIndex(9));
  EXPECT_EQ(peer.inflights.count(), 0u);
  EXPECT_EQ(peer.vote, Peer::Vote::kNone);
  EXPECT_EQ(peer.read_ack, 0u);
}

}  // namespace
}  // namespace holdfast::raft
