#include "server/codec/row_keys.h"

#include <string>

#include "gtest/gtest.h"
#include "server/codec/random_values.h"

namespace holdfast {
namespace {

constexpr ShardId kShard(3);

TEST(RowKeys, SortAsTheirSetsDo) {
  RandomValues random(11);
  const SetRef set = {SetKind::kDelayed, QueueId(5), 2, Holder()};
  for (int i = 0; i < 2000; ++i) {
    const SetKey a = {random.Number(), random.Number()};
    const SetKey b = {random.prng().Chance(1, 2) ? a.key : random.Number(), random.Number()};
    EXPECT_EQ(a < b, IndexKey(kShard, set, a) < IndexKey(kShard, set, b));
    EXPECT_EQ(a.id < b.id, JobRowKey(kShard, JobId(a.id)) < JobRowKey(kShard, JobId(b.id)));
  }
}

TEST(RowKeys, RangesHoldTheirSetsAndNothingElse) {
  RandomValues random(12);
  for (int i = 0; i < 2000; ++i) {
    const SetRef set = random.Set();
    SetRef other = random.prng().Chance(1, 2) ? random.Set() : set;
    if (random.prng().Chance(1, 2)) other.queue = QueueId(set.queue.value() + 1);
    const SetKey from = {random.Number(), random.Number()};
    const SetKey place = {random.Number(), random.Number()};
    const KeyRange range = SetRange(kShard, set, from);
    const std::string key = IndexKey(kShard, other, place);
    const bool same_set = IndexPrefix(kShard, set) == IndexPrefix(kShard, other);
    EXPECT_EQ(range.begin <= key && key < range.end, same_set && place >= from);
    const KeyRange shard = ShardRange(kShard);
    EXPECT_TRUE(shard.begin <= key && key < shard.end);
    const std::string elsewhere = IndexKey(ShardId(kShard.value() + 1), other, place);
    EXPECT_FALSE(shard.begin <= elsewhere && elsewhere < shard.end);
  }
}

TEST(RowKeys, LastSetsHaveAnEnd) {
  const SetRef last = {SetKind::kHeld, QueueId(), 0, {NodeId(UINT64_MAX), UINT64_MAX, UINT64_MAX}};
  const KeyRange range = SetRange(kShard, last, SetKey::Min());
  EXPECT_LT(range.begin, range.end);
  EXPECT_LT(IndexKey(kShard, last, SetKey::Max()), range.end);
}

TEST(RowKeys, FieldsThatDoNotCountAreLeftOut) {
  const Holder holder = {NodeId(1), 2, 3};
  const SetKey place = {1, 2};
  const auto key = [&](SetRef set) { return IndexKey(kShard, set, place); };
  EXPECT_EQ(key({SetKind::kTtl, QueueId(1), 7, holder}), key({SetKind::kTtl, QueueId(1), 0, {}}));
  EXPECT_EQ(key({SetKind::kDedup, QueueId(1), 7, holder}),
            key({SetKind::kDedup, QueueId(1), 0, {}}));
  EXPECT_EQ(key({SetKind::kHeld, QueueId(1), 7, holder}),
            key({SetKind::kHeld, QueueId(), 0, holder}));
  EXPECT_EQ(key({SetKind::kReady, QueueId(1), 7, holder}),
            key({SetKind::kReady, QueueId(1), 7, {}}));
  EXPECT_NE(key({SetKind::kReady, QueueId(1), 7, {}}), key({SetKind::kReady, QueueId(1), 8, {}}));
}

TEST(RowKeys, ParseGivesBackWhatWasMade) {
  RandomValues random(13);
  for (int i = 0; i < 500; ++i) {
    const uint64_t id = random.Number();
    EXPECT_EQ(*ParseJobRowKey(kShard, JobRowKey(kShard, JobId(id))), JobId(id));
    EXPECT_EQ(*ParseQueueRowKey(kShard, QueueRowKey(kShard, QueueId(id))), QueueId(id));
    const SetRef set = random.Set();
    const SetKey place = {random.Number(), id};
    EXPECT_EQ(*ParseIndexKey(kShard, set, IndexKey(kShard, set, place)), place);
    const SmallRowKey small = random.Key(i % RandomValues::kSmallRowKinds);
    const std::string key = SmallRowKeyBytes(kShard, small);
    const auto parsed = ParseSmallRowKey(kShard, key);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_TRUE(Same(*parsed, small));
    EXPECT_FALSE(ParseSmallRowKey(kShard, key + "x").ok());
    EXPECT_FALSE(ParseSmallRowKey(kShard, key.substr(0, key.size() - 1)).ok());
  }
}

TEST(RowKeys, MalformedKeysAreNamedInHex) {
  const absl::Status status = ParseJobRowKey(kShard, std::string("\x00\x00\x00\x04", 4)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "table kJob, key 00000004: malformed key");
}

TEST(RowKeys, SmallRowsOfAKindAreWithinItsRange) {
  RandomValues random(14);
  const MetaKind kinds[] = {MetaKind::kGlobals, MetaKind::kHolder,       MetaKind::kNodeFloor,
                            MetaKind::kRequest, MetaKind::kSession,      MetaKind::kSessionOutcome,
                            MetaKind::kGrave,   MetaKind::kClusterRecord};
  for (int i = 0; i < 300; ++i) {
    const int kind = i % RandomValues::kSmallRowKinds;
    const std::string key = SmallRowKeyBytes(kShard, random.Key(kind));
    for (int other = 0; other < RandomValues::kSmallRowKinds; ++other) {
      const KeyRange range = MetaRange(kShard, kinds[other]);
      EXPECT_EQ(range.begin <= key && key < range.end, kind == other);
    }
  }
}

TEST(IndexPlaces, FollowFromTheJobsPlaces) {
  JobPlaces places;
  places.queue = QueueId(4);
  places.state = JobState::kReserved;
  places.epoch = 2;
  places.state_key = {100, 7};
  places.expires = LogTime::Never();
  EXPECT_EQ(IndexPlacesOf(JobId(7), places).size, 1);
  places.expires = LogTime::FromMicros(55);
  places.holder = {NodeId(1), 2, 3};
  const IndexPlaces all = IndexPlacesOf(JobId(7), places);
  ASSERT_EQ(all.size, 3);
  EXPECT_EQ(all.places[0], (IndexPlace{{SetKind::kReserved, QueueId(4), 2, {}}, {100, 7}}));
  EXPECT_EQ(all.places[1], (IndexPlace{{SetKind::kTtl, QueueId(4), 0, {}}, {55, 7}}));
  EXPECT_EQ(all.places[2], (IndexPlace{{SetKind::kHeld, {}, 0, places.holder}, {0, 7}}));
}

}  // namespace
}  // namespace holdfast
