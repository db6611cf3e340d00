// One bit is flipped in each byte of a table file in turn. Whatever way its rows are read, they
// are right, or the error names the file and the place.
//
// Many files of one layout lie side by side in one level, every second one with its own damage, so
// that one open of the store tries many bytes, and scans come to a damaged file from the one before
// it. RocksDB then leaves out the file and all behind it, without an error, unless it is told that
// there are no range deletions (table_options.cc).

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "base/coding.h"
#include "base/prng.h"
#include "base/testing/flip_bit.h"
#include "gtest/gtest.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "rocksdb/sst_file_reader.h"
#include "storage/rocksdb/database.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/rocksdb/scratch_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Rows = std::map<std::string, std::string>;

constexpr uint64_t kFiles = 80;
constexpr uint64_t kRowsOfAFile = 4;
// Of file f, from kKeysOfAFile * f on; only the even ones have rows.
constexpr uint64_t kKeysOfAFile = 2 * kRowsOfAFile;
// More than all that a table has outside its blocks of rows.
constexpr uint64_t kTailBytes = 1600;

std::string Key(uint64_t n) {
  std::string key;
  PutBigEndian32(&key, 1);
  PutBigEndian64(&key, n);
  return key;
}

// Nothing here asks what survives a crash, so nothing is synced.
class UnsyncedFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using rocksdb::FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
};

class UnsyncedDirectory final : public rocksdb::FSDirectory {
 public:
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
};

class UnsyncedFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  UnsyncedFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "UnsyncedFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* context) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    const rocksdb::IOStatus status = target()->NewWritableFile(name, options, &file, context);
    if (status.ok()) *result = std::make_unique<UnsyncedFile>(std::move(file));
    return status;
  }
  rocksdb::IOStatus NewDirectory(const std::string&, const rocksdb::IOOptions&,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext*) override {
    *result = std::make_unique<UnsyncedDirectory>();
    return rocksdb::IOStatus::OK();
  }
};

// Gets to no compaction: RocksDB rewrites table files for reasons of its own.
class IdleEnv final : public rocksdb::EnvWrapper {
 public:
  IdleEnv() : EnvWrapper(rocksdb::NewCompositeEnv(std::make_shared<UnsyncedFileSystem>())) {}
  void Schedule(void (*run)(void*), void* argument, Priority priority, void* tag,
                void (*unschedule)(void*)) override {
    if (priority != Priority::LOW) {
      return EnvWrapper::Schedule(run, argument, priority, tag, unschedule);
    }
    waiting_.push_back({argument, tag, unschedule});
  }
  int UnSchedule(void* tag, Priority priority) override {
    if (priority != Priority::LOW) return EnvWrapper::UnSchedule(tag, priority);
    const auto removed = std::stable_partition(waiting_.begin(), waiting_.end(),
                                               [&](const Task& task) { return task.tag != tag; });
    const auto count = static_cast<int>(waiting_.end() - removed);
    for (auto it = removed; it != waiting_.end(); ++it) {
      if (it->unschedule != nullptr) it->unschedule(it->argument);
    }
    waiting_.erase(removed, waiting_.end());
    return count;
  }

 private:
  struct Task {
    void* argument;
    void* tag;
    void (*unschedule)(void*);
  };
  std::vector<Task> waiting_;
};

// Flips a bit of the byte `from_end` bytes before the end; of the first byte if there are fewer.
void Damage(const fs::path& path, uint64_t from_end) {
  const uint64_t size = fs::file_size(path);
  FlipBit(path, size - std::min(size, from_end), from_end * 5 % 8);
}

class TableDamage : public testing::Test {
 protected:
  RocksDbStateStoreOptions Options() {
    // So few that almost every table is opened when it is first read, as in a large store.
    return {.directory = directory_.path(),
            .block_cache_bytes = 1 << 20,
            .open_files_max = 20,
            .env = &env_};
  }

