// A process ends before or after each single file operation of a staging and its installation; the
// store must have the old rows of the range or the new ones, and everything of the other ranges.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/coding.h"
#include "gtest/gtest.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/rocksdb/scratch_directory.h"

namespace holdfast {
namespace {

using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr int kEnded = 42;  // The exit code of a process that ended where it should.

// Ends the process at the n-th moment: one before and one after each operation.
class Moments {
 public:
  explicit Moments(uint64_t end_at) : left_(end_at) {}
  template <class Operation>
  IOStatus Around(Operation operation) {
    Pass();
    IOStatus status = operation();
    Pass();
    return status;
  }

 private:
  void Pass() {
    if (--left_ == 0) _exit(kEnded);
  }
  uint64_t left_;
};

class WatchedFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WatchedFile(std::unique_ptr<FSWritableFile>&& file, Moments* moments)
      : FSWritableFileOwnerWrapper(std::move(file)), moments_(moments) {}
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* context) override {
    return moments_->Around([&] { return target()->Append(data, options, context); });
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& info, IODebugContext* context) override {
    return moments_->Around([&] { return target()->Append(data, options, info, context); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* context) override {
    return moments_->Around([&] { return target()->Sync(options, context); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
    return moments_->Around([&] { return target()->Fsync(options, context); });
  }

 private:
  Moments* const moments_;
};

class WatchedFiles final : public rocksdb::FileSystemWrapper {
 public:
  explicit WatchedFiles(Moments* moments)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), moments_(moments) {}
  const char* Name() const override { return "WatchedFiles"; }
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
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* context) override {
    return moments_->Around([&] { return target()->LinkFile(from, to, options, context); });
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* context) override {
    return moments_->Around([&] { return target()->DeleteFile(path, options, context); });
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* context) override {
    return moments_->Around([&] { return target()->RenameFile(from, to, options, context); });
  }

 private:
  IOStatus Wrap(IOStatus status, std::unique_ptr<FSWritableFile>* file) {
    if (status.ok()) *file = std::make_unique<WatchedFile>(std::move(*file), moments_);
    return status;
  }
  Moments* const moments_;
};

std::string Key(uint32_t shard, uint64_t n) {
  std::string key;
  PutBigEndian32(&key, shard);
  if (n > 0) PutBigEndian64(&key, n);
  return key;
}

absl::StatusOr<std::unique_ptr<StateStore>> Open(const std::string& path,
                                                 rocksdb::Env* env = nullptr) {
  return OpenRocksDbStateStore({.directory = path, .block_cache_bytes = 1 << 20, .env = env});
}

// Rows of `shard` with this value; -1 if there are others.
int64_t CountRows(const StateStore& store, Table table, uint32_t shard, std::string_view value) {
  int64_t rows = 0;
  const std::string begin = Key(shard, 0);
  const std::string end = Key(shard + 1, 0);
  const auto scanned = store.Snapshot()->Scan(
      table, {.begin = begin, .end = end, .rows_max = UINT64_MAX, .bytes_max = UINT64_MAX},
      [&](std::string_view, std::string_view is) {
        rows = is == value && rows >= 0 ? rows + 1 : -1;
        return true;
      });
  EXPECT_TRUE(scanned.ok()) << scanned.status();
  return rows;
}

constexpr int64_t kOldRows = 300;
constexpr int64_t kNewRows = 200;

// Replaces shard 2 and says so under a key of shard 9.
absl::Status Install(StateStore* store) {
  auto staging = store->Stage(Key(2, 0), Key(3, 0));
  if (!staging.ok()) return staging.status();
  for (const Table table : kAllTables) {
    for (uint64_t n = 1; n <= kNewRows; ++n) {
      if (absl::Status s = (*staging)->Add(table, Key(2, 3 * n), "new"); !s.ok()) return s;
    }
  }
  if (absl::Status status = (*staging)->Finish(); !status.ok()) return status;
  StateBatch mark;
  mark.Put(Table::kMeta, Key(9, 1), "installed");
  return (*staging)->Install(mark);
}

[[noreturn]] void InstallAndEndAt(const std::string& path, uint64_t moment) {
  // Opening is not what is tested: it has moments of its own.
  auto moments = std::make_unique<Moments>(UINT64_MAX);
  const auto env = rocksdb::NewCompositeEnv(std::make_shared<WatchedFiles>(moments.get()));
  auto store = Open(path, env.get());
  if (!store.ok()) _exit(1);
  *moments = Moments(moment);
  _exit(Install(store->get()).ok() ? 0 : 2);
}

TEST(StagingCrash, EveryMomentLeavesTheOldRowsOrTheNewOnes) {
  ScratchDirectory directory;
  const std::string original = directory.path() + "/original";
  const std::string copy = directory.path() + "/copy";
  {
    auto store = Open(original);
    ASSERT_TRUE(store.ok()) << store.status();
    StateBatch batch;
    for (const Table table : kAllTables) {
      for (const uint32_t shard : {1, 2, 3}) {
        for (int64_t n = 1; n <= kOldRows; ++n) {
          batch.Put(table, Key(shard, static_cast<uint64_t>(n)), "old");
        }
      }
    }
    ASSERT_TRUE((*store)->Flush(batch).ok());
  }
  int old_states = 0;
  int new_states = 0;
  for (uint64_t moment = 1;; ++moment) {
    SCOPED_TRACE(moment);
    std::filesystem::remove_all(copy);
    std::filesystem::copy(original, copy, std::filesystem::copy_options::recursive);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) InstallAndEndAt(copy, moment);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    const bool completed = WEXITSTATUS(status) == 0;
    ASSERT_TRUE(completed || WEXITSTATUS(status) == kEnded) << WEXITSTATUS(status);

    auto store = Open(copy);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_TRUE(std::filesystem::is_empty(copy + "/staged"));
    EXPECT_TRUE(std::filesystem::is_empty(copy + "/incoming"));
    const bool is_new = (*(*store)->Snapshot()->Get(Table::kMeta, Key(9, 1))).has_value();
    for (const Table table : kAllTables) {
      EXPECT_EQ(CountRows(**store, table, 1, "old"), kOldRows);
      EXPECT_EQ(CountRows(**store, table, 2, is_new ? "new" : "old"), is_new ? kNewRows : kOldRows);
      EXPECT_EQ(CountRows(**store, table, 3, "old"), kOldRows);
    }
    ++(is_new ? new_states : old_states);
    if (moment % 16 == 0) {
      EXPECT_TRUE(Install(store->get()).ok()) << "cannot be done again";
    }
    if (completed) {
      EXPECT_TRUE(is_new);
      break;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(old_states, 40);
  EXPECT_GT(new_states, 1);
}

}  // namespace
}  // namespace holdfast
