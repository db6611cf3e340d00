// The contract of storage/state_store.h, for every implementation, against a std::map.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/coding.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "storage/faulty/faulty_state_store.h"
#include "storage/memory_state/memory_state_store.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/rocksdb/scratch_directory.h"
#include "storage/state_store.h"

namespace holdfast {
namespace {

using Rows = std::map<std::string, std::string>;
using Model = std::array<Rows, kTableCount>;

// An implementation; Reopen() makes a new store object on what the last one left.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual std::unique_ptr<StateStore> Reopen(std::unique_ptr<StateStore> old) = 0;
};

class RocksDbSubject final : public Subject {
 public:
  std::unique_ptr<StateStore> Reopen(std::unique_ptr<StateStore> old) override {
    old.reset();
    auto store = OpenRocksDbStateStore(
        {.directory = directory_.path() + "/state", .block_cache_bytes = 1 << 20});
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

 private:
  ScratchDirectory directory_;
};

class MemorySubject final : public Subject {
 public:
  std::unique_ptr<StateStore> Reopen(std::unique_ptr<StateStore> old) override {
    return old != nullptr ? std::move(old) : std::make_unique<MemoryStateStore>();
  }
};

class FaultySubject final : public Subject {
 public:
  std::unique_ptr<StateStore> Reopen(std::unique_ptr<StateStore>) override {
    disk_.Crash();
    return disk_.Open();
  }

 private:
  FaultyStateDisk disk_;
};

struct Kind {
  const char* name;
  std::unique_ptr<Subject> (*make)();
};

class StateStoreContract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    subject_ = GetParam().make();
    Reopen();
  }
  void Reopen() {
    store_ = subject_->Reopen(std::move(store_));
    ASSERT_NE(store_, nullptr);
  }
  void Flush(const StateBatch& batch) {
    const absl::Status status = store_->Flush(batch);
    ASSERT_TRUE(status.ok()) << status;
  }

  std::unique_ptr<Subject> subject_;
  std::unique_ptr<StateStore> store_;
};

Rows ScanAll(const StateSnapshot& snapshot, Table table, uint64_t rows_max, uint64_t bytes_max) {
  Rows rows;
  std::string begin(1, '\0');
  while (true) {
    uint64_t visited = 0;
    auto end = snapshot.Scan(table, {begin, "\xff\xff\xff\xfe", rows_max, bytes_max},
                             [&](std::string_view key, std::string_view value) {
                               EXPECT_TRUE(rows.empty() || rows.rbegin()->first < key);
                               rows.emplace(key, value);
                               ++visited;
                               return true;
                             });
    EXPECT_TRUE(end.ok()) << end.status();
    if (!end.ok()) return rows;
    EXPECT_EQ(end->rows, visited);
    EXPECT_LE(visited, rows_max);
    if (end->reached_end) return rows;
    EXPECT_GT(visited, 0u);
    EXPECT_GT(end->next, rows.rbegin()->first);
    begin = end->next;
  }
}

void ExpectIs(const StateSnapshot& snapshot, const Model& model, Prng* prng) {
  for (const Table table : kAllTables) {
    const Rows& expected = model[static_cast<size_t>(table)];
    EXPECT_EQ(ScanAll(snapshot, table, 1 + prng->Below(50), 1 + prng->Below(2000)), expected);
    std::vector<std::string> keys;
    for (int i = 0; i < 300; ++i) {
      std::string key;
      PutBigEndian32(&key, static_cast<uint32_t>(prng->Below(3)));
      PutBigEndian64(&key, prng->Below(200));
      keys.push_back(std::move(key));
    }
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    size_t next = 0;
    const auto expect = [&](size_t i, std::optional<std::string_view> value) {
      EXPECT_EQ(i, next++);
      const auto it = expected.find(keys[i]);
      ASSERT_EQ(value.has_value(), it != expected.end());
      if (value.has_value()) {
        EXPECT_EQ(*value, it->second);
      }
    };
    const absl::Status status = snapshot.MultiGet(table, views, Reach::kDevice, expect);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(next, keys.size());
    for (const size_t count : {size_t{1}, keys.size()}) {
      next = 0;
      const absl::Status quick =
          snapshot.MultiGet(table, absl::MakeSpan(views).first(count), Reach::kMemory, expect);
      EXPECT_TRUE(quick.ok() ? next == count : absl::IsAborted(quick)) << quick;
    }
    const auto got = snapshot.Get(table, keys[0]);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->has_value(), expected.contains(keys[0]));
  }
}