  // Fills `table` with files [0, count) of kRowsOfAFile rows each, all of one layout.
  void MakeFiles(Table table, uint64_t count, size_t value_bytes) {
    table_ = table;
    Prng prng(7);
    auto store = OpenRocksDbStateStore(Options());
    ASSERT_TRUE(store.ok()) << store.status();
    for (uint64_t f = 0; f < count; ++f) {
      StateBatch batch;
      for (uint64_t i = 0; i < kRowsOfAFile; ++i) {
        std::string value(value_bytes, '\0');
        for (char& c : value) c = static_cast<char>(prng.Next());
        const std::string key = Key(kKeysOfAFile * f + 2 * i);
        batch.Put(table, key, value);
        rows_[key] = std::move(value);
      }
      ASSERT_TRUE((*store)->Flush(batch).ok());
    }
    store->reset();
    paths_.resize(count);
    for (const auto& entry : fs::directory_iterator(directory_.path())) {
      if (entry.path().extension() != ".sst") continue;
      rocksdb::SstFileReader reader((rocksdb::Options()));
      ASSERT_TRUE(reader.Open(entry.path().string()).ok());
      const std::unique_ptr<rocksdb::Iterator> it(reader.NewIterator(rocksdb::ReadOptions()));
      it->SeekToFirst();
      for (uint64_t f = 0; f < count; ++f) {
        if (it->Valid() && it->key() == Key(kKeysOfAFile * f)) paths_[f] = entry.path();
      }
    }
    for (const fs::path& path : paths_) ASSERT_FALSE(path.empty());
  }

  // Whether the error names the file, and in it an offset or a part that is there once.
  static bool NamesPlace(const absl::Status& status, const fs::path& path) {
    static const std::regex* const place =
        new std::regex("\\boffset [0-9]+|\\bin its (properties|footer)\\b");
    const std::string message(status.message());
    return absl::IsDataLoss(status) && absl::StrContains(message, path.filename().string()) &&
           std::regex_search(message, *place);
  }

  void Get(const StateSnapshot& snapshot, uint64_t f) {
    for (uint64_t n = kKeysOfAFile * f; n < kKeysOfAFile * (f + 1); ++n) {
      const auto value = snapshot.Get(table_, Key(n));
      if (!value.ok()) return Refused(value.status(), f);
      if (n % 2 == 1) {
        EXPECT_FALSE(value->has_value());
      } else {
        EXPECT_EQ(*value, rows_[Key(n)]) << "row " << n;
      }
    }
  }

  void MultiGet(const StateSnapshot& snapshot, uint64_t f) {
    std::vector<std::string> keys;
    for (uint64_t n = kKeysOfAFile * (f - 1); n < kKeysOfAFile * (f + 2); ++n) {
      keys.push_back(Key(n));
    }
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::optional<std::string>> values(keys.size());
    const absl::Status status = snapshot.MultiGet(
        table_, views, Reach::kDevice,
        [&](size_t i, std::optional<std::string_view> value) { values[i] = value; });
    if (!status.ok()) return Refused(status, f);
    for (size_t i = 0; i < keys.size(); ++i) {
      ASSERT_EQ(values[i].has_value(), i % 2 == 0) << "key " << i << " of " << keys.size();
      if (values[i].has_value()) {
        EXPECT_EQ(*values[i], rows_[keys[i]]);
      }
    }
  }

  void Scan(const StateSnapshot& snapshot, uint64_t f, uint64_t first, uint64_t end) {
    const std::string begin_key = Key(kKeysOfAFile * first);
    const std::string end_key = Key(kKeysOfAFile * end);
    Rows rows;
    const auto scanned = snapshot.Scan(table_, {.begin = begin_key, .end = end_key},
                                       [&](std::string_view key, std::string_view value) {
                                         rows.emplace(key, value);
                                         return true;
                                       });
    if (!scanned.ok()) return Refused(scanned.status(), f);
    EXPECT_TRUE(scanned->reached_end);
    EXPECT_TRUE(rows == Rows(rows_.lower_bound(begin_key), rows_.lower_bound(end_key)))
        << "scan from file " << first << " to " << end << " gave " << rows.size() << " rows";
  }

  void Refused(const absl::Status& status, uint64_t f) {
    refused_ = true;
    EXPECT_TRUE(NamesPlace(status, paths_[f])) << status;
  }

  // Reads the rows of file `f` in every way, beginning with another one for each f. True if one of
  // them was refused.
  bool IsRefused(const StateSnapshot& snapshot, uint64_t f) {
    refused_ = false;
    for (uint64_t way = 0; way < 4; ++way) {
      switch ((f / 2 + way) % 4) {
        case 0:
          Scan(snapshot, f, f - 1, f + 2);
          break;
        case 1:
          Get(snapshot, f);
          break;
        case 2:
          MultiGet(snapshot, f);
          break;
        default:
          Scan(snapshot, f, f, f + 1);
      }
    }
    return refused_;
  }

