// The overlay, the batches and the cold reader against a model that is a few maps: whatever
// changes when, and however flushes, releases and fetches cross, the rows of the store are exactly
// those of the model at the last flush, and what is not dirty is what the store says.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "server/codec/payload_codec.h"
#include "server/codec/row_keys.h"
#include "server/engine/overlay/cold_reader.h"
#include "server/engine/overlay/flush_batch.h"
#include "storage/memory_state/memory_state_store.h"

namespace holdfast {
namespace {

constexpr ShardId kShard(1);
constexpr uint32_t kShards = 4;
constexpr uint64_t kQueues = 3;

// The state at one moment, and the rows it should have.
struct Model {
  struct JobAndPayload {
    Job job;
    std::string payload;
  };
  std::map<JobId, JobAndPayload> jobs;
  std::map<std::pair<QueueId, std::string>, DedupRecord> dedups;
  std::map<QueueId, QueueRecord> queues;
  std::map<uint64_t, HolderRow> holders;
  AppliedRow applied;
};

using Rows = std::map<std::pair<Table, std::string>, std::string>;

SmallRowKey KeyOf(uint64_t holder) { return HolderKey{{NodeId(1), 1, holder}}; }

Rows RowsOf(const Model& model) {
  Rows rows;
  rows[{Table::kMeta, LayoutKey(kShard)}] = EncodeLayoutRow(kLayoutVersion);
  rows[{Table::kMeta, AppliedKey(kShard)}] = EncodeAppliedRow(model.applied);
  for (const auto& [id, entry] : model.jobs) {
    rows[{Table::kJob, JobRowKey(kShard, id)}] = EncodeJobRow(entry.job);
    rows[{Table::kPayload, JobRowKey(kShard, id)}] = entry.payload;
    for (const IndexPlace& place : IndexPlacesOf(id, PlacesOf(entry.job))) {
      rows[{Table::kIndex, IndexKey(kShard, place.set, place.key)}] = "";
    }
  }
  for (const auto& [key, record] : model.dedups) {
    rows[{Table::kMeta, DedupRowKey(kShard, key.first, key.second)}] = EncodeDedupRow(record);
    const SetRef set = {SetKind::kDedup, key.first, 0, Holder()};
    rows[{Table::kIndex, IndexKey(kShard, set, {record.expires.micros(), record.job.value()})}] =
        EncodeDedupIndexRow(key.second);
  }
  for (const auto& [id, record] : model.queues) {
    rows[{Table::kMeta, QueueRowKey(kShard, id)}] = EncodeQueueRow(record);
  }
  for (const auto& [holder, row] : model.holders) {
    rows[{Table::kMeta, SmallRowKeyBytes(kShard, KeyOf(holder))}] = EncodeSmallRow(row);
  }
  return rows;
}

Rows RowsOf(const StateSnapshot& snapshot) {
  Rows rows;
  const KeyRange range = ShardRange(kShard);
  for (const Table table : kAllTables) {
    const ScanRange all = {
        .begin = range.begin, .end = range.end, .rows_max = 1'000'000, .bytes_max = UINT64_MAX};
    const auto end = snapshot.Scan(table, all, [&](std::string_view key, std::string_view value) {
      rows[{table, std::string(key)}] = value;
      return true;
    });
    EXPECT_TRUE(end.ok() && end->reached_end);
  }
  return rows;
}

class FlushModelTest : public ::testing::Test {
 protected:
  explicit FlushModelTest() : overlay_(kShard, kShards) {}

  Job AnyChange(Job job) {
    job.queue = QueueId(1 + prng_.Below(kQueues));
    job.state = static_cast<JobState>(prng_.Below(kJobStates));
    job.priority = static_cast<uint32_t>(prng_.Below(4));
    job.epoch = static_cast<uint32_t>(prng_.Below(2));
    job.due = LogTime::FromMicros(job.state == JobState::kReady ? 0 : 1 + prng_.Below(50));
    job.expires = prng_.Chance(1, 2) ? LogTime::Never() : LogTime::FromMicros(prng_.Below(50));
    job.holder = {NodeId(prng_.Below(2)), 1, prng_.Below(3)};
    job.attempts = static_cast<uint32_t>(prng_.Next());
    return job;
  }

