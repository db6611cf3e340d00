#include "storage/rocksdb/prefix_map.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr uint32_t kFirst = PrefixMap::kFirst;

std::string Key(uint32_t prefix, std::string_view rest) { return PrefixBytes(prefix).append(rest); }

struct Bounds {
  std::string begin;
  std::string end;
  std::string logical;
  bool operator==(const Bounds&) const = default;
};
std::vector<Bounds> SegmentsOf(const PrefixMap& map, std::string_view begin, std::string_view end) {
  std::vector<Bounds> bounds;
  for (const PrefixMap::Segment& segment : map.Segments(begin, end)) {
    bounds.push_back({segment.begin, segment.end, segment.logical});
  }
  return bounds;
}

PrefixMap TwoReplaced() {
  PrefixMap map;
  map.Replace(5, kFirst);
  map.Replace(2, kFirst + 1);
  map.Replace(5, kFirst + 2);
  return map;
}

TEST(PrefixMap, KeysOfAReplacedShardLieElsewhereAndOthersWhereTheyAre) {
  const PrefixMap map = TwoReplaced();
  std::string buffer;
  EXPECT_EQ(map.PhysicalKey(Key(5, "abc"), &buffer), Key(kFirst + 2, "abc"));
  EXPECT_EQ(map.PhysicalKey(Key(2, ""), &buffer), Key(kFirst + 1, ""));
  EXPECT_EQ(map.PhysicalKey(Key(3, "abc"), &buffer), Key(3, "abc"));
  EXPECT_EQ(map.PhysicalKey("abc", &buffer), "abc");
  EXPECT_EQ(PrefixMap().PhysicalKey(Key(5, "abc"), &buffer), Key(5, "abc"));
}

TEST(PrefixMap, WhatWasReplacedIsDeadUntilForgotten) {
  PrefixMap map = TwoReplaced();
  EXPECT_EQ(map.dead(), (std::set<uint32_t>{2, 5, kFirst}));
  EXPECT_EQ(map.next(), kFirst + 3);
  map.Forget(kFirst);
  EXPECT_EQ(map.dead(), (std::set<uint32_t>{2, 5}));
  EXPECT_EQ(map.next(), kFirst + 3) << "a prefix is never used again";
}

TEST(PrefixMap, ARangeIsCutAtReplacedShards) {
  const PrefixMap map = TwoReplaced();
  const std::string zero(1, '\0');
  EXPECT_EQ(SegmentsOf(map, zero, "\xff"),
            (std::vector<Bounds>{{zero, Key(2, ""), ""},
                                 {Key(kFirst + 1, ""), Key(kFirst + 2, ""), Key(2, "")},
                                 {Key(3, ""), Key(5, ""), ""},
                                 {Key(kFirst + 2, ""), Key(kFirst + 3, ""), Key(5, "")},
                                 {Key(6, ""), Key(kFirst, ""), ""}}));
  EXPECT_EQ(SegmentsOf(map, Key(5, "b"), Key(5, "d")),
            (std::vector<Bounds>{{Key(kFirst + 2, "b"), Key(kFirst + 2, "d"), Key(5, "")}}));
  EXPECT_EQ(SegmentsOf(map, Key(5, ""), Key(6, "")),
            (std::vector<Bounds>{{Key(kFirst + 2, ""), Key(kFirst + 3, ""), Key(5, "")}}));
  EXPECT_EQ(SegmentsOf(map, Key(4, "b"), Key(5, "d")),
            (std::vector<Bounds>{{Key(4, "b"), Key(5, ""), ""},
                                 {Key(kFirst + 2, ""), Key(kFirst + 2, "d"), Key(5, "")}}));
  EXPECT_EQ(SegmentsOf(map, Key(3, "b"), Key(4, "")),
            (std::vector<Bounds>{{Key(3, "b"), Key(4, ""), ""}}));
  EXPECT_EQ(SegmentsOf(map, Key(5, "b"), Key(5, "b")), (std::vector<Bounds>{}));
  EXPECT_EQ(SegmentsOf(PrefixMap(), zero, Key(7, "x")),
            (std::vector<Bounds>{{zero, Key(7, "x"), ""}}));
}

TEST(PrefixMap, RoundTripsAndIsStrict) {
  const PrefixMap map = TwoReplaced();
  const std::string bytes = map.Encode();
  const auto decoded = PrefixMap::Decode(bytes);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->Encode(), bytes);
  EXPECT_EQ(decoded->PhysicalOf(5), kFirst + 2);
  EXPECT_EQ(decoded->dead(), map.dead());
  EXPECT_EQ(decoded->next(), map.next());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(PrefixMap::Decode(bytes.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(PrefixMap::Decode(bytes + "x").has_value());
}

}  // namespace
}  // namespace holdfast
