#include "replication/node/replica_log.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "storage/memory_log/memory_log_store.h"

namespace holdfast {
namespace {

using raft::Entry;
using raft::LogRead;

constexpr ShardId kShard;
constexpr uint64_t kAll = UINT64_MAX;

Entry Make(uint64_t term, uint64_t index, size_t size = 10) {
  return {.term = Term(term),
          .index = LogIndex(index),
          .type = raft::EntryType::kCommands,
          .data = std::make_shared<const std::string>(size, 'x')};
}

// Terms of [first - 1, last].
std::vector<uint64_t> TermsOf(const ReplicaLog& log) {
  std::vector<uint64_t> terms;
  for (LogIndex i = Previous(log.First()); i <= log.Last(); i = Next(i)) {
    Term term;
    EXPECT_EQ(log.TermAt(i, &term), LogRead::kOk) << i.value();
    terms.push_back(term.value());
  }
  return terms;
}

class ReplicaLogTest : public ::testing::Test {
 protected:
  LogRead Read(uint64_t begin, uint64_t end, uint64_t bytes_max = kAll) {
    read_.clear();
    return log_.Read(LogIndex(begin), LogIndex(end), bytes_max, &read_);
  }
  void Append(uint64_t term, uint64_t begin, uint64_t end) {
    std::vector<Entry> entries;
    for (uint64_t i = begin; i < end; ++i) entries.push_back(Make(term, i));
    log_.Append(entries);
  }

  ReplicaLog log_;
  std::vector<Entry> read_;
};

TEST_F(ReplicaLogTest, IsEmptyAtFirst) {
  EXPECT_EQ(log_.First(), LogIndex(1));
  EXPECT_EQ(log_.Last(), LogIndex());
  Term term;
  EXPECT_EQ(log_.TermAt(LogIndex(1), &term), LogRead::kAbsent);
  EXPECT_EQ(Read(1, 2), LogRead::kAbsent);
}

TEST_F(ReplicaLogTest, LoadsTheTermsOfTheStoreWithoutItsEntries) {
  MemoryLogStore store;
  LogBatch batch;
  batch.Reset(kShard, LogIndex(4), Term(2));
  for (uint64_t i = 5; i <= 30; ++i)
    batch.Append(kShard, Term(i < 9 ? 2 : i / 10 + 3), LogIndex(i), 1, "x");
  ASSERT_TRUE(store.Write(batch, SyncMode::kNow).ok());
  log_.Load(store, kShard);
  EXPECT_EQ(log_.First(), LogIndex(5));
  EXPECT_EQ(log_.Last(), LogIndex(30));
  std::vector<uint64_t> terms = {2};
  for (uint64_t i = 5; i <= 30; ++i) terms.push_back(i < 9 ? 2 : i / 10 + 3);
  EXPECT_EQ(TermsOf(log_), terms);
  EXPECT_EQ(Read(5, 6), LogRead::kNotYet);
}

TEST_F(ReplicaLogTest, AnOverwrittenEntryAndAllAfterItAreGone) {
  Append(1, 1, 6);
  log_.Append(std::vector<Entry>{Make(2, 4)});
  EXPECT_EQ(log_.Last(), LogIndex(4));
  EXPECT_EQ(TermsOf(log_), (std::vector<uint64_t>{0, 1, 1, 1, 2}));
  ASSERT_EQ(Read(3, 5), LogRead::kOk);
  EXPECT_EQ(read_[1].term, Term(2));
}

TEST_F(ReplicaLogTest, ReadsAreBoundedInBytesButGiveOneEntry) {
  Append(1, 1, 6);
  ASSERT_EQ(Read(1, 6, 25), LogRead::kOk);
  EXPECT_EQ(read_.size(), 2u);
  ASSERT_EQ(Read(1, 6, 0), LogRead::kOk);
  EXPECT_EQ(read_.size(), 1u);
}

TEST_F(ReplicaLogTest, WhatWasTrimmedIsFetchedAndRead) {
  Append(1, 1, 11);
  log_.TrimTail(LogIndex(), 30);
  EXPECT_EQ(Read(8, 11), LogRead::kOk);
  EXPECT_EQ(Read(2, 11), LogRead::kNotYet);
  const auto fetch = log_.NextFetch();
  ASSERT_TRUE(fetch.has_value());
  EXPECT_EQ(fetch->begin, LogIndex(2));
  EXPECT_EQ(fetch->end, LogIndex(8));
  EXPECT_FALSE(log_.NextFetch().has_value());  // one at a time
  std::vector<Entry> entries;
  for (uint64_t i = 2; i < 8; ++i) entries.push_back(Make(1, i));
  log_.Fetched(std::move(entries));
  ASSERT_EQ(Read(2, 11), LogRead::kOk);
  EXPECT_EQ(read_.size(), 9u);  // of the chunk and the tail
}

TEST_F(ReplicaLogTest, WhatWasFetchedAndIsReplacedMeanwhileIsDropped) {
  Append(1, 1, 5);
  log_.TrimTail(LogIndex(4), kAll);
  ASSERT_EQ(Read(3, 5), LogRead::kNotYet);
  ASSERT_TRUE(log_.NextFetch().has_value());
  log_.Append(std::vector<Entry>{Make(2, 4)});
  log_.TrimTail(LogIndex(4), kAll);
  log_.Fetched({Make(1, 3), Make(1, 4)});
  ASSERT_EQ(Read(3, 5), LogRead::kOk);
  EXPECT_EQ(read_.size(), 1u);
  EXPECT_EQ(Read(4, 5), LogRead::kNotYet);
}

TEST_F(ReplicaLogTest, WhatIsCutIsCompactedAndItsLastTermStays) {
  Append(1, 1, 4);
  Append(2, 4, 7);
  log_.Compact(LogIndex(4));
  EXPECT_EQ(log_.First(), LogIndex(5));
  EXPECT_EQ(TermsOf(log_), (std::vector<uint64_t>{2, 2, 2}));
  EXPECT_EQ(Read(4, 5), LogRead::kCompacted);
  Term term;
  EXPECT_EQ(log_.TermAt(LogIndex(3), &term), LogRead::kCompacted);
}

TEST_F(ReplicaLogTest, ResetsToASnapshot) {
  Append(1, 1, 4);
  log_.Reset({.term = Term(3), .index = LogIndex(10)});
  EXPECT_EQ(log_.First(), LogIndex(11));
  EXPECT_EQ(log_.Last(), LogIndex(10));
  EXPECT_EQ(TermsOf(log_), (std::vector<uint64_t>{3}));
  Append(3, 11, 12);
  EXPECT_EQ(Read(11, 12), LogRead::kOk);
}

TEST_F(ReplicaLogTest, ASnapshotMustReachTheFirstEntry) {
  Append(1, 1, 10);
  raft::SnapshotDescriptor snapshot;
  EXPECT_EQ(log_.Snapshot(&snapshot), LogRead::kNotYet);
  EXPECT_TRUE(log_.wants_snapshot());
  raft::SnapshotDescriptor offered;
  offered.index = LogIndex(5);
  offered.term = Term(1);
  log_.OfferSnapshot(offered);
  EXPECT_FALSE(log_.wants_snapshot());
  EXPECT_EQ(log_.Snapshot(&snapshot), LogRead::kOk);
  EXPECT_EQ(snapshot.index, LogIndex(5));
  log_.Compact(LogIndex(6));
  EXPECT_EQ(log_.Snapshot(&snapshot), LogRead::kNotYet);
}

}  // namespace
}  // namespace holdfast