  // One entry: some new jobs, and some changes of others, each reported once.
  void Drain() {
    std::set<JobId> touched;
    for (uint64_t i = prng_.Below(6); i > 0 && !model_.jobs.empty(); --i) {
      auto slot = model_.jobs.lower_bound(JobId(prng_.Below(next_ * kShards)));
      if (slot == model_.jobs.end() || !touched.insert(slot->first).second) continue;
      const JobPlaces before = PlacesOf(slot->second.job);
      if (prng_.Chance(1, 3)) {
        overlay_.JobChanged(slot->first, &before, nullptr);
        model_.jobs.erase(slot);
      } else {
        slot->second.job = AnyChange(slot->second.job);
        overlay_.JobChanged(slot->first, &before, &slot->second.job);
      }
    }
    DrainDedups();
    DrainRecords();
    Enqueue();
    model_.applied = {LogIndex(model_.applied.index.value() + 1), Term(1), prng_.Next()};
  }

  void Enqueue() {
    const uint64_t count = prng_.Below(prng_.Chance(1, 10) ? 40 : 4);
    EnqueueEncoder encoder(RequestIdentity(), "q", 0);
    for (uint64_t i = 0; i < count; ++i) {
      const std::string body(prng_.Below(300), static_cast<char>('a' + prng_.Below(26)));
      PayloadView payload;
      payload.body = body;
      encoder.Add(JobSpec(), payload);
    }
    const std::string command = std::move(encoder).Finish();
    const EntryBuffer entry = BuildEntry(LogTime::FromMicros(1), {std::string_view(command)});
    DecodedCommand decoded;
    ASSERT_TRUE(EntryReader::Open(*entry)->Next(&decoded).ok());
    const auto& specs = std::get<EnqueueCommand>(decoded.command.body).jobs;
    for (uint64_t i = 0; i < count; ++i) {
      Job job = AnyChange(Job());
      job.id = JobId((next_ + i) * kShards + kShard.value());
      job.payload_size_bytes = specs[i].payload_size_bytes;
      job.payload_digest = specs[i].payload_digest;
      overlay_.JobChanged(job.id, nullptr, &job);
      model_.jobs[job.id] = {job, std::string(decoded.payloads[i])};
    }
    for (uint64_t i = 0; i < count; ++i) {
      overlay_.AttachPayload(JobId((next_ + i) * kShards + kShard.value()), entry,
                             decoded.payloads[i]);
    }
    next_ += count;
  }

  void DrainDedups() {
    const QueueId queue(1 + prng_.Below(kQueues));
    const std::string key = "key" + std::to_string(prng_.Below(20));
    const auto slot = model_.dedups.find({queue, key});
    std::optional<DedupRecord> before;
    if (slot != model_.dedups.end()) before = slot->second;
    std::optional<DedupRecord> after;
    if (prng_.Chance(2, 3)) {
      after = {queue, key, JobId(1000 + next_dedup_++), LogTime::FromMicros(prng_.Below(50))};
      model_.dedups[{queue, key}] = *after;
    } else if (before.has_value()) {
      model_.dedups.erase(slot);
    }
    if (!before.has_value() && !after.has_value()) return;
    overlay_.DedupChanged(queue, key, before ? &*before : nullptr, after ? &*after : nullptr);
  }

  void DrainRecords() {
    const QueueId queue(1 + prng_.Below(kQueues));
    if (prng_.Chance(1, 4)) {
      if (model_.queues.erase(queue) > 0) overlay_.QueueChanged(queue, nullptr);
    } else {
      QueueRecord& record = model_.queues[queue];
      record.id = queue;
      record.name = std::string(prng_.Below(60), 'n');
      record.bytes = prng_.Next();
      overlay_.QueueChanged(queue, &record);
    }
    const uint64_t holder = prng_.Below(5);
    if (prng_.Chance(1, 3)) {
      if (model_.holders.erase(holder) > 0) overlay_.RowChanged(KeyOf(holder), nullptr);
    } else {
      const HolderRow row = {prng_.Below(3), prng_.Next()};
      model_.holders[holder] = row;
      const SmallRow small = row;
      overlay_.RowChanged(KeyOf(holder), &small);
    }
  }

