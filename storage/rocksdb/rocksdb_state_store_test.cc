#include "storage/rocksdb/rocksdb_state_store.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "base/coding.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "storage/rocksdb/scratch_directory.h"
#include "xxhash.h"

namespace holdfast {
namespace {

using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

std::string Key(uint32_t shard, uint64_t n) {
  std::string key;
  PutBigEndian32(&key, shard);
  PutBigEndian64(&key, n);
  return key;
}

std::string Shard(uint32_t shard) { return Key(shard, 0).substr(0, 4); }

absl::StatusOr<std::unique_ptr<StateStore>> Open(const std::string& path,
                                                 rocksdb::Env* env = nullptr) {
  return OpenRocksDbStateStore(
      {.directory = path, .block_cache_bytes = 4 << 20, .open_files_max = 128, .env = env});
}

StateBatch BatchOf(uint64_t begin, uint64_t end, uint32_t shards = 1) {
  StateBatch batch;
  for (const Table table : {Table::kJob, Table::kPayload, Table::kIndex}) {
    for (uint64_t n = begin; n < end; ++n) {
      batch.Put(table, Key(static_cast<uint32_t>(n % shards), n), std::string(50, 'v'));
    }
  }
  return batch;
}
StateBatch DeletesOf(uint64_t begin, uint64_t end, uint32_t shards = 1) {
  StateBatch batch;
  for (const Table table : {Table::kJob, Table::kPayload, Table::kIndex}) {
    for (uint64_t n = begin; n < end; ++n) {
      batch.Delete(table, Key(static_cast<uint32_t>(n % shards), n));
    }
  }
  return batch;
}

uint64_t CountRows(const StateStore& store, Table table) {
  uint64_t rows = 0;
  const auto end = store.Snapshot()->Scan(table,
                                          {.begin = std::string_view("\0", 1),
                                           .end = "\xff\xff\xff\xfe",
                                           .rows_max = UINT64_MAX,
                                           .bytes_max = UINT64_MAX},
                                          [&](std::string_view, std::string_view) {
                                            ++rows;
                                            return true;
                                          });
  EXPECT_TRUE(end.ok()) << end.status();
  return rows;
}

// Files whose writes or syncs fail with `error` from the moment it is set.
struct Fault {
  std::atomic<bool> on_append{false};
  std::atomic<bool> on_sync{false};
  std::atomic<int> failed_appends{0};
  IOStatus error;  // Set before the flags.
};

class FaultyFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(std::unique_ptr<FSWritableFile>&& file, Fault* fault)
      : FSWritableFileOwnerWrapper(std::move(file)), fault_(fault) {}
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* context) override {
    if (AppendFails()) return fault_->error;
    return FSWritableFileOwnerWrapper::Append(data, options, context);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& info, IODebugContext* context) override {
    if (AppendFails()) return fault_->error;
    return FSWritableFileOwnerWrapper::Append(data, options, info, context);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* context) override {
    if (fault_->on_sync.load()) return fault_->error;
    return FSWritableFileOwnerWrapper::Sync(options, context);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
    if (fault_->on_sync.load()) return fault_->error;
    return FSWritableFileOwnerWrapper::Fsync(options, context);
  }

 private:
  bool AppendFails() {
    const bool fails = fault_->on_append.load();
    if (fails) fault_->failed_appends.fetch_add(1);
    return fails;
  }
  Fault* const fault_;
};

class FaultyFiles final : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultyFiles(Fault* fault)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), fault_(fault) {}
  const char* Name() const override { return "FaultyFiles"; }
  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<FSWritableFile>* result,
                           IODebugContext* context) override {
    return Wrap(FileSystemWrapper::NewWritableFile(path, options, result, context), result);
  }
  IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                              std::unique_ptr<FSWritableFile>* result,
                              IODebugContext* context) override {
    return Wrap(FileSystemWrapper::ReopenWritableFile(path, options, result, context), result);
  }

 private:
  IOStatus Wrap(IOStatus status, std::unique_ptr<FSWritableFile>* file) {
    if (status.ok()) *file = std::make_unique<FaultyFile>(std::move(*file), fault_);
    return status;
  }
  Fault* const fault_;
};

