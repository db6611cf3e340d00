#include "server/engine/overlay/paged_map.h"

#include <map>

#include "base/prng.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

struct Value {
  uint64_t a;
  uint32_t b;
};

// A run of neighbours now and then, else anywhere.
uint64_t AnyNumber(Prng* prng) {
  return prng->Chance(1, 4) ? prng->Next() >> prng->Between(12, 63) : prng->Below(400);
}

TEST(PagedMap, DoesWhatAnOrderedMapDoes) {
  Prng prng(42);
  PagedMap<Value> map;
  std::map<uint64_t, uint64_t> model;
  for (int i = 0; i < 30000; ++i) {
    const uint64_t number = AnyNumber(&prng);
    if (prng.Chance(2, 5) && model.contains(number)) {
      map.Erase(number);
      model.erase(number);
    } else {
      Value* value = map.FindOrInsert(number);
      if (!model.contains(number)) {
        EXPECT_EQ(value->a, 0u) << "a new value is value-initialised";
      }
      value->a = model[number] = prng.Next();
    }
    ASSERT_EQ(map.size(), model.size());
    const uint64_t other = AnyNumber(&prng);
    const Value* found = map.Find(other);
    ASSERT_EQ(found != nullptr, model.contains(other));
    if (found != nullptr) {
      ASSERT_EQ(found->a, model[other]);
    }
  }
  auto expected = model.begin();
  map.ForEachSorted([&](uint64_t number, const Value& value) {
    ASSERT_NE(expected, model.end());
    EXPECT_EQ(number, expected->first);
    EXPECT_EQ(value.a, expected->second);
    ++expected;
  });
  EXPECT_EQ(expected, model.end());
}

TEST(PagedMap, RangesIncludeBothEnds) {
  Prng prng(43);
  PagedMap<Value> map;
  std::map<uint64_t, uint64_t> model;
  for (int i = 0; i < 500; ++i) {
    const uint64_t number = prng.Below(2000);
    map.FindOrInsert(number)->a = model[number] = number * 3;
  }
  for (int i = 0; i < 500; ++i) {
    const uint64_t begin = prng.Below(2000);
    const uint64_t end = begin + prng.Below(300);
    auto expected = model.lower_bound(begin);
    map.ForRange(begin, end, [&](uint64_t number, Value* value) {
      ASSERT_EQ(number, expected->first);
      EXPECT_EQ(value->a, expected->second);
      ++expected;
    });
    EXPECT_EQ(expected, model.upper_bound(end));
  }
}

TEST(PagedMap, GivesBackItsMemoryWhenEmptied) {
  PagedMap<Value> map;
  for (uint64_t i = 0; i < 1000; ++i) map.FindOrInsert(i * 7);
  EXPECT_GT(map.bytes(), 1000 * sizeof(Value));
  for (uint64_t i = 0; i < 1000; ++i) map.Erase(i * 7);
  EXPECT_EQ(map.bytes(), 0u);
  EXPECT_EQ(map.size(), 0u);
}

}  // namespace
}  // namespace holdfast