  void Freeze() {
    frozen_ = overlay_.Freeze();
    at_freeze_ = model_;
  }
  void Flush() {
    StateBatch batch;
    AddToBatch(*frozen_, at_freeze_->applied, &batch);
    ASSERT_TRUE(store_.Flush(batch).ok());
    frozen_ = nullptr;
    EXPECT_EQ(RowsOf(*store_.Snapshot()), RowsOf(*at_freeze_));
  }
  void Release() {
    const auto released = overlay_.Release();
    for (const JobId id : released.jobs) {
      EXPECT_FALSE(overlay_.IsDirty(id));
      EXPECT_TRUE(model_.jobs.contains(id));
    }
    for (const DedupRef& dedup : released.dedups) {
      EXPECT_FALSE(overlay_.IsDirty(dedup.queue, dedup.key));
    }
    at_freeze_.reset();
  }

  // What is not dirty is in the store as in the model; payloads are in one of the two.
  void CheckReads() {
    const auto snapshot = store_.Snapshot();
    const Rows rows = RowsOf(*snapshot);
    std::vector<PayloadQuery> stored;
    for (const auto& [id, entry] : model_.jobs) {
      const std::string key = JobRowKey(kShard, id);
      if (!overlay_.IsDirty(id)) {
        EXPECT_EQ(rows.at({Table::kJob, key}), EncodeJobRow(entry.job));
      }
      EXPECT_FALSE(overlay_.IsGone(id));
      if (const auto payload = overlay_.FindPayload(id); payload.has_value()) {
        EXPECT_EQ(payload->bytes, entry.payload);
      } else {
        stored.push_back({id, entry.job.payload_size_bytes, entry.job.payload_digest});
      }
    }
    const auto payloads = ReadPayloads(*snapshot, kShard, stored, Reach::kDevice);
    ASSERT_TRUE(payloads.ok()) << payloads.status();
    for (size_t i = 0; i < stored.size(); ++i) {
      EXPECT_EQ((*payloads)[i].bytes, model_.jobs.at(stored[i].job).payload);
    }
  }

  // Asks for rows on a snapshot of now; they arrive some entries later.
  void BeginFetch() {
    fetch_ = Needs();
    const auto kind = static_cast<SetKind>(prng_.Below(7));
    const SetRef set = {kind,
                        QueueId(1 + prng_.Below(kQueues)),
                        static_cast<uint32_t>(prng_.Below(2)),
                        {NodeId(1), 1, prng_.Below(3)}};
    fetch_->scans.push_back({set, {prng_.Below(20), 0}, 1 + prng_.Below(10)});
    for (int i = 0; i < 5; ++i) {
      fetch_->jobs.push_back(JobId(prng_.Below(next_) * kShards + kShard.value()));
    }
    fetch_->dedups.push_back({QueueId(1), "key" + std::to_string(prng_.Below(20))});
    fetch_releases_ = overlay_.releases();
    auto fetched = FetchNeeds(*store_.Snapshot(), kShard, *fetch_);
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    fetched_ = *std::move(fetched);
  }

  void EndFetch() {
    const auto loaded = FilterLoaded(*std::move(fetched_), fetch_releases_, overlay_);
    EXPECT_EQ(loaded.has_value(), fetch_releases_ == overlay_.releases());
    fetched_.reset();
    if (!loaded.has_value()) {
      ++stale_;
      return;
    }
    for (const Job& job : loaded->jobs) CheckJob(job);
    for (const JobId id : loaded->absent_jobs) EXPECT_FALSE(model_.jobs.contains(id));
    // Each job asked for is there, absent, or dirty and known to the machine.
    std::set<JobId> answered(loaded->absent_jobs.begin(), loaded->absent_jobs.end());
    for (const Job& job : loaded->jobs) answered.insert(job.id);
    for (const JobId id : fetch_->jobs) {
      EXPECT_TRUE(answered.contains(id) || (overlay_.IsDirty(id) && model_.jobs.contains(id)));
    }
    for (const Loaded::Dedup& dedup : loaded->dedups) {
      EXPECT_EQ(dedup.found, model_.dedups.contains({dedup.queue, dedup.key}));
    }
    CheckScan(loaded->scans.at(0));
  }

