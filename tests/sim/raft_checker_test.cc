// The judge sees what it is for: each rule is broken once.

#include "tests/sim/raft_checker.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/sim/ledger.h"
#include "tests/sim/log_image.h"

namespace holdfast::sim {
namespace {

constexpr raft::EntryId kBase{Term(1), LogIndex(1)};

raft::Configuration ThreeVoters() {
  raft::Configuration configuration;
  configuration.voters = {ReplicaId(1), ReplicaId(2), ReplicaId(3)};
  return configuration;
}

raft::Entry EntryAt(uint64_t term, uint64_t index, WriteId write = 0) {
  return {Term(term), LogIndex(index), raft::EntryType::kCommands, EncodeWrite(write, 4)};
}

LogImage LogOf(const std::vector<raft::Entry>& entries) {
  LogImage log;
  log.Reset(kBase);
  log.Write(entries);
  return log;
}

class FakeDisks final : public RaftChecker::Disks {
 public:
  bool HasEntry(ReplicaId replica, raft::EntryId entry) const override {
    return entries.contains({replica, entry});
  }
  raft::HardState HardStateOf(ReplicaId replica) const override { return states.at(replica); }

  std::set<std::pair<ReplicaId, raft::EntryId>> entries;
  std::map<ReplicaId, raft::HardState> states;
};

class RaftCheckerTest : public ::testing::Test {
 protected:
  RaftCheckerTest() : checker_(kBase, ThreeVoters(), &disks_, &stats_) {
    for (uint64_t i = 1; i <= 3; ++i) disks_.states[ReplicaId(i)] = {};
  }

  std::string Rule() const {
    return checker_.violation().has_value() ? checker_.violation()->rule : "";
  }
  // Replicas 1 and 2 have it on their disks.
  void Store(const raft::Entry& entry) {
    for (uint64_t i = 1; i <= 2; ++i) {
      disks_.entries.insert({ReplicaId(i), {entry.term, entry.index}});
    }
  }
  void Elect(uint64_t replica, uint64_t term, const LogImage& log) {
    for (uint64_t i = 1; i <= 3; ++i) {
      disks_.states[ReplicaId(i)] = {Term(term), ReplicaId(replica), LogIndex()};
      checker_.OnSend(Vote(i, replica, term), nullptr);
    }
    checker_.OnLeader(ReplicaId(replica), Term(term), log, ThreeVoters());
  }
  void Commit(uint64_t replica, uint64_t term, uint64_t index, const LogImage& log,
              raft::Role role = raft::Role::kLeader) {
    checker_.OnCommit(ReplicaId(replica), kBase.index,
                      {LogIndex(index), Term(term), role, ThreeVoters()}, log);
  }
  static raft::Message Vote(uint64_t from, uint64_t to, uint64_t term) {
    raft::Message message;
    message.type = raft::MessageType::kVoteResponse;
    message.from = ReplicaId(from);
    message.to = ReplicaId(to);
    message.term = Term(term);
    return message;
  }

