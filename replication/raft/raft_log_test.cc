#include "replication/raft/raft_log.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/testing/core_cluster.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

std::vector<uint64_t> Terms(const std::vector<Entry>& entries) {
  std::vector<uint64_t> terms;
  for (const Entry& entry : entries) terms.push_back(entry.term.value());
  return terms;
}

// A log whose first `stored` entries are in storage and whose others are not.
class Log {
 public:
  explicit Log(const std::vector<uint64_t>& stored, const std::vector<uint64_t>& unstored = {},
               uint64_t applying_bytes_max = UINT64_MAX) {
    Ready ready;
    ready.entries = EntriesOf(1, stored);
    storage.Write(ready);
    log.emplace(RaftLog::Options{.reader = &storage,
                                 .applying_bytes_max = applying_bytes_max,
                                 .apply_from = RaftLog::ApplyFrom::kStored});
    for (Entry& entry : EntriesOf(stored.size() + 1, unstored)) log->Append(std::move(entry));
  }
  RaftLog* operator->() { return &*log; }

  std::vector<uint64_t> AllTerms() {
    std::vector<Entry> all;
    EXPECT_EQ(log->Read(log->first(), Next(log->last()), UINT64_MAX, &all), LogRead::kOk);
    return Terms(all);
  }
  // Writes what is to be written, and says so.
  void WriteAll() {
    Ready ready;
    const EntryId last = log->LastId();
    log->unstable().TakeEntries(&ready.entries);
    storage.Write(ready);
    log->unstable().OnStored(last);
  }

  PlainLog storage;
  std::optional<RaftLog> log;
};

TEST(RaftLog, EntriesAreAcceptedOnlyAfterOneThatAgrees) {
  struct Case {
    EntryId previous;
    std::vector<uint64_t> terms;  // of the entries after it
    std::optional<uint64_t> agreed;
    std::vector<uint64_t> after;
  };
  const std::vector<Case> cases{
      {At(3, 3), {4}, 4, {1, 2, 3, 4}},
      {At(3, 3), {}, 3, {1, 2, 3}},
      {At(2, 3), {4}, std::nullopt, {1, 2, 3}},  // another term there
      {At(3, 4), {4}, std::nullopt, {1, 2, 3}},  // beyond the end
      {At(0, 0), {1, 2}, 2, {1, 2, 3}},          // known already: what follows stays
      {At(1, 1), {2, 3}, 3, {1, 2, 3}},          // known to the end
      {At(1, 1), {2, 3, 3}, 4, {1, 2, 3, 3}},    // in part
      {At(1, 1), {4}, 2, {1, 4}},                // a conflict drops all that follows
      {At(2, 2), {4, 4}, 4, {1, 2, 4, 4}},
      {At(1, 1), {2, 4, 4}, 4, {1, 2, 4, 4}},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    for (const size_t stored : {0, 1, 2, 3}) {
      const std::vector<uint64_t> terms{1, 2, 3};
      const auto split = terms.begin() + static_cast<int64_t>(stored);
      Log log({terms.begin(), split}, {split, terms.end()});
      std::vector<Entry> entries = EntriesOf(cases[i].previous.index.value() + 1, cases[i].terms);
      const std::optional<LogIndex> agreed = log->Accept(cases[i].previous, &entries);
      ASSERT_EQ(agreed.has_value(), cases[i].agreed.has_value()) << i;
      if (agreed.has_value()) {
        EXPECT_EQ(agreed->value(), *cases[i].agreed) << i;
      }
      EXPECT_EQ(log.AllTerms(), cases[i].after) << i << " stored " << stored;
    }
  }
}

TEST(RaftLog, GuessOfAgreementIsTheLastEntryWithNoLaterTerm) {
  struct Case {
    std::vector<uint64_t> terms;
    uint64_t index;
    uint64_t term;
    EntryId guess;
  };
  const std::vector<Case> cases{
      {{1, 3, 3, 3, 5, 5, 5, 5, 5}, 6, 2, At(1, 1)},
      {{1, 3, 3, 4, 4, 5, 5, 5, 6}, 8, 3, At(3, 3)},
      {{2, 2, 2}, 3, 2, At(2, 3)},
      {{2, 2, 2}, 3, 9, At(2, 3)},
      {{2, 2, 2}, 3, 1, At(0, 0)},
      {{2, 2, 2}, 7, 2, At(0, 7)},  // not known: perhaps
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    Log log(cases[i].terms);
    EXPECT_EQ(log->AgreementGuess(LogIndex(cases[i].index), Term(cases[i].term)), cases[i].guess)
        << i;
  }
}

TEST(RaftLog, CommitNeverGoesBack) {
  Log log({1, 1, 1});
  log->CommitTo(LogIndex(2));
  log->CommitTo(LogIndex(1));
  EXPECT_EQ(log->commit(), LogIndex(2));
}

TEST(RaftLogDeathTest, WhatIsCommittedIsNeverReplaced) {
  Log log({1, 1, 1});
  log->CommitTo(LogIndex(2));
  std::vector<Entry> entries = EntriesOf(2, {2});
  EXPECT_DEATH(log->Accept(At(1, 1), &entries), "commit_");
}