class RocksDbStateStoreFault : public testing::Test {
 protected:
  RocksDbStateStoreFault()
      : env_(rocksdb::NewCompositeEnv(std::make_shared<FaultyFiles>(&fault_))),
        path_(directory_.path() + "/state") {}

  // One good flush, a failing one; then what must hold after any failure.
  absl::Status FailAFlush(std::atomic<bool>* when, IOStatus error) {
    auto store = Open(path_, env_.get());
    EXPECT_TRUE(store.ok()) << store.status();
    EXPECT_TRUE((*store)->Flush(BatchOf(0, 1000)).ok());
    fault_.error = std::move(error);
    when->store(true);
    const absl::Status failed = (*store)->Flush(BatchOf(1000, 2000));
    when->store(false);
    EXPECT_FALSE(failed.ok());
    EXPECT_EQ((*store)->Flush(BatchOf(2000, 3000)), failed) << "not sticky";
    EXPECT_EQ((*store)->Stats().health, failed);
    EXPECT_EQ(PressureOf((*store)->Stats()), StatePressure::kStop);
    for (const Table table : {Table::kJob, Table::kPayload, Table::kIndex}) {
      EXPECT_EQ(CountRows(**store, table), 1000u);  // Reads go on, without half a flush.
    }
    EXPECT_TRUE(std::filesystem::is_empty(path_ + "/incoming"));
    store->reset();
    store = Open(path_, env_.get());
    EXPECT_TRUE(store.ok()) << store.status();
    if (store.ok()) {
      const uint64_t rows = CountRows(**store, Table::kJob);
      EXPECT_TRUE(rows == 1000 || rows == 2000) << rows;
      EXPECT_EQ(CountRows(**store, Table::kIndex), rows);
      EXPECT_TRUE((*store)->Flush(BatchOf(1000, 2000)).ok());
    }
    return failed;
  }

  ScratchDirectory directory_;
  Fault fault_;
  std::unique_ptr<rocksdb::Env> env_;
  const std::string path_;
};

TEST_F(RocksDbStateStoreFault, AFullDiskIsResourceExhausted) {
  auto store = Open(path_, env_.get());
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)->Flush(BatchOf(0, 1000)).ok());
  fault_.error = IOStatus::NoSpace("No space left on device");
  fault_.on_append.store(true);
  for (int i = 0; i < 3; ++i) {
    const absl::Status full = (*store)->Flush(BatchOf(1000, 2000));
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
    EXPECT_TRUE((*store)->Stats().health.ok());
    EXPECT_EQ(CountRows(**store, Table::kIndex), 1000u);
    EXPECT_TRUE(std::filesystem::is_empty(path_ + "/incoming"));
  }
  fault_.on_append.store(false);
  EXPECT_TRUE((*store)->Flush(BatchOf(1000, 2000)).ok());  // There is room again.
  EXPECT_EQ(CountRows(**store, Table::kIndex), 2000u);
  store->reset();
  store = Open(path_, env_.get());
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(CountRows(**store, Table::kIndex), 2000u);
}

