#include "storage/state_batch.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

using Model = std::map<std::string, std::optional<std::string>>;

Model RowsOf(const StateBatch& batch, Table table) {
  Model rows;
  std::string previous;
  for (const uint32_t position : batch.Sorted(table)) {
    const StateBatch::Row row = batch.At(table, position);
    EXPECT_TRUE(rows.empty() || previous < row.key);
    previous = row.key;
    if (row.is_delete) {
      rows[previous] = std::nullopt;
    } else {
      rows[previous] = std::string(row.value);
    }
  }
  return rows;
}

TEST(StateBatch, RowsComeOutSortedWithTheLastOperationOnEachKey) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    StateBatch batch;
    Model model;
    std::vector<std::string> kept(500);
    for (std::string& value : kept) {
      const std::string key(1 + prng.Below(2), static_cast<char>('a' + prng.Below(26)));
      value.assign(prng.Below(5000), static_cast<char>(prng.Next()));
      const uint64_t kind = prng.Below(3);
      if (kind == 0) {
        batch.Delete(Table::kJob, key);
        model[key] = std::nullopt;
        continue;
      }
      if (kind == 1) batch.Put(Table::kJob, key, value);
      if (kind == 2) batch.PutReference(Table::kJob, key, value);
      model[key] = value;
    }
    EXPECT_EQ(RowsOf(batch, Table::kJob), model);
    EXPECT_EQ(batch.rows(Table::kJob), kept.size());
    EXPECT_TRUE(RowsOf(batch, Table::kIndex).empty());
  }
}

TEST(StateBatch, RowsLargerThanAChunkAndRowsThatFillChunksAreKept) {
  StateBatch batch;
  Model model;
  const size_t sizes[] = {0,       1,       (1 << 20) - 12, (1 << 20) - 8, 1 << 20,
                          3 << 20, 5 << 10, 4 << 10,        (1 << 20) - 7, 100};
  for (size_t i = 0; i < std::size(sizes); ++i) {
    const std::string key(1, static_cast<char>('z' - i));
    const std::string value(sizes[i], static_cast<char>('0' + i));
    batch.Put(Table::kPayload, key, value);
    model[key] = value;
  }
  EXPECT_EQ(RowsOf(batch, Table::kPayload), model);
}

TEST(StateBatch, ReferencedValuesAreNotCopied) {
  StateBatch batch;
  const std::string value(1 << 20, 'v');
  batch.PutReference(Table::kPayload, "k", value);
  EXPECT_LT(batch.memory_bytes(), 10'000u);
  EXPECT_EQ(batch.bytes(), value.size() + 1);
  EXPECT_EQ(batch.At(Table::kPayload, batch.Sorted(Table::kPayload)[0]).value.data(), value.data());
}

TEST(StateBatch, ClearForgetsRowsAndMemory) {
  StateBatch batch;
  EXPECT_TRUE(batch.empty());
  batch.Put(Table::kMeta, "k", std::string(100'000, 'v'));
  EXPECT_FALSE(batch.empty());
  batch.Clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.bytes(), 0u);
  EXPECT_EQ(batch.memory_bytes(), 0u);
  batch.Delete(Table::kMeta, "k");
  EXPECT_EQ(RowsOf(batch, Table::kMeta), (Model{{"k", std::nullopt}}));
}

TEST(StateBatch, SmallRowsCostFewBytesBeyondTheirOwn) {
  StateBatch batch;
  for (int i = 0; i < 1'000'000; ++i) {
    batch.Put(Table::kIndex, "shard-queue-" + std::to_string(1'000'000 + i), "");
  }
  EXPECT_LT(batch.memory_bytes(), batch.bytes() + 1'000'000 * 16);
}

}  // namespace
}  // namespace holdfast
