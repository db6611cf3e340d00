// Stores of every format version that was ever released are read for ever (FORMAT.md, "Changing
// it"): testdata/v1 is one of version 1.
//
// HOLDFAST_WRITE_GOLDEN=DIR (with --test_env) writes the store there, for a new version's testdata.

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/rocksdb/scratch_directory.h"

namespace holdfast {
namespace {

constexpr char kVersion1[] = "storage/rocksdb/testdata/v1";
constexpr char kEnd[] = "\xfe";  // behind every key of the test

using Rows = std::map<std::pair<Table, std::string>, std::string>;

std::string KeyOf(int number) { return absl::StrCat("key ", 1000 + number); }
std::string ValueOf(int number) { return std::string(static_cast<size_t>(number), 'v'); }

// Three flushes: rows of every table; some of them replaced and deleted; others added.
void WriteStore(StateStore* store) {
  StateBatch batch;
  for (const Table table : kAllTables) {
    for (int i = 0; i < 20; ++i) batch.Put(table, KeyOf(i), ValueOf(i));
  }
  ASSERT_TRUE(store->Flush(batch).ok());
  StateBatch changes;
  for (const Table table : kAllTables) {
    for (int i = 0; i < 5; ++i) changes.Delete(table, KeyOf(i));
    for (int i = 5; i < 10; ++i) changes.Put(table, KeyOf(i), ValueOf(100 + i));
  }
  ASSERT_TRUE(store->Flush(changes).ok());
  StateBatch additions;
  for (const Table table : kAllTables) additions.Put(table, KeyOf(3), "again");
  ASSERT_TRUE(store->Flush(additions).ok());
}

Rows ExpectedRows() {
  Rows rows;
  for (const Table table : kAllTables) {
    rows[{table, KeyOf(3)}] = "again";
    for (int i = 5; i < 10; ++i) rows[{table, KeyOf(i)}] = ValueOf(100 + i);
    for (int i = 10; i < 20; ++i) rows[{table, KeyOf(i)}] = ValueOf(i);
  }
  return rows;
}

Rows RowsOf(const StateStore& store) {
  Rows rows;
  const auto snapshot = store.Snapshot();
  for (const Table table : kAllTables) {
    const ScanRange all = {.begin = "", .end = kEnd};
    const auto end = snapshot->Scan(table, all, [&](std::string_view key, std::string_view value) {
      rows[{table, std::string(key)}] = value;
      return true;
    });
    EXPECT_TRUE(end.ok() && end->reached_end);
  }
  return rows;
}

std::unique_ptr<StateStore> Open(const std::string& directory) {
  RocksDbStateStoreOptions options;
  options.directory = directory;
  auto opened = OpenRocksDbStateStore(options);
  if (!opened.ok()) {
    ADD_FAILURE() << opened.status();
    std::abort();
  }
  return *std::move(opened);
}

TEST(Golden, StoreOfVersion1IsReadAndGoneOnWith) {
  const ScratchDirectory scratch;
  const std::filesystem::path copy = scratch.path() + "/state";
  std::filesystem::create_directory(copy);
  for (const auto& file : std::filesystem::directory_iterator(kVersion1)) {
    // The bytes, never the link: what the test is given may not be written.
    const auto from = std::filesystem::canonical(file.path());
    const auto to = copy / file.path().filename();
    std::filesystem::copy_file(from, to);
    std::filesystem::permissions(to, std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
  }
  Rows rows = ExpectedRows();
  {
    const auto store = Open(copy);
    EXPECT_EQ(RowsOf(*store), rows);
    StateBatch batch;
    batch.Delete(Table::kJob, KeyOf(3));
    batch.Put(Table::kMeta, KeyOf(50), "new");
    ASSERT_TRUE(store->Flush(batch).ok());
  }
  rows.erase({Table::kJob, KeyOf(3)});
  rows[{Table::kMeta, KeyOf(50)}] = "new";
  EXPECT_EQ(RowsOf(*Open(copy)), rows);
}

TEST(Golden, StoreIsWrittenAsItIsRead) {
  const ScratchDirectory scratch;
  const char* given = std::getenv("HOLDFAST_WRITE_GOLDEN");
  const std::string directory = given != nullptr ? given : scratch.path() + "/state";
  WriteStore(Open(directory).get());
  EXPECT_EQ(RowsOf(*Open(directory)), ExpectedRows());
}

}  // namespace
}  // namespace holdfast