TEST_F(RocksDbStateStoreFault, AReadOnlyDiskIsUnavailable) {
  const absl::Status status =
      FailAFlush(&fault_.on_append, IOStatus::IOError("write", "Read-only file system"));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST_F(RocksDbStateStoreFault, AFailedSyncFailsTheFlush) {
  const absl::Status status =
      FailAFlush(&fault_.on_sync, IOStatus::IOError("fsync", "Input/output error"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
}

std::unique_ptr<StateStaging> StageRows(StateStore* store, uint64_t rows, size_t value_size) {
  auto staging = store->Stage(Shard(2), Shard(3));
  EXPECT_TRUE(staging.ok()) << staging.status();
  const std::string value(value_size, 'n');
  for (const Table table : {Table::kJob, Table::kPayload, Table::kIndex}) {
    for (uint64_t n = 0; n < rows; ++n) {
      EXPECT_TRUE((*staging)->Add(table, Key(2, n), value).ok());
    }
  }
  return *std::move(staging);
}

TEST_F(RocksDbStateStoreFault, AFullDiskEndsAStagingAndDelaysAnInstallation) {
  auto store = Open(path_, env_.get());
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)->Flush(BatchOf(0, 300, 3)).ok());
  fault_.error = IOStatus::NoSpace("No space left on device");
  auto staging = StageRows(store->get(), 10, 10);
  fault_.on_append.store(true);
  const absl::Status full = staging->Finish();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  fault_.on_append.store(false);
  staging.reset();
  EXPECT_TRUE(std::filesystem::is_empty(path_ + "/staged"));
  EXPECT_TRUE((*store)->Stats().health.ok());

  staging = StageRows(store->get(), 50, 10);
  ASSERT_TRUE(staging->Finish().ok());
  fault_.on_append.store(true);
  EXPECT_EQ(staging->Install(StateBatch()).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE((*store)->Stats().health.ok());
  EXPECT_EQ(CountRows(**store, Table::kIndex), 300u);
  fault_.on_append.store(false);
  const absl::Status status = staging->Install(StateBatch());  // There is room again.
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(CountRows(**store, Table::kIndex), 250u);
}

TEST_F(RocksDbStateStoreFault, AFailedSyncFailsTheInstallationForGood) {
  auto store = Open(path_, env_.get());
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)->Flush(BatchOf(0, 300, 3)).ok());
  auto staging = StageRows(store->get(), 50, 10);
  ASSERT_TRUE(staging->Finish().ok());
  fault_.error = IOStatus::IOError("fsync", "Input/output error");
  fault_.on_sync.store(true);
  const absl::Status failed = staging->Install(StateBatch());
  EXPECT_EQ(failed.code(), absl::StatusCode::kInternal) << failed;
  EXPECT_EQ((*store)->Flush(BatchOf(0, 1)), failed);
  EXPECT_EQ((*store)->Stage(Shard(2), Shard(3)).status(), failed);
  EXPECT_EQ(CountRows(**store, Table::kIndex), 300u);
  fault_.on_sync.store(false);
  staging.reset();
  store->reset();
  store = Open(path_, env_.get());
  ASSERT_TRUE(store.ok()) << store.status();
  const uint64_t rows = CountRows(**store, Table::kIndex);
  EXPECT_TRUE(rows == 300 || rows == 250) << rows;
}

TEST(RocksDbStateStoreTest, WhatIsReadWithoutWaitingIsWhatWasReadBefore) {
  ScratchDirectory directory;
  {
    auto store = Open(directory.path());
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE((*store)->Flush(BatchOf(0, 1000)).ok());
  }
  auto store = Open(directory.path());
  ASSERT_TRUE(store.ok()) << store.status();
  const auto snapshot = (*store)->Snapshot();
  const auto read = [&](std::vector<uint64_t> numbers, Reach reach) {
    std::vector<std::string> keys;
    for (const uint64_t n : numbers) keys.push_back(Key(0, n));
    size_t found = 0;
    const absl::Status status =
        snapshot->MultiGet(Table::kPayload, std::vector<std::string_view>(keys.begin(), keys.end()),
                           reach, [&](size_t, std::optional<std::string_view> value) {
                             found += value == std::string(50, 'v') ? 1 : 0;
                           });
    EXPECT_TRUE(!status.ok() || found == numbers.size());
    return status;
  };
  EXPECT_TRUE(absl::IsAborted(read({7}, Reach::kMemory))) << "not even the file is open";
  EXPECT_TRUE(absl::IsAborted(read({7, 8}, Reach::kMemory)));
  // Unless the file gave way to another one in between.
  bool in_memory = false;
  for (int tries = 0; tries < 100 && !in_memory; ++tries) {
    EXPECT_TRUE(read({7}, Reach::kDevice).ok());
    in_memory = read({7}, Reach::kMemory).ok() && read({7, 8}, Reach::kMemory).ok();
  }
  EXPECT_TRUE(in_memory) << "they lie in one block";
}