// Changes `model` and returns the batch that does the same.
StateBatch RandomBatch(Model* model, Prng* prng, std::vector<std::string>* kept) {
  StateBatch batch;
  const uint64_t operations = 1 + prng->Below(200);
  for (uint64_t n = 0; n < operations; ++n) {
    const Table table = kAllTables[prng->Below(kTableCount)];
    Rows& rows = (*model)[static_cast<size_t>(table)];
    std::string key;
    PutBigEndian32(&key, static_cast<uint32_t>(prng->Below(3)));
    PutBigEndian64(&key, prng->Below(200));
    if (prng->Chance(2, 5)) {
      rows.erase(key);
      batch.Delete(table, key);
      continue;
    }
    std::string value(prng->Below(40), static_cast<char>(prng->Next()));
    rows[key] = value;
    if (prng->Chance(1, 2)) {
      batch.Put(table, key, value);
    } else {
      kept->push_back(std::move(value));
      batch.PutReference(table, key, kept->back());
    }
  }
  return batch;
}

TEST_P(StateStoreContract, SnapshotsSeeExactlyTheFlushesBeforeThem) {
  for (const uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    subject_ = GetParam().make();
    store_.reset();
    Reopen();
    Model model;
    std::vector<std::pair<std::shared_ptr<const StateSnapshot>, Model>> pinned;
    for (int round = 0; round < 25; ++round) {
      std::vector<std::string> kept;
      kept.reserve(1000);
      Flush(RandomBatch(&model, &prng, &kept));
      if (prng.Chance(1, 3)) pinned.emplace_back(store_->Snapshot(), model);
      if (pinned.size() > 4) pinned.erase(pinned.begin() + prng.Below(pinned.size()));
      ExpectIs(*store_->Snapshot(), model, &prng);
      for (const auto& [snapshot, then] : pinned) ExpectIs(*snapshot, then, &prng);
      if (prng.Chance(1, 6)) {
        pinned.clear();
        Reopen();
        ExpectIs(*store_->Snapshot(), model, &prng);
      }
    }
  }
}

TEST_P(StateStoreContract, AScanStopsAtItsLimitsAndSaysWhereToGoOn) {
  StateBatch batch;
  for (const char* key : {"a", "b", "c", "d", "e"}) batch.Put(Table::kIndex, key, "12345678");
  Flush(batch);
  const auto snapshot = store_->Snapshot();
  std::string seen;
  const auto all = [&](std::string_view key, std::string_view) {
    seen += key;
    return true;
  };
  const auto scan = [&](ScanRange range) {
    seen.clear();
    return *snapshot->Scan(Table::kIndex, range, all);
  };

  ScanEnd end = scan({.begin = "b", .end = "e"});
  EXPECT_EQ(seen, "bcd");
  EXPECT_TRUE(end.reached_end);
  EXPECT_EQ(end.rows, 3u);
  EXPECT_EQ(end.bytes, 27u);

  end = scan({.begin = "b", .end = "e", .rows_max = 2});
  EXPECT_EQ(seen, "bc");
  EXPECT_FALSE(end.reached_end);
  EXPECT_EQ(end.next, "d");

  end = scan({.begin = "a", .end = "z", .rows_max = 100, .bytes_max = 20});
  EXPECT_EQ(seen, "ab");
  EXPECT_EQ(end.next, "c");

  end = scan({.begin = "a", .end = "z", .rows_max = 100, .bytes_max = 1});  // One row always.
  EXPECT_EQ(seen, "a");
  EXPECT_EQ(end.next, "b");

  end = scan({.begin = "a", .end = "c", .rows_max = 2});  // A full range is a reached end.
  EXPECT_EQ(seen, "ab");
  EXPECT_TRUE(end.reached_end);

  end = scan({.begin = "c", .end = "c"});
  EXPECT_EQ(seen, "");
  EXPECT_TRUE(end.reached_end);

  end = *snapshot->Scan(Table::kIndex, {.begin = "a", .end = "z"},
                        [](std::string_view key, std::string_view) { return key != "b"; });
  EXPECT_FALSE(end.reached_end);
  EXPECT_EQ(end.rows, 2u);
  end = scan({.begin = end.next, .end = "z"});
  EXPECT_EQ(seen, "cde");
}