  void CheckJob(const Job& job) {
    EXPECT_FALSE(overlay_.IsDirty(job.id));
    ASSERT_TRUE(model_.jobs.contains(job.id));
    EXPECT_EQ(EncodeJobRow(job), EncodeJobRow(model_.jobs.at(job.id).job));
  }

  // A scan gives every clean member of its range, in order, and nothing else.
  void CheckScan(const Loaded::Scan& scan) {
    const SetKey last = scan.exhausted ? SetKey::Max() : scan.last;
    const std::string prefix = IndexPrefix(kShard, scan.set);
    std::map<SetKey, JobId> expected;
    for (const auto& [id, entry] : model_.jobs) {
      if (overlay_.IsDirty(id)) continue;
      for (const IndexPlace& place : IndexPlacesOf(id, PlacesOf(entry.job))) {
        if (IndexPrefix(kShard, place.set) == prefix && place.key >= scan.from &&
            place.key <= last) {
          expected[place.key] = id;
        }
      }
    }
    std::vector<JobId> ids;
    for (const auto& [place, id] : expected) ids.push_back(id);
    std::vector<JobId> got;
    for (const Job& job : scan.jobs) {
      CheckJob(job);
      got.push_back(job.id);
    }
    EXPECT_EQ(got, ids);
    scanned_ += got.size();
    size_t dedups = 0;
    for (const auto& [key, record] : model_.dedups) {
      const SetKey place = {record.expires.micros(), record.job.value()};
      dedups += scan.set.kind == SetKind::kDedup && key.first == scan.set.queue &&
                !overlay_.IsDirty(key.first, key.second) && place >= scan.from && place <= last;
    }
    EXPECT_EQ(scan.dedups.size(), dedups);
  }

  void Run(uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    prng_ = Prng(seed);
    for (int i = 0; i < 800 && !HasFailure(); ++i) {
      Drain();
      if (fetched_.has_value() && prng_.Chance(1, 3)) EndFetch();
      if (!fetched_.has_value() && prng_.Chance(1, 2)) BeginFetch();
      if (!overlay_.has_frozen()) {
        if (prng_.Chance(1, 8)) Freeze();
      } else if (frozen_ != nullptr) {
        if (prng_.Chance(1, 4)) Flush();
      } else if (prng_.Chance(1, 4)) {
        Release();
      }
      if (prng_.Chance(1, 20)) CheckReads();
    }
    EXPECT_GT(stale_, 0u);
    EXPECT_GT(scanned_, 0u);
  }

  Prng prng_{0};
  MemoryStateStore store_;
  DirtyOverlay overlay_;
  Model model_;
  uint64_t next_ = 1;
  uint64_t next_dedup_ = 0;
  std::shared_ptr<const Generation> frozen_;  // until it is flushed
  std::optional<Model> at_freeze_;            // until it is released
  std::optional<Needs> fetch_;
  std::optional<Loaded> fetched_;
  uint64_t fetch_releases_ = 0;
  uint64_t stale_ = 0;
  uint64_t scanned_ = 0;
};

TEST_F(FlushModelTest, RowsAreThoseOfTheModelSeed1) { Run(1); }
TEST_F(FlushModelTest, RowsAreThoseOfTheModelSeed2) { Run(20260102); }
TEST_F(FlushModelTest, RowsAreThoseOfTheModelSeed3) { Run(77); }

TEST_F(FlushModelTest, RestoreReadsWhatWasFlushed) {
  EXPECT_EQ(*ReadApplied(*store_.Snapshot(), kShard), std::nullopt);
  for (int i = 0; i < 100; ++i) Drain();
  Freeze();
  Flush();
  EXPECT_EQ(*ReadApplied(*store_.Snapshot(), kShard), model_.applied);
  EXPECT_EQ(*ReadApplied(*store_.Snapshot(), ShardId(2)), std::nullopt);
  std::map<QueueId, std::string> queues;
  std::map<std::string, std::string> rows;
  ASSERT_TRUE(ReadRecords(
                  *store_.Snapshot(), kShard,
                  [&](const QueueRecord& record) { queues[record.id] = EncodeQueueRow(record); },
                  [&](const SmallRowKey& key, const SmallRow& row) {
                    rows[SmallRowKeyBytes(kShard, key)] = EncodeSmallRow(row);
                  })
                  .ok());
  ASSERT_EQ(queues.size(), model_.queues.size());
  for (const auto& [id, record] : model_.queues) EXPECT_EQ(queues[id], EncodeQueueRow(record));
  ASSERT_EQ(rows.size(), model_.holders.size());
  for (const auto& [holder, row] : model_.holders) {
    EXPECT_EQ(rows[SmallRowKeyBytes(kShard, KeyOf(holder))], EncodeSmallRow(row));
  }
}

// A store whose rows are changed behind the overlay's back.
class DamageTest : public FlushModelTest {
 protected:
  void SetUp() override {
    prng_ = Prng(5);
    while (model_.jobs.empty()) Drain();
    Freeze();
    Flush();
    const Model::JobAndPayload& first = model_.jobs.begin()->second;
    id_ = first.job.id;
    key_ = JobRowKey(kShard, id_);
    place_ = *IndexPlacesOf(id_, PlacesOf(first.job)).begin();
    query_ = {id_, first.job.payload_size_bytes, first.job.payload_digest};
  }
  void Put(Table table, std::string_view key, std::string_view value) {
    StateBatch batch;
    batch.Put(table, key, value);
    ASSERT_TRUE(store_.Flush(batch).ok());
  }
  absl::Status Scan() {
    Needs needs;
    needs.scans.push_back({place_.set, SetKey::Min(), 100});
    return FetchNeeds(*store_.Snapshot(), kShard, needs).status();
  }
  void ExpectDataLoss(const absl::Status& status, const std::string& part) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_NE(status.ToString().find(part), std::string::npos) << status;
  }