TEST(RocksDbStateStore, AbandonedStagingsAreRemoved) {
  ScratchDirectory directory;
  const std::string path = directory.path() + "/state";
  auto store = Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  auto first = StageRows(store->get(), 100, 10);
  auto second = StageRows(store->get(), 100, 10);
  ASSERT_TRUE(second->Finish().ok());
  EXPECT_FALSE(std::filesystem::is_empty(path + "/staged"));
  first.reset();
  second.reset();
  EXPECT_TRUE(std::filesystem::is_empty(path + "/staged"));
  store->reset();
  std::ofstream(path + "/staged/7-job-0.sst") << "half a file";
  ASSERT_TRUE(Open(path).ok());
  EXPECT_TRUE(std::filesystem::is_empty(path + "/staged"));
}

// Into an empty range: no two files that each read has to consult, nothing to rewrite.
TEST(RocksDbStateStore, AStagingOfManyFilesLandsAtTheBottom) {
  ScratchDirectory directory;
  auto store = Open(directory.path() + "/state");
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)->Flush(BatchOf(0, 1000)).ok());  // Of shard 0.
  auto staging = StageRows(store->get(), 100, 1 << 20);
  ASSERT_TRUE(staging->Finish().ok());
  ASSERT_TRUE(staging->Install(StateBatch()).ok());
  const StateStats stats = (*store)->Stats();
  EXPECT_GE(stats.file_count, 3u * 3u + 1u);
  EXPECT_EQ(stats.unmerged_files, 0u);
  EXPECT_EQ(stats.compaction_debt_bytes, 0u);
  EXPECT_EQ(CountRows(**store, Table::kPayload), 1100u);
}

TEST(RocksDbStateStore, ReplacedRowsLeaveTheDisk) {
  ScratchDirectory directory;
  auto store = Open(directory.path() + "/state");
  ASSERT_TRUE(store.ok()) << store.status();
  // Values that do not compress.
  Prng prng(3);
  std::string bytes(1 << 20, '\0');
  for (char& c : bytes) c = static_cast<char>(prng.Next());
  StateBatch batch;
  for (uint64_t n = 0; n < 40; ++n) batch.PutReference(Table::kPayload, Key(2, n), bytes);
  ASSERT_TRUE((*store)->Flush(batch).ok());
  batch.Clear();
  EXPECT_GT((*store)->Stats().disk_bytes, uint64_t{40} << 20);
  auto staging = StageRows(store->get(), 10, 10);
  ASSERT_TRUE(staging->Finish().ok());
  ASSERT_TRUE(staging->Install(StateBatch()).ok());
  EXPECT_EQ(CountRows(**store, Table::kPayload), 10u);
  // Compaction runs beside us: small flushes until it has caught up.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while ((*store)->Stats().disk_bytes > (1 << 20) && std::chrono::steady_clock::now() < deadline) {
    (*store)->Reclaim();
    ASSERT_TRUE((*store)->Flush(DeletesOf(0, 1)).ok());
  }
  EXPECT_LE((*store)->Stats().disk_bytes, uint64_t{1} << 20);
  EXPECT_EQ(CountRows(**store, Table::kPayload), 10u);
}

// Rows of a table as RocksDB has them, whoever they are of, under a stored prefix.
uint64_t CountStored(const std::string& path, const std::string& table, uint32_t prefix) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : {"default", "meta", "job", "payload", "index"}) {
    families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  EXPECT_TRUE(
      rocksdb::DB::OpenForReadOnly(rocksdb::DBOptions(), path, families, &handles, &db).ok());
  uint64_t rows = 0;
  for (size_t i = 0; i < families.size(); ++i) {
    if (families[i].name == table) {
      const std::unique_ptr<rocksdb::Iterator> it(
          db->NewIterator(rocksdb::ReadOptions(), handles[i]));
      for (it->Seek(Shard(prefix)); it->Valid() && it->key().starts_with(Shard(prefix));
           it->Next()) {
        ++rows;
      }
    }
    db->DestroyColumnFamilyHandle(handles[i]);
  }
  delete db;
  return rows;
}

