#include "replication/raft/testing/safety.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "replication/raft/testing/memory_log.h"

namespace holdfast::raft {
namespace {

Entry At(uint64_t term, uint64_t index, const char* data) {
  Entry entry;
  entry.term = Term(term);
  entry.index = LogIndex(index);
  entry.type = EntryType::kCommands;
  entry.data = std::make_shared<const std::string>(data);
  return entry;
}

SnapshotDescriptor SnapshotAt(uint64_t index) {
  SnapshotDescriptor snapshot;
  snapshot.index = LogIndex(index);
  snapshot.term = Term(1);
  return snapshot;
}

class SafetyTest : public testing::Test {
 protected:
  SafetyTest() {
    safety_.Starts(ReplicaId(1), log_);
    safety_.Starts(ReplicaId(2), log_);
  }
  // Whether something is violated, and forgets it.
  bool Violated() { return !safety_.TakeViolations().empty(); }

  MemoryLog log_{SnapshotAt(10)};
  Safety safety_;
};

TEST_F(SafetyTest, OneLeaderATerm) {
  safety_.Leads(ReplicaId(1), Term(1));
  safety_.Leads(ReplicaId(1), Term(1));
  safety_.Leads(ReplicaId(2), Term(2));
  EXPECT_FALSE(Violated());
  safety_.Leads(ReplicaId(2), Term(1));
  EXPECT_TRUE(Violated());
}

TEST_F(SafetyTest, SameEntryEverywhere) {
  safety_.Applies(ReplicaId(1), At(1, 11, "a"));
  safety_.Applies(ReplicaId(2), At(1, 11, "a"));
  EXPECT_FALSE(Violated());
  safety_.Applies(ReplicaId(1), At(1, 12, "b"));
  safety_.Applies(ReplicaId(2), At(1, 12, "c"));
  EXPECT_TRUE(Violated());
}

TEST_F(SafetyTest, AppliesInOrderAndOnce) {
  safety_.Applies(ReplicaId(1), At(1, 12, "b"));
  EXPECT_TRUE(Violated()) << "11 is left out";
  safety_.Applies(ReplicaId(1), At(1, 12, "b"));
  EXPECT_TRUE(Violated()) << "a second time";
  safety_.Installs(ReplicaId(1), SnapshotAt(20));
  safety_.Applies(ReplicaId(1), At(1, 21, "x"));
  EXPECT_FALSE(Violated());
  safety_.Installs(ReplicaId(1), SnapshotAt(15));
  EXPECT_TRUE(Violated()) << "a snapshot takes it back";
}

TEST_F(SafetyTest, HardStateOnlyGoesForward) {
  safety_.Writes(ReplicaId(1), {Term(2), ReplicaId(1), LogIndex(10)});
  safety_.Writes(ReplicaId(1), {Term(2), ReplicaId(1), LogIndex(11)});
  safety_.Writes(ReplicaId(1), {Term(3), ReplicaId(2), LogIndex(11)});
  EXPECT_FALSE(Violated());
  safety_.Writes(ReplicaId(1), {Term(3), ReplicaId(1), LogIndex(11)});
  EXPECT_TRUE(Violated()) << "a second vote in a term";
  safety_.Writes(ReplicaId(1), {Term(3), ReplicaId(1), LogIndex(10)});
  EXPECT_TRUE(Violated()) << "commit goes back";
  safety_.Writes(ReplicaId(1), {Term(2), ReplicaId(1), LogIndex(11)});
  EXPECT_TRUE(Violated()) << "the term goes back";
}

TEST_F(SafetyTest, VotesAndAcknowledgementsAreStoredFirst) {
  Message vote;
  vote.type = MessageType::kVoteResponse;
  vote.from = ReplicaId(1);
  vote.to = ReplicaId(2);
  vote.term = Term(2);
  safety_.Sends(vote, log_);
  EXPECT_TRUE(Violated());
  log_.SetHardState({Term(2), ReplicaId(2), LogIndex(10)});
  safety_.Sends(vote, log_);
  EXPECT_FALSE(Violated());

  Message response = vote;
  response.type = MessageType::kAppendResponse;
  response.index = LogIndex(11);
  safety_.Sends(response, log_);
  EXPECT_TRUE(Violated());
  log_.Append({At(2, 11, "a")});
  safety_.Sends(response, log_);
  EXPECT_FALSE(Violated());
}

TEST(MemoryLog, CompactsKeepsTermsAndOverwrites) {
  MemoryLog log(SnapshotAt(10));
  log.Append({At(1, 11, "a"), At(1, 12, "b"), At(1, 13, "c")});
  EXPECT_EQ(log.CompactTo(LogIndex(11)), std::nullopt);
  EXPECT_EQ(log.First(), LogIndex(12));
  EXPECT_EQ(log.Last(), LogIndex(13));
  EXPECT_TRUE(log.CompactTo(LogIndex(11)).has_value()) << "gone already";
  EXPECT_TRUE(log.CompactTo(LogIndex(14)).has_value()) << "not there";
  Term term;
  EXPECT_EQ(log.TermAt(LogIndex(10), &term), LogRead::kCompacted);
  EXPECT_EQ(log.TermAt(LogIndex(11), &term), LogRead::kOk) << "of the entry before the first";
  EXPECT_EQ(log.TermAt(LogIndex(14), &term), LogRead::kAbsent);

  log.Append({At(2, 12, "x")});
  EXPECT_EQ(log.Last(), LogIndex(12)) << "an entry drops those after it";
  std::vector<Entry> entries;
  EXPECT_EQ(log.Read(LogIndex(12), LogIndex(13), 0, &entries), LogRead::kOk);
  ASSERT_EQ(entries.size(), 1u) << "at least one";
  EXPECT_EQ(*entries[0].data, "x");
}

}  // namespace
}  // namespace holdfast::raft
