#include "storage/rocksdb/batch_runs.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/prng.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr uint64_t kLong = kLongRunRows;

std::string Key(uint64_t n, uint32_t shard = 0) {
  std::string key;
  PutBigEndian32(&key, shard);
  PutBigEndian64(&key, n);
  return key;
}

// [begin, end), all deleted or all put.
struct Rows {
  uint64_t begin = 0;
  uint64_t end = 0;
  bool is_delete = false;
  uint32_t shard = 0;
};

StateBatch BatchOf(const std::vector<Rows>& all) {
  StateBatch batch;
  for (const Rows& rows : all) {
    for (uint64_t n = rows.begin; n < rows.end; ++n) {
      if (rows.is_delete) {
        batch.Delete(Table::kJob, Key(n, rows.shard));
      } else {
        batch.Put(Table::kJob, Key(n, rows.shard), "");
      }
    }
  }
  return batch;
}

// Files of `rows` keys each, without gaps, from 0 on.
FileEdges FilesOf(uint64_t files, uint64_t rows) {
  FileEdges edges;
  for (uint64_t i = 0; i < files; ++i) {
    edges.begins.push_back(Key(i * rows));
    edges.ends.push_back(Key((i + 1) * rows - 1));
  }
  return edges;
}

std::vector<BatchRun> Cut(const std::vector<Rows>& rows, const FileEdges& files = {}) {
  const StateBatch batch = BatchOf(rows);
  return CutIntoRuns(batch, Table::kJob, batch.Sorted(Table::kJob), files);
}

using Runs = std::vector<BatchRun>;

TEST(BatchRuns, ABatchWithoutRowsHasNoRuns) { EXPECT_EQ(Cut({}), Runs()); }

TEST(BatchRuns, NewRowsBehindAllFilesAreOneRun) {
  EXPECT_EQ(Cut({{1'000'000, 1'000'000 + 3 * kLong}}, FilesOf(100, 100)), (Runs{{0, 3 * kLong}}));
}

TEST(BatchRuns, LongRunsOfDeletionsAndOfPutsAreApart) {
  EXPECT_EQ(Cut({{0, kLong, true}, {kLong, 2 * kLong}}), (Runs{{0, kLong}, {kLong, 2 * kLong}}));
}

TEST(BatchRuns, LongRunsOfTwoShardsAreApart) {
  EXPECT_EQ(Cut({{0, kLong, false, 1}, {0, kLong, false, 2}}),
            (Runs{{0, kLong}, {kLong, 2 * kLong}}));
}

TEST(BatchRuns, ShortRunsShareAFile) {
  EXPECT_EQ(Cut({{0, 10, true}, {10, 20}, {0, 10, false, 1}, {10, 20, true, 2}}), (Runs{{0, 40}}));
}

TEST(BatchRuns, AShortRunDoesNotJoinALongOne) {
  EXPECT_EQ(Cut({{0, 10}, {10, 10 + kLong, true}, {10 + kLong, 20 + kLong}}),
            (Runs{{0, 10}, {10, 10 + kLong}, {10 + kLong, 20 + kLong}}));
}

TEST(BatchRuns, ALongRunEndsWhereAFileBegins) {
  EXPECT_EQ(Cut({{0, 3 * kLong, true}}, {.begins = {Key(2 * kLong)}, .ends = {}}),
            (Runs{{0, 2 * kLong}, {2 * kLong, 3 * kLong}}));
}

TEST(BatchRuns, ALongRunEndsWhereAFileEnds) {
  EXPECT_EQ(Cut({{0, 3 * kLong, true}}, {.begins = {}, .ends = {Key(2 * kLong - 1)}}),
            (Runs{{0, 2 * kLong}, {2 * kLong, 3 * kLong}}));
}

TEST(BatchRuns, AShortRunGoesOnOverTheEdgesOfSmallFiles) {
  EXPECT_EQ(Cut({{0, kLong, true}}, FilesOf(100, 100)), (Runs{{0, kLong}}));
}

// What makes a drain's cost grow with its backlog if it is missing: the deletions of one set at
// the front of the backlog and those of another set behind it were one run over all of it.
TEST(BatchRuns, NoRunLeapsOverABacklog) {
  const FileEdges files = FilesOf(20, kLong);
  const uint64_t end = 20 * kLong;
  EXPECT_EQ(Cut({{0, kLong, true}, {end, end + kLong, true}}, files),
            (Runs{{0, kLong}, {kLong, 2 * kLong}}));
  EXPECT_EQ(Cut({{0, 10, true}, {end, end + 10, true}}, files), (Runs{{0, 10}, {10, 20}}));
  EXPECT_EQ(Cut({{0, 10, true}, {end, end + 10}}, files), (Runs{{0, 10}, {10, 20}}));
}

TEST(BatchRuns, ShortRunsThatAreNearShareAFile) {
  const uint64_t near = kLong * kLeapFiles - 1;
  EXPECT_EQ(Cut({{0, 10, true}, {near, near + 10, true}}, FilesOf(20, kLong)), (Runs{{0, 20}}));
}

TEST(BatchRuns, ABatchScatteredOverAllFilesIsNotCutForEach) {
  for (const uint64_t count : {10u, 100u, 1000u, 3000u}) {
    std::vector<Rows> rows;
    for (uint64_t i = 0; i < count; ++i) rows.push_back({i * 100, i * 100 + 1, true});
    EXPECT_LE(Cut(rows, FilesOf(count, 100)).size(), 1u) << count;
    rows.clear();
    for (uint64_t i = 0; i < count; i += 7) rows.push_back({i * 100, i * 100 + 1, true});
    EXPECT_LE(Cut(rows, FilesOf(count, 100)).size(), kLeapParts + 1) << count;
  }
}

TEST(BatchRuns, RunsHoldEveryRowOnceInOrder) {
  Prng prng(1);
  for (int round = 0; round < 50; ++round) {
    std::vector<Rows> rows;
    uint64_t next = 0;
    for (uint64_t i = 0; i < prng.Between(1, 12); ++i) {
      next += prng.Between(0, 5 * kLong);
      const uint64_t end = next + prng.Between(1, 2 * kLong);
      rows.push_back({next, end, prng.Between(0, 1) == 0});
      next = end;
    }
    const StateBatch batch = BatchOf(rows);
    const std::vector<uint32_t> sorted = batch.Sorted(Table::kJob);
    const FileEdges files = FilesOf(prng.Between(0, 60), prng.Between(1, 2 * kLong));
    const Runs runs = CutIntoRuns(batch, Table::kJob, sorted, files);
    size_t at = 0;
    for (const BatchRun& run : runs) {
      EXPECT_EQ(run.begin, at) << round;
      EXPECT_LT(run.begin, run.end) << round;
      at = run.end;
      // Deletions and puts share a file only if it has few of both in a row.
      const uint64_t first = run.begin;
      uint64_t in_a_row = 0;
      bool mixed = false;
      uint64_t longest = 0;
      for (size_t i = run.begin; i < run.end; ++i) {
        const bool same = batch.At(Table::kJob, sorted[i]).is_delete ==
                          batch.At(Table::kJob, sorted[i > first ? i - 1 : i]).is_delete;
        in_a_row = same ? in_a_row + 1 : 1;
        mixed = mixed || !same;
        longest = std::max(longest, in_a_row);
      }
      EXPECT_TRUE(!mixed || longest < kLong) << round;
    }
    EXPECT_EQ(at, sorted.size()) << round;
  }
}

}  // namespace
}  // namespace holdfast