// They share their files with other shards' rows, so no file can be dropped whole.
TEST(RocksDbStateStore, ReplacedRowsInSharedFilesGoWhenNoSnapshotShowsThem) {
  ScratchDirectory directory;
  const std::string path = directory.path() + "/state";
  auto store = Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)->Flush(BatchOf(0, 300, 3)).ok());
  auto before = (*store)->Snapshot();
  auto staging = StageRows(store->get(), 10, 10);
  ASSERT_TRUE(staging->Finish().ok());
  ASSERT_TRUE(staging->Install(StateBatch()).ok());
  staging.reset();
  const auto reclaim = [&] {
    for (uint64_t n = 0; n < 4; ++n) {
      (*store)->Reclaim();
      ASSERT_TRUE((*store)->Flush(BatchOf(300 * (n + 1), 300 * (n + 1) + 1)).ok());
    }
  };
  reclaim();
  EXPECT_EQ(**before->Get(Table::kJob, Key(2, 299)), std::string(50, 'v'));
  before.reset();
  const uint64_t rows = CountRows(**store, Table::kJob);
  store->reset();
  EXPECT_EQ(CountStored(path, "job", 2), 100u);  // A snapshot showed them.
  store = Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(CountRows(**store, Table::kJob), rows);
  reclaim();
  EXPECT_EQ(CountRows(**store, Table::kJob), rows);
  EXPECT_EQ(**(*store)->Snapshot()->Get(Table::kJob, Key(2, 3)), std::string(10, 'n'));
  store->reset();
  for (const char* table : {"job", "payload", "index"}) {
    EXPECT_EQ(CountStored(path, table, 2), 0u) << table;
  }
  EXPECT_EQ(CountStored(path, "job", 0x80000000), 10u);
}

TEST(RocksDbStateStore, AnUnknownFormatVersionIsRefused) {
  ScratchDirectory directory;
  const std::string path = directory.path() + "/state";
  ASSERT_TRUE(Open(path).ok());
  std::string slot = "HFSTATE\n";
  PutFixed32(&slot, 2);
  PutFixed64(&slot, 0);
  PutFixed64(&slot, XXH3_64bits(slot.data(), slot.size()));
  std::fstream(path + "/FLUSHED", std::ios::in | std::ios::out | std::ios::binary) << slot;
  const auto store = Open(path);
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(store.status().message(), "format version 2")) << store.status();
}

TEST(RocksDbStateStore, ASecondOpenIsRefused) {
  ScratchDirectory directory;
  const std::string path = directory.path() + "/state";
  const auto first = Open(path);
  ASSERT_TRUE(first.ok());
  const auto second = Open(path);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
}

TEST(RocksDbStateStore, ACrashWhileCreatingIsRepairedByTheNextOpen) {
  ScratchDirectory directory;
  const std::string path = directory.path() + "/state";
  ASSERT_TRUE(Open(path).ok());
  std::filesystem::remove(path + "/CURRENT");  // As if the mark were all that was made.
  auto store = Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE((*store)->Flush(BatchOf(0, 10)).ok());
  store->reset();
  std::filesystem::remove(path + "/CURRENT");  // Now there is something to lose.
  EXPECT_EQ(Open(path).status().code(), absl::StatusCode::kDataLoss);
}

// Files written but not added by a flush that a crash interrupted.
TEST(RocksDbStateStore, LeftoversOfAnInterruptedFlushAreRemoved) {
  ScratchDirectory directory;
  const std::string path = directory.path() + "/state";
  ASSERT_TRUE(Open(path).ok());
  std::ofstream(path + "/incoming/9-job-0.sst") << "half a file";
  ASSERT_TRUE(Open(path).ok());
  EXPECT_TRUE(std::filesystem::is_empty(path + "/incoming"));
}

