// Which rows the reader finds, and by how many lookups: ids that lie close together are read by one
// scan, whatever is missing between them.

#include "server/engine/overlay/cold_reader.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "server/codec/row_keys.h"
#include "storage/memory_state/memory_state_store.h"

namespace holdfast {
namespace {

constexpr ShardId kShard(1);
constexpr uint64_t kShards = 4;

// Counts what is asked of a snapshot.
class CountingSnapshot final : public StateSnapshot {
 public:
  explicit CountingSnapshot(std::shared_ptr<const StateSnapshot> base) : base_(std::move(base)) {}

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const override {
    ++lookups;
    return base_->Get(table, key);
  }
  absl::Status MultiGet(
      Table table, absl::Span<const std::string_view> keys, Reach reach,
      absl::FunctionRef<void(size_t, std::optional<std::string_view>)> found) const override {
    lookups += keys.size();
    return base_->MultiGet(table, keys, reach, found);
  }
  absl::StatusOr<ScanEnd> Scan(
      Table table, const ScanRange& range,
      absl::FunctionRef<bool(std::string_view, std::string_view)> visit) const override {
    absl::StatusOr<ScanEnd> end = base_->Scan(table, range, visit);
    if (end.ok()) scanned += end->rows;
    return end;
  }
  absl::StatusOr<uint64_t> ApproximateSize(Table table, std::string_view begin,
                                           std::string_view end) const override {
    return base_->ApproximateSize(table, begin, end);
  }

  mutable uint64_t lookups = 0;
  mutable uint64_t scanned = 0;

 private:
  const std::shared_ptr<const StateSnapshot> base_;
};

class ColdReaderTest : public ::testing::Test {
 protected:
  static JobId Id(uint64_t sequence) { return JobId(sequence * kShards + kShard.value()); }

  void Store(uint64_t sequence) {
    Job job;
    job.id = Id(sequence);
    job.priority = static_cast<uint32_t>(sequence);
    batch_.Put(Table::kJob, JobRowKey(kShard, job.id), EncodeJobRow(job));
  }
  // Which of the jobs are found, each with its own row.
  std::vector<bool> Fetch(const std::vector<uint64_t>& sequences) {
    EXPECT_TRUE(store_.Flush(batch_).ok());
    snapshot_.emplace(store_.Snapshot());
    Needs needs;
    for (const uint64_t sequence : sequences) needs.jobs.push_back(Id(sequence));
    const absl::StatusOr<Loaded> loaded = FetchNeeds(*snapshot_, kShard, needs);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->jobs.size() + loaded->absent_jobs.size(), sequences.size());
    std::vector<bool> found(sequences.size());
    for (const Job& job : loaded->jobs) {
      EXPECT_EQ(Id(job.priority), job.id);
      for (size_t i = 0; i < sequences.size(); ++i) {
        if (Id(sequences[i]) == job.id) found[i] = true;
      }
    }
    return found;
  }

  MemoryStateStore store_;
  StateBatch batch_;
  std::optional<CountingSnapshot> snapshot_;
};

TEST_F(ColdReaderTest, NeighboursAreReadByOneScan) {
  std::vector<uint64_t> wanted;
  for (uint64_t i = 0; i < 300; ++i) {
    Store(i);
    if (i >= 100 && i < 200) wanted.insert(wanted.begin(), i);
  }
  EXPECT_EQ(Fetch(wanted), std::vector<bool>(100, true));
  EXPECT_EQ(snapshot_->lookups, 0u);
  EXPECT_EQ(snapshot_->scanned, 100u);
}

TEST_F(ColdReaderTest, AbsentRowsAreAbsentWhereverTheyLie) {
  std::vector<uint64_t> wanted;
  std::vector<bool> there;
  for (uint64_t i = 0; i < 100; ++i) {
    wanted.push_back(i);
    there.push_back(i != 0 && i != 50 && i != 51 && i != 99);
    if (there.back()) Store(i);
  }
  EXPECT_EQ(Fetch(wanted), there);
  EXPECT_EQ(snapshot_->lookups, 0u);
}

TEST_F(ColdReaderTest, FarApartAndFewAreLookedUp) {
  std::vector<uint64_t> wanted;
  for (uint64_t i = 0; i < 1000; ++i) Store(i);
  for (uint64_t i = 0; i < 100; ++i) wanted.push_back(i * (i % 7 == 0 ? 10 : 9) % 1000);
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  wanted.push_back(wanted.back() + 1);  // so that there are neighbours
  EXPECT_EQ(Fetch(wanted), std::vector<bool>(wanted.size(), true));
  EXPECT_EQ(snapshot_->scanned, 0u);
  EXPECT_EQ(Fetch({1, 2, 3}), std::vector<bool>(3, true));
  EXPECT_EQ(snapshot_->scanned, 0u);
}

// Evenly spread ids look dense; the scan's bound ends it, and lookups find the rest.
TEST_F(ColdReaderTest, ScanIsBoundedAndTheRestIsLookedUp) {
  std::vector<uint64_t> wanted;
  for (uint64_t i = 0; i < 1000; ++i) Store(i);
  for (uint64_t i = 0; i < 100; ++i) wanted.push_back(i * 10);
  EXPECT_EQ(Fetch(wanted), std::vector<bool>(100, true));
  EXPECT_EQ(snapshot_->scanned, 200u);
  EXPECT_EQ(snapshot_->lookups, 80u);
}

TEST_F(ColdReaderTest, AnySetOfIdsIsFound) {
  Prng prng(7);
  for (int round = 0; round < 200; ++round) {
    const uint64_t span = 1 + prng.Below(400);
    std::vector<uint64_t> wanted;
    std::vector<bool> there;
    StateBatch clear;
    for (uint64_t i = 0; i < 400; ++i) clear.Delete(Table::kJob, JobRowKey(kShard, Id(i)));
    ASSERT_TRUE(store_.Flush(clear).ok());
    batch_ = StateBatch();
    for (uint64_t i = 0; i < span; ++i) {
      const bool stored = prng.Chance(3, 4);
      if (stored) Store(i);
      if (!prng.Chance(1, 2)) continue;
      wanted.push_back(i);
      there.push_back(stored);
    }
    EXPECT_EQ(Fetch(wanted), there) << "round " << round;
  }
}

}  // namespace
}  // namespace holdfast