TEST(RaftLogDeathTest, CommitBeyondTheLastIsDamage) {
  Log log({1, 1, 1});
  EXPECT_DEATH(log->CommitTo(LogIndex(4)), "last");
}

TEST(RaftLog, OnlyStoredEntriesAreHandedOutToBeApplied) {
  Log log({1, 1}, {1, 1});
  log->CommitTo(LogIndex(4));
  std::vector<Entry> committed;
  EXPECT_EQ(log->TakeCommitted(&committed), LogRead::kOk);
  EXPECT_EQ(committed.size(), 2u);
  EXPECT_FALSE(log->HasCommitted());
  log.WriteAll();
  EXPECT_TRUE(log->HasCommitted());
}

TEST(RaftLog, HandedOutOnceAndNoMoreThanTheLimitUntilApplied) {
  const uint64_t one = CostOf(EntriesOf(1, {1})[0]);
  Log log({1, 1, 1, 1, 1}, {}, 2 * one);
  log->CommitTo(LogIndex(5));
  std::vector<Entry> committed;
  log->TakeCommitted(&committed);
  ASSERT_EQ(committed.size(), 2u);
  EXPECT_FALSE(log->HasCommitted());
  log->OnApplied(LogIndex(1));  // a batch counts until all of it is applied
  EXPECT_FALSE(log->HasCommitted());
  EXPECT_EQ(log->OnApplied(LogIndex(2)), 2u);
  EXPECT_TRUE(log->HasCommitted());
  committed.clear();
  log->TakeCommitted(&committed);
  ASSERT_EQ(committed.size(), 2u);
  EXPECT_EQ(committed[0].index, LogIndex(3));
}

TEST(RaftLog, AnEntryLargerThanTheLimitGoesAlone) {
  Log log({1, 1, 1}, {}, 1);
  log->CommitTo(LogIndex(3));
  for (uint64_t i = 1; i <= 3; ++i) {
    std::vector<Entry> committed;
    log->TakeCommitted(&committed);
    ASSERT_EQ(committed.size(), 1u);
    log->OnApplied(LogIndex(i));
  }
}

TEST(RaftLog, ReadJoinsWhatIsStoredAndWhatIsNot) {
  for (const uint64_t limit : {0, 1, 2, 3, 4, 5, 9}) {
    for (const size_t stored : {0, 2, 4}) {
      Log log(std::vector<uint64_t>(stored, 1), std::vector<uint64_t>(4 - stored, 1));
      std::vector<Entry> read;
      const uint64_t cost = CostOf(EntriesOf(1, {1})[0]);
      ASSERT_EQ(log->Read(LogIndex(1), LogIndex(5), limit * cost, &read), LogRead::kOk);
      EXPECT_EQ(read.size(), std::clamp<size_t>(limit, 1, 4)) << limit << " " << stored;
    }
  }
}

TEST(RaftLog, WhatWasReplacedDuringItsWriteDoesNotCountAsStored) {
  Log log({}, {1, 1, 1});
  const EntryId written = log->LastId();
  std::vector<Entry> taken;
  log->unstable().TakeEntries(&taken);
  std::vector<Entry> entries = EntriesOf(2, {2, 2});
  ASSERT_TRUE(log->Accept(At(1, 1), &entries).has_value());
  log->unstable().OnStored(written);
  EXPECT_EQ(log->unstable().offset(), LogIndex(1));
  EXPECT_TRUE(log->unstable().HasEntriesToWrite());
  taken.clear();
  log->unstable().TakeEntries(&taken);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].index, LogIndex(2));
}

TEST(RaftLog, WhatIsBeingWrittenIsNotHandedOutAgain) {
  Log log({}, {1, 1});
  std::vector<Entry> taken;
  log->unstable().TakeEntries(&taken);
  EXPECT_EQ(taken.size(), 2u);
  EXPECT_FALSE(log->unstable().HasEntriesToWrite());
  log->Append(EntriesOf(3, {1})[0]);
  taken.clear();
  log->unstable().TakeEntries(&taken);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].index, LogIndex(3));
  log->unstable().OnStored(At(1, 2));
  EXPECT_EQ(log->unstable().offset(), LogIndex(3));
  log->unstable().OnStored(At(1, 1));  // old news
  log->unstable().OnStored(At(1, 9));  // of nothing that is here
  EXPECT_EQ(log->unstable().offset(), LogIndex(3));
}

TEST(RaftLog, TermsAreKnownFromTheEntryBeforeTheFirstToTheLast) {
  Log log({1, 2, 3}, {4});
  log.storage.Compact(LogIndex(2), {});
  Term term;
  EXPECT_EQ(log->TermAt(LogIndex(1), &term), LogRead::kCompacted);
  for (uint64_t i = 2; i <= 4; ++i) {
    ASSERT_EQ(log->TermAt(LogIndex(i), &term), LogRead::kOk);
    EXPECT_EQ(term, Term(i));
  }
  EXPECT_EQ(log->TermAt(LogIndex(5), &term), LogRead::kAbsent);
  std::vector<Entry> read;
  EXPECT_EQ(log->Read(LogIndex(2), LogIndex(3), 99, &read), LogRead::kCompacted);
}