  JobId id_;
  std::string key_;
  IndexPlace place_;
  PayloadQuery query_;
};

TEST_F(DamageTest, ChangedPayloadIsRefusedNamingTheJob) {
  std::string payload = model_.jobs.at(id_).payload;
  payload.back() = static_cast<char>(payload.back() ^ 1);
  Put(Table::kPayload, key_, payload);
  const auto read = [&] {
    return ReadPayloads(*store_.Snapshot(), kShard, {query_}, Reach::kDevice).status();
  };
  const std::string job = "job " + std::to_string(id_.value());
  ExpectDataLoss(read(), job + ": does not have the digest");
  Put(Table::kPayload, key_, payload + "x");
  ExpectDataLoss(read(), job + ": has ");
  StateBatch batch;
  batch.Delete(Table::kPayload, key_);
  ASSERT_TRUE(store_.Flush(batch).ok());
  ExpectDataLoss(read(), job + ": there is none");
}

TEST_F(DamageTest, BadJobRowIsRefusedNamingTableAndKey) {
  ASSERT_TRUE(Scan().ok());
  Put(Table::kJob, key_, "\x09");
  ExpectDataLoss(Scan(), "table kJob, key 00000001");
  Needs needs;
  needs.jobs.push_back(id_);
  ExpectDataLoss(FetchNeeds(*store_.Snapshot(), kShard, needs).status(), "version 9");
}

TEST_F(DamageTest, IndexRowWithoutItsJobIsRefused) {
  Put(Table::kIndex, IndexKey(kShard, place_.set, {place_.key.key, id_.value() + kShards * 1000}),
      "");
  ExpectDataLoss(Scan(), "there is no row for this job");
}

TEST_F(DamageTest, IndexRowThatItsJobDoesNotHaveIsRefused) {
  Put(Table::kIndex, IndexKey(kShard, place_.set, {place_.key.key + 1, id_.value()}), "");
  ExpectDataLoss(Scan(), "this job's row puts it elsewhere");
}

TEST_F(DamageTest, OtherLayoutIsRefused) {
  Put(Table::kMeta, LayoutKey(kShard), EncodeLayoutRow(kLayoutVersion + 1));
  EXPECT_EQ(ReadApplied(*store_.Snapshot(), kShard).status().code(),
            absl::StatusCode::kFailedPrecondition);
  StateBatch batch;
  batch.Delete(Table::kMeta, LayoutKey(kShard));
  ASSERT_TRUE(store_.Flush(batch).ok());
  ExpectDataLoss(ReadApplied(*store_.Snapshot(), kShard).status(), "missing");
}

}  // namespace
}  // namespace holdfast