  FakeDisks disks_;
  RunStats stats_;
  RaftChecker checker_;
};

TEST_F(RaftCheckerTest, ALawfulHistoryIsFine) {
  const raft::Entry entry = EntryAt(2, 2, 7);
  const LogImage log = LogOf({entry});
  Elect(1, 2, log);
  checker_.OnEntry(ReplicaId(1), log, entry.index);
  Store(entry);
  Commit(1, 2, 2, log);
  checker_.OnApplied(ReplicaId(1), entry, 99);
  checker_.OnAcknowledged(entry.index, HashEntry(entry));
  checker_.OnRead(ReplicaId(1), LogIndex(2), LogIndex(2));
  Elect(2, 3, log);
  EXPECT_EQ(Rule(), "");
  EXPECT_EQ(checker_.committed(), LogIndex(2));
}

TEST_F(RaftCheckerTest, TwoLeadersOfATermAreSeen) {
  Elect(1, 2, LogOf({}));
  checker_.OnLeader(ReplicaId(2), Term(2), LogOf({}), ThreeVoters());
  EXPECT_EQ(Rule(), "one leader a term");
}

TEST_F(RaftCheckerTest, ASecondVoteIsSeen) {
  disks_.states[ReplicaId(3)] = {Term(3), ReplicaId(), LogIndex()};
  checker_.OnSend(Vote(3, 1, 2), nullptr);
  checker_.OnSend(Vote(3, 2, 2), nullptr);
  EXPECT_EQ(Rule(), "one vote a term");
}

TEST_F(RaftCheckerTest, AVoteBeforeItIsDurableIsSeen) {
  checker_.OnSend(Vote(3, 1, 2), nullptr);
  EXPECT_EQ(Rule(), "durable first");
}

TEST_F(RaftCheckerTest, ALeaderWithoutDurableVotesIsSeen) {
  checker_.OnLeader(ReplicaId(1), Term(2), LogOf({}), ThreeVoters());
  EXPECT_EQ(Rule(), "durable first");
}

TEST_F(RaftCheckerTest, ALeaderWithoutACommittedEntryIsSeen) {
  const raft::Entry entry = EntryAt(2, 2);
  Store(entry);
  Elect(1, 2, LogOf({entry}));
  Commit(1, 2, 2, LogOf({entry}));
  Elect(3, 3, LogOf({}));
  EXPECT_EQ(Rule(), "leader completeness");
}

TEST_F(RaftCheckerTest, ACommitThatIsNotOnAMajorityOfDisksIsSeen) {
  disks_.entries.insert({ReplicaId(1), {Term(2), LogIndex(2)}});
  Commit(1, 2, 2, LogOf({EntryAt(2, 2)}));
  EXPECT_EQ(Rule(), "durable first");
}

TEST_F(RaftCheckerTest, ACommitOfAnEarlierTermByCountingIsSeen) {
  const raft::Entry entry = EntryAt(2, 2);
  Store(entry);
  Commit(1, 4, 2, LogOf({entry}));
  EXPECT_EQ(Rule(), "commit by own term");
}

TEST_F(RaftCheckerTest, TwoEntriesCommittedAtOneIndexAreSeen) {
  Store(EntryAt(2, 2));
  Commit(1, 2, 2, LogOf({EntryAt(2, 2)}));
  Commit(3, 3, 2, LogOf({EntryAt(3, 2)}), raft::Role::kFollower);
  EXPECT_EQ(Rule(), "state machine safety");
}

TEST_F(RaftCheckerTest, OneEntryIdWithTwoContentsIsSeen) {
  checker_.OnEntry(ReplicaId(1), LogOf({EntryAt(2, 2, 1)}), LogIndex(2));
  checker_.OnEntry(ReplicaId(2), LogOf({EntryAt(2, 2, 5)}), LogIndex(2));
  EXPECT_EQ(Rule(), "log matching");
}

TEST_F(RaftCheckerTest, OtherStatesAtOneIndexAreSeen) {
  const raft::Entry entry = EntryAt(2, 2);
  Store(entry);
  Commit(1, 2, 2, LogOf({entry}));
  checker_.OnApplied(ReplicaId(1), entry, 5);
  checker_.OnApplied(ReplicaId(2), entry, 6);
  EXPECT_EQ(Rule(), "equal states");
}

TEST_F(RaftCheckerTest, AStaleReadIsSeen) {
  const raft::Entry entry = EntryAt(2, 2);
  Store(entry);
  Commit(1, 2, 2, LogOf({entry}));
  checker_.OnRead(ReplicaId(3), LogIndex(2), LogIndex(1));
  EXPECT_EQ(Rule(), "stale read");
}

TEST_F(RaftCheckerTest, AnAcknowledgedWriteThatIsNotThereIsSeen) {
  const raft::Entry entry = EntryAt(2, 2);
  Store(entry);
  Commit(1, 2, 2, LogOf({entry}));
  checker_.OnAcknowledged(LogIndex(2), HashEntry(EntryAt(2, 2, 8)));
  EXPECT_EQ(Rule(), "acknowledged is committed");
}

TEST_F(RaftCheckerTest, OtherConfigurationsAtOneIndexAreSeen) {
  checker_.OnConfiguration(ReplicaId(1), LogIndex(4), ThreeVoters());
  raft::Configuration other = ThreeVoters();
  other.learners = {ReplicaId(4)};
  checker_.OnConfiguration(ReplicaId(2), LogIndex(4), other);
  EXPECT_EQ(Rule(), "equal configurations");
}

TEST_F(RaftCheckerTest, AMessageOfAnotherLogThanItsSendersIsSeen) {
  raft::Message message;
  message.type = raft::MessageType::kAppend;
  message.from = ReplicaId(1);
  message.to = ReplicaId(2);
  message.index = LogIndex(2);
  message.log_term = Term(3);
  const LogImage log = LogOf({EntryAt(2, 2)});
  checker_.OnSend(message, &log);
  EXPECT_EQ(Rule(), "what it has");
}

}  // namespace
}  // namespace holdfast::sim
