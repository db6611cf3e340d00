// A process is killed in the middle of flushes; the store must be at one completed flush.

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/coding.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/rocksdb/scratch_directory.h"

namespace holdfast {
namespace {

constexpr uint64_t kRowsPerFlush = 6000;
constexpr uint64_t kFlushesKept = 3;  // Later flushes delete the rows of earlier ones.

std::string Key(uint64_t flush, uint64_t row) {
  std::string key;
  PutBigEndian32(&key, static_cast<uint32_t>(row % 2));  // Two shards.
  PutBigEndian64(&key, flush);
  PutBigEndian64(&key, row);
  return key;
}

// Flush n puts its rows into three tables, deletes those of flush n - kFlushesKept, and says n.
StateBatch BatchOf(uint64_t flush) {
  StateBatch batch;
  std::string number;
  PutFixed64(&number, flush);
  batch.Put(Table::kMeta, "flush", number);
  for (const Table table : {Table::kJob, Table::kPayload, Table::kIndex}) {
    for (uint64_t row = 0; row < kRowsPerFlush; ++row) {
      batch.Put(table, Key(flush, row), number);
      if (flush > kFlushesKept) batch.Delete(table, Key(flush - kFlushesKept, row));
    }
  }
  return batch;
}

uint64_t FlushNumberOf(const StateSnapshot& snapshot) {
  const auto value = snapshot.Get(Table::kMeta, "flush");
  EXPECT_TRUE(value.ok()) << value.status();
  if (!value.ok() || !value->has_value()) return 0;
  uint64_t number = 0;
  EXPECT_TRUE(ByteReader(**value).Fixed64(&number));
  return number;
}

// All tables hold exactly what flushes 1..n left.
void ExpectIsAtFlush(const StateSnapshot& snapshot, uint64_t n) {
  for (const Table table : {Table::kJob, Table::kPayload, Table::kIndex}) {
    uint64_t rows = 0;
    const auto end =
        snapshot.Scan(table,
                      {.begin = std::string_view("\0", 1),
                       .end = "\xff",
                       .rows_max = UINT64_MAX,
                       .bytes_max = UINT64_MAX},
                      [&](std::string_view key, std::string_view value) {
                        ByteReader reader(key);
                        uint32_t shard = 0;
                        uint64_t flush = 0;
                        uint64_t written_by = 0;
                        EXPECT_TRUE(reader.BigEndian32(&shard) && reader.BigEndian64(&flush));
                        EXPECT_TRUE(ByteReader(value).Fixed64(&written_by));
                        EXPECT_EQ(flush, written_by);
                        EXPECT_LE(flush, n);
                        EXPECT_GT(flush + kFlushesKept, n);
                        ++rows;
                        return !testing::Test::HasFailure();
                      });
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_EQ(rows, std::min(n, kFlushesKept) * kRowsPerFlush) << TableName(table);
  }
}

// Flushes for ever, writing each completed number to `report`.
[[noreturn]] void FlushForEver(const std::string& directory, int report) {
  auto store = OpenRocksDbStateStore({.directory = directory, .block_cache_bytes = 1 << 20});
  if (!store.ok()) _exit(1);
  uint64_t number = FlushNumberOf(*(*store)->Snapshot());
  while (true) {
    ++number;
    if (!(*store)->Flush(BatchOf(number)).ok()) _exit(2);
    if (write(report, &number, sizeof(number)) != sizeof(number)) _exit(3);
  }
}

TEST(RocksDbStateStoreCrash, AKilledProcessLeavesExactlyOneCompletedFlush) {
  ScratchDirectory directory;
  const std::string path = directory.path() + "/state";
  const uint64_t seed = static_cast<uint64_t>(getpid());
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Prng prng(seed);
  uint64_t completed = 0;
  uint64_t killed_in_flush = 0;
  for (int round = 0; round < 25; ++round) {
    int report[2];
    ASSERT_EQ(pipe(report), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(report[0]);
      FlushForEver(path, report[1]);
    }
    close(report[1]);
    // Some flushes, then a moment within the next one, which takes about as long as the last.
    auto last_flush = std::chrono::steady_clock::duration::zero();
    for (uint64_t n = 2 + prng.Below(3); n > 0; --n) {
      const auto begin = std::chrono::steady_clock::now();
      if (read(report[0], &completed, sizeof(completed)) != sizeof(completed)) break;
      last_flush = std::chrono::steady_clock::now() - begin;
    }
    const auto millis = std::chrono::ceil<std::chrono::milliseconds>(last_flush).count();
    struct pollfd next = {.fd = report[0], .events = POLLIN, .revents = 0};
    poll(&next, 1, static_cast<int>(prng.Below(static_cast<uint64_t>(millis) + 1)));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    while (read(report[0], &completed, sizeof(completed)) == sizeof(completed)) {
    }
    close(report[0]);
    killed_in_flush += !std::filesystem::is_empty(path + "/incoming");

    auto store = OpenRocksDbStateStore({.directory = path, .block_cache_bytes = 1 << 20});
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_TRUE(std::filesystem::is_empty(path + "/incoming"));
    const uint64_t number = FlushNumberOf(*(*store)->Snapshot());
    EXPECT_GE(number, completed);
    EXPECT_LE(number, completed + 1);
    ExpectIsAtFlush(*(*store)->Snapshot(), number);
    if (HasFailure()) return;
  }
  EXPECT_GT(killed_in_flush, 0u);  // Else this test tests nothing.
}

}  // namespace
}  // namespace holdfast
