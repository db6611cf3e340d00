// One bit is flipped somewhere in the files of a store. Opening and reading it must either give
// an error that names the file, or exactly the rows that were there.

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/coding.h"
#include "base/prng.h"
#include "base/testing/flip_bit.h"
#include "gtest/gtest.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/rocksdb/scratch_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Tables = std::array<std::map<std::string, std::string>, kTableCount>;

std::string Key(uint64_t n) {
  std::string key;
  PutBigEndian32(&key, static_cast<uint32_t>(n % 2));
  PutBigEndian64(&key, n);
  return key;
}

absl::StatusOr<std::unique_ptr<StateStore>> Open(const fs::path& path) {
  return OpenRocksDbStateStore({.directory = path.string(), .block_cache_bytes = 1 << 20});
}

// An installed staging: rows under a prefix of their own, beside what the flushes left of the
// shard.
void ReplaceShard(StateStore* store, uint32_t shard, Tables* tables) {
  std::string begin;
  std::string end;
  PutBigEndian32(&begin, shard);
  PutBigEndian32(&end, shard + 1);
  auto staging = store->Stage(begin, end);
  ASSERT_TRUE(staging.ok()) << staging.status();
  for (const Table table : kAllTables) {
    auto& rows = (*tables)[static_cast<size_t>(table)];
    rows.erase(rows.lower_bound(begin), rows.lower_bound(end));
    for (uint64_t n = 0; n < 600; n += 2) {
      std::string key = begin;
      PutBigEndian64(&key, n);
      EXPECT_TRUE((*staging)->Add(table, key, "staged").ok());
      rows[key] = "staged";
    }
  }
  EXPECT_TRUE((*staging)->Finish().ok());
  EXPECT_TRUE((*staging)->Install(StateBatch()).ok());
}

// A store with several flushes of puts, overwrites and deletions, and two installed stagings.
Tables MakeStore(const fs::path& path) {
  Tables tables;
  Prng prng(7);
  auto store = Open(path);
  EXPECT_TRUE(store.ok()) << store.status();
  for (uint64_t flush = 0; flush < 4; ++flush) {
    StateBatch batch;
    for (const Table table : kAllTables) {
      auto& rows = tables[static_cast<size_t>(table)];
      for (uint64_t i = 0; i < 400; ++i) {
        const std::string key = Key(flush * 300 + i);
        std::string value(table == Table::kIndex ? 0 : prng.Below(120), '\0');
        for (char& c : value) c = static_cast<char>(prng.Next());
        batch.Put(table, key, value);
        rows[key] = value;
        const std::string old = Key(flush * 200 + i / 2);
        if (flush > 1 && old != key && i % 2 == 0) {
          batch.Delete(table, old);
          rows.erase(old);
        }
      }
    }
    EXPECT_TRUE((*store)->Flush(batch).ok());
  }
  ReplaceShard(store->get(), 0, &tables);  // over other rows
  ReplaceShard(store->get(), 7, &tables);  // into nothing
  return tables;
}

// Reads all rows in every way there is. OK with the rows, or the first error.
absl::StatusOr<Tables> ReadAll(const StateStore& store, const Tables& expected) {
  Tables tables;
  const auto snapshot = store.Snapshot();
  for (const Table table : kAllTables) {
    auto& rows = tables[static_cast<size_t>(table)];
    auto end = snapshot->Scan(table,
                              {.begin = std::string_view("\0", 1),
                               .end = "\xff\xff\xff\xfe",
                               .rows_max = UINT64_MAX,
                               .bytes_max = UINT64_MAX},
                              [&](std::string_view key, std::string_view value) {
                                rows.emplace(key, value);
                                return true;
                              });
    if (!end.ok()) return end.status();
    std::vector<std::string> keys;
    for (uint64_t n = 0; n < 1400; ++n) keys.push_back(Key(n));
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    const auto& expected_rows = expected[static_cast<size_t>(table)];
    const absl::Status status = snapshot->MultiGet(
        table, views, Reach::kDevice, [&](size_t i, std::optional<std::string_view> value) {
          const auto it = expected_rows.find(keys[i]);
          ASSERT_EQ(value.has_value(), it != expected_rows.end()) << "MultiGet is wrong";
          if (value.has_value()) {
            EXPECT_EQ(*value, it->second);
          }
        });
    if (!status.ok()) return status;
  }
  return tables;
}

enum class Kind { kTable, kManifest, kCurrent, kMark, kOptions, kOther };

Kind KindOf(const std::string& name) {
  if (absl::EndsWith(name, ".sst")) return Kind::kTable;
  if (absl::StartsWith(name, "MANIFEST")) return Kind::kManifest;
  if (name == "CURRENT") return Kind::kCurrent;
  if (name == "FLUSHED") return Kind::kMark;
  if (absl::StartsWith(name, "OPTIONS")) return Kind::kOptions;
  return Kind::kOther;
}

class Damage : public testing::Test {
 protected:
  Damage() : original_(directory_.path() + "/original"), copy_(directory_.path() + "/copy") {
    rows_ = MakeStore(original_);
    for (const auto& entry : fs::directory_iterator(original_)) {
      if (entry.is_regular_file()) names_.push_back(entry.path().filename());
    }
    std::sort(names_.begin(), names_.end());
  }