// Compaction runs beside us: waits until the store has no more than `disk_bytes`, by flushes that
// change nothing.
void AwaitReclaimed(StateStore* store, uint64_t disk_bytes) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (store->Stats().disk_bytes > disk_bytes && std::chrono::steady_clock::now() < deadline) {
    ASSERT_TRUE(store->Flush(DeletesOf(0, 1)).ok());
    store->Reclaim();
  }
  EXPECT_LE(store->Stats().disk_bytes, disk_bytes);
}

// It stopped the store for good, and with it the node.
TEST_F(RocksDbStateStoreFault, AFullDiskDelaysACompaction) {
  auto store = Open(path_, env_.get());
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE((*store)->Flush(BatchOf(0, 40'000)).ok());
  const uint64_t filled = (*store)->Stats().disk_bytes;
  fault_.error = IOStatus::NoSpace("No space left on device");
  ASSERT_TRUE((*store)->Flush(DeletesOf(0, 39'000)).ok());
  fault_.on_append.store(true);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  // It has been tried again when it has failed twice.
  while (fault_.failed_appends.load() < 2 && (*store)->Stats().health.ok() &&
         std::chrono::steady_clock::now() < deadline) {
    (*store)->Reclaim();
  }
  EXPECT_GE(fault_.failed_appends.load(), 2);
  EXPECT_TRUE((*store)->Stats().health.ok()) << (*store)->Stats().health;
  fault_.on_append.store(false);
  AwaitReclaimed(store->get(), filled / 8);
  EXPECT_EQ(CountRows(**store, Table::kIndex), 1000u);
}

// The tombstone slope: a drained queue must leave neither rows nor files behind.
TEST(RocksDbStateStore, RepeatedFillAndDrainLeavesNoGarbage) {
  for (const uint32_t shards : {1u, 4u}) {
    SCOPED_TRACE(shards);
    ScratchDirectory directory;
    auto store = Open(directory.path() + "/state");
    ASSERT_TRUE(store.ok());
    constexpr uint64_t kRows = 40'000;
    for (uint64_t pass = 0; pass < 8; ++pass) {
      const uint64_t begin = pass * kRows;
      ASSERT_TRUE((*store)->Flush(BatchOf(begin, begin + kRows, shards)).ok());
      EXPECT_EQ(CountRows(**store, Table::kIndex), kRows);
      ASSERT_TRUE((*store)->Flush(DeletesOf(begin, begin + kRows, shards)).ok());
      (*store)->Reclaim();
      EXPECT_EQ(CountRows(**store, Table::kIndex), 0u);
    }
    AwaitReclaimed(store->get(), kRows * 50);
    EXPECT_LE((*store)->Stats().file_count, 40u);
    EXPECT_EQ(PressureOf((*store)->Stats()), StatePressure::kNone);
    EXPECT_GT((*store)->Stats().flushed_bytes, 8 * kRows * 3 * 50);
    EXPECT_GT((*store)->Stats().written_bytes, 0u);
  }
}

class RocksDbStateStoreBacklog : public testing::Test {
 protected:
  static constexpr uint64_t kFlushes = 30;
  static constexpr uint64_t kRows = 8'000;  // Of a flush.

  RocksDbStateStoreBacklog() { Reopen(); }

  void Reopen() {
    store_.reset();
    auto store = Open(directory_.path() + "/state");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Flush(const StateBatch& batch) {
    ASSERT_TRUE(store_->Flush(batch).ok());
    store_->Reclaim();
  }
  // Rows [0, kFlushes * kRows) of the index.
  void Fill() {
    Prng prng(1);
    for (uint64_t i = 0; i < kFlushes; ++i) {
      StateBatch batch;
      for (uint64_t n = i * kRows; n < (i + 1) * kRows; ++n) {
        std::string value;
        for (int word = 0; word < 5; ++word) PutFixed64(&value, prng.Next());
        batch.Put(Table::kIndex, Key(0, n), value);  // Does not compress.
      }
      Flush(batch);
    }
  }
  // Adds the deletion of the rows of the fill's flush `i`.
  static void Delete(uint64_t i, StateBatch* batch) {
    for (uint64_t n = i * kRows; n < (i + 1) * kRows; ++n) batch->Delete(Table::kIndex, Key(0, n));
  }
  void DeleteAll() {
    for (uint64_t i = 0; i < kFlushes; ++i) {
      StateBatch batch;
      Delete(i, &batch);
      Flush(batch);
    }
  }

  ScratchDirectory directory_;
  std::unique_ptr<StateStore> store_;
};

// RocksDB rewrote every file once, to clear its sequence numbers.
TEST_F(RocksDbStateStoreBacklog, NewRowsAreWrittenOnce) {
  Fill();
  for (int i = 0; i < 10; ++i) Flush(DeletesOf(0, 1));
  const StateStats stats = store_->Stats();
  EXPECT_LT(stats.written_bytes, stats.disk_bytes * 11 / 10);
}

// The index of a queue that is drained from the front: each flush deletes ready rows at the front
// of the backlog, and moves a few leases in a set whose keys are behind it. These were one file
// over all of the backlog once, and every flush had all of it rewritten.
TEST_F(RocksDbStateStoreBacklog, DrainingTheFrontDoesNotRewriteTheRest) {
  constexpr uint64_t kLeases = 5'000;
  constexpr uint64_t kBehind = uint64_t{1} << 40;
  Fill();
  const uint64_t before = store_->Stats().written_bytes;
  for (uint64_t i = 0; i < kFlushes; ++i) {
    StateBatch batch;
    Delete(i, &batch);
    const uint64_t leases = kBehind + i * kLeases;
    for (uint64_t n = leases - (i > 0 ? kLeases : 0); n < leases; ++n) {
      batch.Delete(Table::kIndex, Key(0, n));
    }
    for (uint64_t n = leases; n < leases + kLeases; ++n) batch.Put(Table::kIndex, Key(0, n), "");
    Flush(batch);
    EXPECT_EQ(CountRows(*store_, Table::kIndex), (kFlushes - 1 - i) * kRows + kLeases);
  }
  AwaitReclaimed(store_.get(), before / 8);
  EXPECT_LT(store_->Stats().written_bytes - before, before / 2) << "of " << before;
}

TEST_F(RocksDbStateStoreBacklog, RowsFromBeforeAReopenAreReclaimed) {
  Fill();
  Reopen();
  const uint64_t before = store_->Stats().disk_bytes;
  DeleteAll();
  AwaitReclaimed(store_.get(), before / 20);
  EXPECT_EQ(CountRows(*store_, Table::kIndex), 0u);
}

// Deleted rows were merged while a snapshot from before still showed them, which removes nothing,
// and never again.
TEST_F(RocksDbStateStoreBacklog, RowsThatASnapshotShowsAreReclaimedWhenItIsGone) {
  Fill();
  const uint64_t before = store_->Stats().disk_bytes;
  auto snapshot = store_->Snapshot();
  DeleteAll();
  EXPECT_EQ(CountRows(*store_, Table::kIndex), 0u);
  EXPECT_GE(store_->Stats().disk_bytes, before);
  EXPECT_TRUE(snapshot->Get(Table::kIndex, Key(0, 0))->has_value());
  snapshot.reset();
  AwaitReclaimed(store_.get(), before / 20);
}

TEST(StatePressure, FollowsWhatReadsAndCompactionHaveToBear) {
  StateStats stats;
  EXPECT_EQ(PressureOf(stats), StatePressure::kNone);
  stats.unmerged_files = 30;
  EXPECT_EQ(PressureOf(stats), StatePressure::kSlow);
  stats.unmerged_files = 200;
  EXPECT_EQ(PressureOf(stats), StatePressure::kStop);
  stats = StateStats();
  stats.compaction_debt_bytes = uint64_t{10} << 30;
  EXPECT_EQ(PressureOf(stats), StatePressure::kSlow);
  stats.health = absl::InternalError("failed");
  EXPECT_EQ(PressureOf(stats), StatePressure::kStop);
}

}  // namespace
}  // namespace holdfast