TEST_P(StateStoreContract, AnEmptyBatchChangesNothing) {
  Flush(StateBatch());
  Prng prng(1);
  ExpectIs(*store_->Snapshot(), Model(), &prng);
}

TEST_P(StateStoreContract, ValuesMayBeEmptyOrLargeOrBinary) {
  const std::string large(5 << 20, '\xee');
  const std::string binary("\0\xff\n\0", 4);
  StateBatch batch;
  batch.Put(Table::kPayload, "empty", "");
  batch.PutReference(Table::kPayload, "large", large);
  batch.Put(Table::kPayload, binary, binary);
  Flush(batch);
  Reopen();
  const auto snapshot = store_->Snapshot();
  EXPECT_EQ(**snapshot->Get(Table::kPayload, "empty"), "");
  EXPECT_TRUE(**snapshot->Get(Table::kPayload, "large") == large);
  EXPECT_EQ(**snapshot->Get(Table::kPayload, binary), binary);
  EXPECT_EQ(*snapshot->Get(Table::kPayload, "none"), std::nullopt);
  EXPECT_EQ(*snapshot->Get(Table::kJob, "empty"), std::nullopt);
}

TEST_P(StateStoreContract, ReadsRunBesideFlushesAndNeverSeeHalfOfOne) {
  // Every flush writes its number under one key of each table.
  constexpr int kFlushes = 40;
  std::atomic<bool> done = false;
  const auto read = [&] {
    int last = 0;
    while (!done.load()) {
      const auto snapshot = store_->Snapshot();
      std::optional<std::string> seen[kTableCount];
      for (size_t i = 0; i < kTableCount; ++i) seen[i] = *snapshot->Get(kAllTables[i], "k");
      for (size_t i = 1; i < kTableCount; ++i) EXPECT_EQ(seen[i], seen[0]);
      const int now = seen[0].has_value() ? std::stoi(*seen[0]) : 0;
      EXPECT_GE(now, last);
      last = now;
      store_->Stats();
    }
  };
  std::thread first(read);
  std::thread second(read);
  for (int i = 1; i <= kFlushes; ++i) {
    StateBatch batch;
    for (const Table table : kAllTables) batch.Put(table, "k", std::to_string(i));
    EXPECT_TRUE(store_->Flush(batch).ok());
  }
  done = true;
  first.join();
  second.join();
  EXPECT_EQ(**store_->Snapshot()->Get(Table::kIndex, "k"), std::to_string(kFlushes));
}