  void Copy() {
    fs::remove_all(copy_);
    fs::copy(original_, copy_, fs::copy_options::recursive);
  }
  // True if the copy was refused with an error that names `name`; else its rows are all right.
  bool IsRefused(const std::string& name) {
    auto store = Open(copy_);
    absl::Status status = store.status();
    if (status.ok()) {
      const auto rows = ReadAll(**store, rows_);
      status = rows.status();
      if (rows.ok()) {
        EXPECT_TRUE(*rows == rows_) << "silently wrong rows";
        return false;
      }
    }
    EXPECT_TRUE(status.code() == absl::StatusCode::kDataLoss ||
                status.code() == absl::StatusCode::kFailedPrecondition)
        << status;
    EXPECT_TRUE(absl::StrContains(status.message(), name)) << name << ": " << status;
    return true;
  }

  ScratchDirectory directory_;
  const fs::path original_;
  const fs::path copy_;
  Tables rows_;
  std::vector<std::string> names_;
};

TEST_F(Damage, AFlippedBitIsRefusedByNameOrHarmless) {
  Prng prng(11);
  std::map<Kind, int> refused;
  std::map<Kind, int> harmless;
  for (const std::string& name : names_) {
    const uint64_t size = fs::file_size(original_ / name);
    if (size == 0) continue;
    std::set<uint64_t> offsets;
    for (uint64_t i = 0; i < std::min<uint64_t>(size, 4); ++i) {
      offsets.insert(i);
      offsets.insert(size - 1 - i);
    }
    const Kind kind = KindOf(name);
    const size_t wanted = kind == Kind::kManifest ? 80 : 16;
    while (offsets.size() < std::min<uint64_t>(wanted, size)) offsets.insert(prng.Below(size));
    for (const uint64_t offset : offsets) {
      const auto bit = static_cast<unsigned>(prng.Below(8));
      SCOPED_TRACE(testing::Message() << name << " offset " << offset << " bit " << bit);
      Copy();
      FlipBit(copy_ / name, offset, bit);
      ++(IsRefused(name) ? refused : harmless)[kind];
      if (HasFailure()) return;
    }
  }
  for (const auto& [kind, count] : refused) {
    RecordProperty("refused" + std::to_string(static_cast<int>(kind)), count);
  }
  for (const auto& [kind, count] : harmless) {
    RecordProperty("harmless" + std::to_string(static_cast<int>(kind)), count);
  }
  // Every byte of a table is covered by a checksum; a few are not read by any of our reads.
  EXPECT_GT(refused[Kind::kTable], 4 * harmless[Kind::kTable]);
  EXPECT_GT(refused[Kind::kManifest], 9 * harmless[Kind::kManifest]);
  EXPECT_GT(refused[Kind::kCurrent], 0);
  // A slot of the mark may be damaged without harm: the other one is older, so asks for less.
  EXPECT_EQ(refused[Kind::kMark], 0);
  EXPECT_EQ(refused[Kind::kOptions], 0);  // Written by RocksDB for people; never read.
}

TEST_F(Damage, ATruncatedFileIsRefusedByName) {
  for (const std::string& name : names_) {
    const Kind kind = KindOf(name);
    if (kind == Kind::kOptions || kind == Kind::kOther) continue;
    for (const uint64_t cut : {uint64_t{1}, fs::file_size(original_ / name) / 2}) {
      SCOPED_TRACE(testing::Message() << name << " without its last " << cut << " bytes");
      Copy();
      fs::resize_file(copy_ / name, fs::file_size(copy_ / name) - cut);
      const bool refused = IsRefused(name);
      // The mark's end is empty, and half of it is one good slot.
      EXPECT_TRUE(refused || kind == Kind::kMark || (kind == Kind::kCurrent && cut == 1));
      if (HasFailure()) return;
    }
  }
}

TEST_F(Damage, AMissingFileIsRefusedByName) {
  for (const std::string& name : names_) {
    const Kind kind = KindOf(name);
    if (kind == Kind::kOptions || kind == Kind::kOther) continue;
    SCOPED_TRACE(name);
    Copy();
    fs::remove(copy_ / name);
    EXPECT_TRUE(IsRefused(name));
    if (HasFailure()) return;
  }
}

TEST_F(Damage, AnUndamagedCopyIsAccepted) {
  Copy();
  EXPECT_FALSE(IsRefused("none"));
}

// RocksDB alone opens this store without a word, one flush back, and deletes the flush's files.
TEST_F(Damage, AManifestThatLostItsEndIsRefusedAndNothingIsDeleted) {
  Copy();
  std::string manifest;
  for (const std::string& name : names_) {
    if (KindOf(name) == Kind::kManifest) manifest = name;
  }
  fs::resize_file(copy_ / manifest, fs::file_size(copy_ / manifest) - 3);
  EXPECT_TRUE(IsRefused(manifest));
  for (const std::string& name : names_) EXPECT_TRUE(fs::exists(copy_ / name)) << name;
  fs::copy_file(original_ / manifest, copy_ / manifest, fs::copy_options::overwrite_existing);
  EXPECT_FALSE(IsRefused(manifest));
}

TEST_F(Damage, BothSlotsOfTheMarkDamagedIsRefused) {
  Copy();
  FlipBit(copy_ / "FLUSHED", 14, 0);
  FlipBit(copy_ / "FLUSHED", 512 + 14, 0);
  EXPECT_TRUE(IsRefused("FLUSHED"));
}

}  // namespace
}  // namespace holdfast