  // Damages each of the offsets in a file of its own, as many at a time as there are files; the
  // offsets at which that was harmless.
  std::vector<uint64_t> HarmlessOf(const std::vector<uint64_t>& offsets) {
    std::vector<uint64_t> harmless;
    constexpr uint64_t kFirst = 9;  // RocksDB looks at the first files when it opens the store.
    for (size_t done = 0; done < offsets.size();) {
      std::vector<std::pair<uint64_t, uint64_t>> damaged;  // File and offset.
      for (uint64_t f = kFirst; f + 1 < paths_.size() && done < offsets.size(); f += 2) {
        damaged.emplace_back(f, offsets[done++]);
      }
      for (const auto& [f, offset] : damaged) Damage(paths_[f], offset);
      {
        auto store = OpenRocksDbStateStore(Options());
        EXPECT_TRUE(store.ok()) << store.status();
        if (!store.ok()) return harmless;
        const auto snapshot = (*store)->Snapshot();
        for (const auto& [f, offset] : damaged) {
          SCOPED_TRACE(testing::Message() << paths_[f] << " byte -" << offset);
          if (!IsRefused(*snapshot, f)) harmless.push_back(offset);
          if (HasFailure()) return harmless;
        }
      }
      for (const auto& [f, offset] : damaged) Damage(paths_[f], offset);
    }
    return harmless;
  }

  // Every byte of the tail, and some of the rows before it.
  std::vector<uint64_t> Offsets() const {
    uint64_t size = 0;
    for (const fs::path& path : paths_) size = std::max<uint64_t>(size, fs::file_size(path));
    std::vector<uint64_t> from_end;
    for (uint64_t n = size; n > kTailBytes; n -= std::min<uint64_t>(n, 509)) from_end.push_back(n);
    for (uint64_t n = std::min(size, kTailBytes); n > 0; --n) from_end.push_back(n);
    return from_end;
  }

  ScratchDirectory directory_;
  IdleEnv env_;
  Table table_ = Table::kMeta;
  Rows rows_;
  std::vector<fs::path> paths_;
  bool refused_ = false;
};

TEST_F(TableDamage, NoByteOfATableIsReadWrong) {
  MakeFiles(Table::kIndex, kFiles, 24);
  // The rest of the 40 bytes that the footer has for two places of blocks.
  for (const uint64_t from_end : HarmlessOf(Offsets())) {
    EXPECT_TRUE(12 < from_end && from_end <= 12 + 40) << from_end;
  }
}

TEST_F(TableDamage, NoByteOfATableWithAFilterAndManyBlocksIsReadWrong) {
  MakeFiles(Table::kPayload, kFiles, 9000);
  size_t in_filter = 0;
  for (const uint64_t from_end : HarmlessOf(Offsets())) in_filter += from_end > 12 + 40 ? 1 : 0;
  EXPECT_LT(in_filter, 64u) << "a filter that cannot be read may have any key, and is small";
}

TEST_F(TableDamage, ACompactionLeavesOutNothing) {
  MakeFiles(Table::kPayload, 6, 9000);
  {
    auto store = OpenRocksDbStateStore(Options());
    ASSERT_TRUE(store.ok()) << store.status();
    StateBatch batch;  // Lies over all files.
    for (const auto& [key, value] : rows_) batch.Put(table_, key, value);
    ASSERT_TRUE((*store)->Flush(batch).ok());
  }
  Damage(paths_[3], UINT64_MAX);  // in its first block
  {
    auto database = Database::Open({.directory = directory_.path()}, Database::Missing::kRefuse);
    ASSERT_TRUE(database.ok()) << database.status();
    const rocksdb::Status status = (*database)->db()->CompactRange(
        rocksdb::CompactRangeOptions(), (*database)->family(table_), nullptr, nullptr);
    EXPECT_TRUE(status.IsCorruption()) << status.ToString();
    EXPECT_TRUE(NamesPlace((*database)->background().health(), paths_[3]))
        << (*database)->background().health();
  }
  Damage(paths_[3], UINT64_MAX);
  auto store = OpenRocksDbStateStore(Options());
  ASSERT_TRUE(store.ok()) << store.status();
  for (uint64_t f = 1; f < 5; ++f) EXPECT_FALSE(IsRefused(*(*store)->Snapshot(), f));
}

}  // namespace
}  // namespace holdfast