TEST_P(StateStoreContract, AnOldSnapshotKeepsItsRowsThroughAFullDrain) {
  const auto key = [](int i) {
    std::string bytes;
    PutBigEndian32(&bytes, 0);
    PutBigEndian64(&bytes, static_cast<uint64_t>(i));
    return bytes;
  };
  constexpr int kRows = 20'000;
  StateBatch fill;
  StateBatch drain;
  for (int i = 0; i < kRows; ++i) {
    fill.Put(Table::kIndex, key(i), "");
    drain.Delete(Table::kIndex, key(i));
  }
  Flush(fill);
  auto before = store_->Snapshot();
  Flush(drain);
  store_->Reclaim();
  EXPECT_EQ(ScanAll(*store_->Snapshot(), Table::kIndex, 1000, 1 << 20).size(), 0u);
  EXPECT_EQ(ScanAll(*before, Table::kIndex, 1000, 1 << 20).size(), size_t{kRows});
  EXPECT_GT(*before->ApproximateSize(Table::kIndex, key(0), key(kRows)), 0u);
  before.reset();
  store_->Reclaim();
  Flush(fill);
  EXPECT_EQ(ScanAll(*store_->Snapshot(), Table::kIndex, 1000, 1 << 20).size(), size_t{kRows});
}

std::string ShardKey(uint32_t shard) {
  std::string key;
  PutBigEndian32(&key, shard);
  return key;
}

// Adds random rows of `shard` to a staging and returns them.
Model StageRandomRows(StateStaging* staging, uint32_t shard, Prng* prng) {
  Model staged;
  for (const Table table : kAllTables) {
    Rows& rows = staged[static_cast<size_t>(table)];
    const uint64_t count = prng->Below(4) * 30;  // A table may get none.
    for (uint64_t n = 0; n < count; ++n) {
      std::string key = ShardKey(shard);
      PutBigEndian64(&key, prng->Below(200));
      rows[key] = std::string(prng->Below(40), static_cast<char>(prng->Next()));
    }
    for (const auto& [key, value] : rows) EXPECT_TRUE(staging->Add(table, key, value).ok());
  }
  EXPECT_TRUE(staging->Finish().ok());
  return staged;
}

void Replace(Model* model, uint32_t shard, const Model& staged) {
  for (size_t i = 0; i < kTableCount; ++i) {
    Rows& rows = (*model)[i];
    rows.erase(rows.lower_bound(ShardKey(shard)), rows.lower_bound(ShardKey(shard + 1)));
    rows.insert(staged[i].begin(), staged[i].end());
  }
}

TEST_P(StateStoreContract, AnInstalledStagingReplacesItsRangeAndNothingElse) {
  for (const uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    subject_ = GetParam().make();
    store_.reset();
    Reopen();
    Model model;
    std::vector<std::pair<std::shared_ptr<const StateSnapshot>, Model>> pinned;
    std::vector<std::string> kept;
    for (int round = 0; round < 16; ++round) {
      kept.clear();
      kept.reserve(1000);
      Flush(RandomBatch(&model, &prng, &kept));
      if (prng.Chance(1, 2)) pinned.emplace_back(store_->Snapshot(), model);
      if (pinned.size() > 3) pinned.erase(pinned.begin() + prng.Below(pinned.size()));

      const auto shard = static_cast<uint32_t>(prng.Below(3));
      auto staging = store_->Stage(ShardKey(shard), ShardKey(shard + 1));
      ASSERT_TRUE(staging.ok()) << staging.status();
      const Model staged = StageRandomRows(staging->get(), shard, &prng);
      // Flushes go on meanwhile; what they write into the range is replaced too.
      if (prng.Chance(1, 2)) Flush(RandomBatch(&model, &prng, &kept));
      ExpectIs(*store_->Snapshot(), model, &prng);
      if (prng.Chance(3, 4)) {
        Replace(&model, shard, staged);
        StateBatch on_top;
        if (prng.Chance(1, 2)) on_top = RandomBatch(&model, &prng, &kept);
        const absl::Status status = (*staging)->Install(on_top);
        ASSERT_TRUE(status.ok()) << status;
      }  // Else it is dropped, and nothing has happened.
      staging->reset();
      ExpectIs(*store_->Snapshot(), model, &prng);
      for (const auto& [snapshot, then] : pinned) ExpectIs(*snapshot, then, &prng);
      if (prng.Chance(1, 4)) {
        pinned.clear();
        Reopen();
        ExpectIs(*store_->Snapshot(), model, &prng);
      }
    }
  }
}