TEST(RaftLog, SnapshotStandsForEverythingBefore) {
  Log log({1, 1}, {1, 1});
  auto snapshot = std::make_shared<SnapshotDescriptor>();
  snapshot->index = LogIndex(10);
  snapshot->term = Term(3);
  log->Restore(snapshot);
  EXPECT_EQ(log->first(), LogIndex(11));
  EXPECT_EQ(log->LastId(), At(3, 10));
  EXPECT_EQ(log->commit(), LogIndex(10));
  EXPECT_FALSE(log->HasCommitted());
  log->Append(EntriesOf(11, {3})[0]);
  log->CommitTo(LogIndex(11));
  EXPECT_FALSE(log->HasCommitted());  // the snapshot comes first
  Ready ready;
  ready.snapshot = snapshot;
  log->unstable().TakeEntries(&ready.entries);
  log.storage.Write(ready);
  log->OnSnapshotInstalled(LogIndex(9));  // another one
  EXPECT_TRUE(log->unstable().HasSnapshotToWrite());
  log->OnSnapshotInstalled(LogIndex(10));
  log->unstable().OnStored(At(3, 11));
  EXPECT_EQ(log->applied(), LogIndex(10));
  EXPECT_TRUE(log->HasCommitted());
}

TEST(RaftLog, ConfigurationEntriesAreFoundPageByPageAndForgottenWhenTruncated) {
  Log log({1, 1, 1}, {1, 1});
  const auto change = [](uint64_t index, uint64_t term) {
    std::vector<Entry> entries = EntriesOf(index, {term});
    entries[0].type = EntryType::kConfiguration;
    return entries;
  };
  const auto found = [&] {
    EXPECT_EQ(log->FindConfigChanges(/*bytes_max=*/1), LogRead::kOk);
    return log->config_changes();
  };
  EXPECT_TRUE(found().empty());
  log->Append(change(6, 1)[0]);
  log->Append(EntriesOf(7, {1})[0]);
  log->Append(change(8, 1)[0]);
  EXPECT_EQ(found(), (std::vector{LogIndex(6), LogIndex(8)}));

  // Another leader has others from 8 on.
  std::vector<Entry> others = EntriesOf(8, {2, 2});
  ASSERT_TRUE(log->Accept(At(1, 7), &others).has_value());
  EXPECT_EQ(found(), std::vector{LogIndex(6)});
  others = change(10, 2);
  ASSERT_TRUE(log->Accept(At(2, 9), &others).has_value());
  EXPECT_EQ(found(), (std::vector{LogIndex(6), LogIndex(10)}));

  // What is applied is of no interest.
  log.WriteAll();
  log->CommitTo(LogIndex(7));
  log->OnApplied(LogIndex(7));
  EXPECT_EQ(found(), std::vector{LogIndex(10)});

  auto snapshot = std::make_shared<SnapshotDescriptor>();
  snapshot->index = LogIndex(20);
  snapshot->term = Term(2);
  log->Restore(snapshot);
  log->Append(change(21, 2)[0]);
  log->OnSnapshotInstalled(LogIndex(20));
  EXPECT_EQ(found(), std::vector{LogIndex(21)});
}

TEST(RaftLog, TheSearchForConfigurationEntriesGoesOnWhereItWas) {
  Log log({1, 1, 1, 1});
  log.storage.not_yet = true;
  EXPECT_EQ(log->FindConfigChanges(1), LogRead::kNotYet);
  log.storage.not_yet = false;
  EXPECT_EQ(log->FindConfigChanges(1), LogRead::kOk);
  log.storage.not_yet = true;  // nothing is read again
  EXPECT_EQ(log->FindConfigChanges(1), LogRead::kOk);
}

TEST(RaftLog, AfterAStartTheNewestOfWhatIsKnownToBeCommittedCounts) {
  struct Case {
    uint64_t commit;
    uint64_t applied;
    uint64_t expected;
  };
  for (const Case& c : {Case{0, 0, 2}, Case{3, 0, 3}, Case{1, 0, 2}, Case{3, 4, 4}}) {
    PlainLog storage;
    Ready ready;
    ready.entries = EntriesOf(1, {1, 1, 1, 1});
    storage.Write(ready);
    storage.Compact(LogIndex(2), {});
    RaftLog log(
        {.reader = &storage, .applying_bytes_max = 100, .apply_from = RaftLog::ApplyFrom::kStored});
    log.Load(LogIndex(c.commit), LogIndex(c.applied));
    EXPECT_EQ(log.commit(), LogIndex(c.expected));
    EXPECT_EQ(log.applied(), LogIndex(std::max<uint64_t>(c.applied, 2)));
  }
}

}  // namespace
}  // namespace holdfast::raft