TEST_P(StateStoreContract, AnEmptyStagingEmptiesItsRange) {
  StateBatch batch;
  for (const Table table : kAllTables) {
    for (const uint32_t shard : {1, 2, 3}) batch.Put(table, ShardKey(shard) + "k", "v");
  }
  Flush(batch);
  auto staging = store_->Stage(ShardKey(2), ShardKey(3));
  ASSERT_TRUE(staging.ok()) << staging.status();
  ASSERT_TRUE((*staging)->Finish().ok());
  ASSERT_TRUE((*staging)->Install(StateBatch()).ok());
  staging->reset();
  Reopen();
  for (const Table table : kAllTables) {
    EXPECT_TRUE((*store_->Snapshot()->Get(table, ShardKey(1) + "k")).has_value());
    EXPECT_FALSE((*store_->Snapshot()->Get(table, ShardKey(2) + "k")).has_value());
    EXPECT_TRUE((*store_->Snapshot()->Get(table, ShardKey(3) + "k")).has_value());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Stores, StateStoreContract,
    testing::Values(Kind{"RocksDb", [] { return std::unique_ptr<Subject>(new RocksDbSubject); }},
                    Kind{"Memory", [] { return std::unique_ptr<Subject>(new MemorySubject); }},
                    Kind{"Faulty", [] { return std::unique_ptr<Subject>(new FaultySubject); }}),
    [](const testing::TestParamInfo<Kind>& info) { return std::string(info.param.name); });

TEST(FaultyStateStore, ACrashInAFlushLeavesAllOfItOrNothing) {
  for (const CutFlush leaves : {CutFlush::kNothing, CutFlush::kAll}) {
    FaultyStateDisk disk;
    disk.CrashAtFlush(2, leaves);
    auto store = disk.Open();
    const auto flush = [&](const std::string& value) {
      StateBatch batch;
      for (const Table table : kAllTables) batch.Put(table, "k", value);
      return store->Flush(batch);
    };
    EXPECT_TRUE(flush("1").ok());
    const auto before = store->Snapshot();
    EXPECT_EQ(flush("2").code(), absl::StatusCode::kAborted);
    EXPECT_EQ(flush("3").code(), absl::StatusCode::kAborted);
    EXPECT_EQ(before->Get(Table::kJob, "k").status().code(), absl::StatusCode::kAborted);
    EXPECT_FALSE(store->Stats().health.ok());
    store = disk.Open();
    for (const Table table : kAllTables) {
      EXPECT_EQ(**store->Snapshot()->Get(table, "k"), leaves == CutFlush::kAll ? "2" : "1");
    }
    EXPECT_TRUE(flush("4").ok());
  }
}

TEST(FaultyStateStore, ACrashInAnInstallLeavesTheOldRowsOrTheNewOnes) {
  for (const CutFlush leaves : {CutFlush::kNothing, CutFlush::kAll}) {
    FaultyStateDisk disk;
    disk.CrashAtFlush(2, leaves);
    auto store = disk.Open();
    StateBatch batch;
    for (const Table table : kAllTables) batch.Put(table, ShardKey(1) + "old", "1");
    EXPECT_TRUE(store->Flush(batch).ok());
    auto staging = store->Stage(ShardKey(1), ShardKey(2));
    ASSERT_TRUE(staging.ok()) << staging.status();
    for (const Table table : kAllTables) {
      EXPECT_TRUE((*staging)->Add(table, ShardKey(1) + "new", "2").ok());
    }
    EXPECT_TRUE((*staging)->Finish().ok());
    EXPECT_EQ((*staging)->Install(StateBatch()).code(), absl::StatusCode::kAborted);
    EXPECT_EQ(store->Stage(ShardKey(1), ShardKey(2)).status().code(), absl::StatusCode::kAborted);
    staging->reset();
    store = disk.Open();
    const bool installed = leaves == CutFlush::kAll;
    for (const Table table : kAllTables) {
      const auto snapshot = store->Snapshot();
      EXPECT_EQ((*snapshot->Get(table, ShardKey(1) + "old")).has_value(), !installed);
      EXPECT_EQ((*snapshot->Get(table, ShardKey(1) + "new")).has_value(), installed);
    }
  }
}

TEST(FaultyStateStore, AFailedStagingStaysFailedAndHarmsNothing) {
  FaultyStateDisk disk;
  disk.SetRule([](StateOperation operation, uint64_t number) {
    return operation == StateOperation::kStageAdd && number == 2
               ? absl::ResourceExhaustedError("no space")
               : absl::OkStatus();
  });
  auto store = disk.Open();
  auto staging = store->Stage(ShardKey(1), ShardKey(2));
  ASSERT_TRUE(staging.ok()) << staging.status();
  EXPECT_TRUE((*staging)->Add(Table::kJob, ShardKey(1) + "a", "").ok());
  const auto full = absl::StatusCode::kResourceExhausted;
  EXPECT_EQ((*staging)->Add(Table::kJob, ShardKey(1) + "b", "").code(), full);
  EXPECT_EQ((*staging)->Add(Table::kJob, ShardKey(1) + "c", "").code(), full);
  EXPECT_EQ((*staging)->Finish().code(), full);
  staging->reset();
  EXPECT_TRUE(store->Stats().health.ok());
  staging = store->Stage(ShardKey(1), ShardKey(2));
  EXPECT_TRUE((*staging)->Add(Table::kJob, ShardKey(1) + "b", "").ok());
  EXPECT_TRUE((*staging)->Finish().ok());
  EXPECT_TRUE((*staging)->Install(StateBatch()).ok());
  EXPECT_FALSE((*store->Snapshot()->Get(Table::kJob, ShardKey(1) + "a")).has_value());
  EXPECT_TRUE((*store->Snapshot()->Get(Table::kJob, ShardKey(1) + "b")).has_value());
}

TEST(FaultyStateStore, ARuleFailsAFlushForGoodAndAReadOnce) {
  FaultyStateDisk disk;
  disk.SetRule([](StateOperation operation, uint64_t number) {
    if (operation == StateOperation::kFlush && number == 2) {
      return absl::InternalError("the device failed");
    }
    if (operation == StateOperation::kGet && number == 1) return absl::DataLossError("damaged");
    return absl::OkStatus();
  });
  auto store = disk.Open();
  StateBatch batch;
  batch.Put(Table::kJob, "k", "1");
  EXPECT_TRUE(store->Flush(batch).ok());
  EXPECT_EQ(store->Snapshot()->Get(Table::kJob, "k").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(**store->Snapshot()->Get(Table::kJob, "k"), "1");
  batch.Put(Table::kJob, "k", "2");
  EXPECT_EQ(store->Flush(batch).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(store->Flush(batch).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(disk.flushes(), 2u);
  EXPECT_EQ(**store->Snapshot()->Get(Table::kJob, "k"), "1");
  store.reset();
  store = disk.Open();
  EXPECT_TRUE(store->Flush(batch).ok());
  EXPECT_EQ(**store->Snapshot()->Get(Table::kJob, "k"), "2");
}

TEST(FaultyStateStore, AFullDiskFailsAFlushThatMayBeTriedAgain) {
  FaultyStateDisk disk;
  disk.SetRule([](StateOperation operation, uint64_t number) {
    return operation == StateOperation::kFlush && number == 1
               ? absl::ResourceExhaustedError("no space")
               : absl::OkStatus();
  });
  const auto store = disk.Open();
  StateBatch batch;
  batch.Put(Table::kJob, "k", "1");
  EXPECT_EQ(store->Flush(batch).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(store->Stats().health.ok());
  EXPECT_FALSE((*store->Snapshot()->Get(Table::kJob, "k")).has_value());
  EXPECT_TRUE(store->Flush(batch).ok());
  EXPECT_EQ(**store->Snapshot()->Get(Table::kJob, "k"), "1");
}

}  // namespace
}  // namespace holdfast
