// A shard's state pinned, read in chunks, staged, installed and restored, from one store to
// another.

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/prng.h"
#include "gtest/gtest.h"
#include "server/codec/row_keys.h"
#include "server/engine/overlay/cold_reader.h"
#include "server/engine/overlay/restore_machine.h"
#include "server/engine/snapshot/sample_shard.h"
#include "server/engine/snapshot/snapshot_pins.h"
#include "server/engine/snapshot/snapshot_stager.h"
#include "storage/faulty/faulty_state_store.h"
#include "storage/memory_state/memory_state_store.h"
#include "storage/rocksdb/rocksdb_state_store.h"
#include "storage/rocksdb/scratch_directory.h"

namespace holdfast {
namespace {

constexpr uint32_t kShards = 3;
constexpr ShardId kShard(1);
constexpr int64_t kNow = 1'000'000;

using Rows = std::array<std::map<std::string, std::string>, kTableCount>;

Rows RowsOf(const StateStore& store, ShardId shard) {
  Rows rows;
  const KeyRange range = ShardRange(shard);
  for (const Table table : kAllTables) {
    const auto end = store.Snapshot()->Scan(
        table,
        {.begin = range.begin, .end = range.end, .rows_max = UINT64_MAX, .bytes_max = UINT64_MAX},
        [&](std::string_view key, std::string_view value) {
          rows[static_cast<size_t>(table)].emplace(key, value);
          return true;
        });
    EXPECT_TRUE(end.ok()) << end.status();
  }
  return rows;
}

// As an installation leaves them: the applied row says so.
Rows Installed(Rows rows) {
  std::string& value = rows[static_cast<size_t>(Table::kMeta)][AppliedKey(kShard)];
  AppliedRow applied = *DecodeAppliedRow(value);
  applied.installing = true;
  value = EncodeAppliedRow(applied);
  return rows;
}

std::vector<ExportedChunk> ReadAll(const PinnedSnapshot& pin, uint64_t bytes_max,
                                   std::string cursor = "") {
  std::vector<ExportedChunk> chunks;
  do {
    auto chunk = pin.Read(cursor, bytes_max);
    EXPECT_TRUE(chunk.ok()) << chunk.status();
    if (!chunk.ok()) return chunks;
    cursor = chunk->next;
    chunks.push_back(*std::move(chunk));
  } while (!chunks.back().last);
  return chunks;
}

std::unique_ptr<SnapshotStager> Stage(StateStore* store) {
  auto stager = SnapshotStager::Stage(store, kShard);
  EXPECT_TRUE(stager.ok()) << stager.status();
  return stager.ok() ? *std::move(stager) : nullptr;
}

absl::Status AddAll(SnapshotStager* stager, const std::vector<ExportedChunk>& chunks) {
  for (const ExportedChunk& chunk : chunks) {
    if (absl::Status status = stager->Add(chunk.data); !status.ok()) return status;
    EXPECT_EQ(stager->next(), chunk.next);
    EXPECT_EQ(stager->complete(), chunk.last);
  }
  return absl::OkStatus();
}

void ExpectSameJobs(const SampleShard& a, const SampleShard& b) {
  size_t bodies = 0;
  for (const char* queue : {"mail", "report"}) {
    for (const JobState state :
         {JobState::kReady, JobState::kDelayed, JobState::kReserved, JobState::kBuried}) {
      const std::vector<std::string> expected = a.StoredBodies(queue, state);
      EXPECT_EQ(b.StoredBodies(queue, state), expected);
      bodies += expected.size();
    }
  }
  EXPECT_GT(bodies, 0u);
}

struct Kind {
  const char* name;
  std::function<std::unique_ptr<StateStore>(const std::string& directory)> open;
};

class Snapshot : public testing::TestWithParam<Kind> {
 protected:
  Snapshot() : source_store_(Open("/source")), target_store_(Open("/target")) {}

  std::unique_ptr<StateStore> Open(const std::string& name) {
    return GetParam().open(directory_.path() + name);
  }
  std::shared_ptr<const PinnedSnapshot> Pin() {
    auto pin = pins_.Pin(*source_store_, kShard, kNow);
    EXPECT_TRUE(pin.ok()) << pin.status();
    return pin.ok() ? *pin : nullptr;
  }

  ScratchDirectory directory_;
  std::unique_ptr<StateStore> source_store_;
  std::unique_ptr<StateStore> target_store_;
  SnapshotPins pins_{{.seed = 1}};
};

TEST_P(Snapshot, AMachineRestoredElsewhereIsTheSameAndGoesOnTheSame) {
  SampleShard source(source_store_.get(), kShard, kShards);
  source.set_configuration("1 2 3");
  source.DoAllKindsOfThings(15);
  source.Enqueue("mail", {std::string(300'000, 'L')});  // travels in pieces
  ASSERT_TRUE(source.Flush().ok());
  const auto pin = Pin();
  EXPECT_EQ(pin->descriptor().index, source.applied().index);
  EXPECT_EQ(pin->descriptor().term, source.applied().term);
  EXPECT_EQ(pin->descriptor().configuration, "1 2 3");
  EXPECT_EQ(pin->descriptor().state_hash, source.machine().StateHash());
  const std::vector<ExportedChunk> chunks = ReadAll(*pin, 16 << 10);
  EXPECT_GT(chunks.size(), 20u);

  auto stager = Stage(target_store_.get());
  ASSERT_TRUE(AddAll(stager.get(), chunks).ok());
  EXPECT_EQ(RowsOf(*target_store_, kShard), Rows()) << "to be seen before the installation";
  ASSERT_TRUE(stager->Install().ok());
  stager.reset();
  EXPECT_EQ(RowsOf(*target_store_, kShard), Installed(RowsOf(*source_store_, kShard)));

  SampleShard target(target_store_.get(), kShard, kShards);
  EXPECT_EQ(target.machine().StateHash(), source.machine().StateHash());
  EXPECT_EQ(target.applied(), source.applied());
  target.machine().CheckInvariants();
  ExpectSameJobs(source, target);
  for (SampleShard* shard : {&source, &target}) {
    shard->DoAllKindsOfThings(4);
    shard->Apply(ExpireCommand{});
    ASSERT_TRUE(shard->Flush().ok());
  }
  EXPECT_EQ(target.machine().StateHash(), source.machine().StateHash());
  EXPECT_EQ(RowsOf(*target_store_, kShard), RowsOf(*source_store_, kShard));
}

TEST_P(Snapshot, TheFirstFlushAfterAnInstallationTakesTheMarkOff) {
  SampleShard source(source_store_.get(), kShard, kShards);
  source.set_configuration("1 2 3");
  source.DoAllKindsOfThings(1);
  ASSERT_TRUE(source.Flush().ok());
  auto stager = Stage(target_store_.get());
  ASSERT_TRUE(AddAll(stager.get(), ReadAll(*Pin(), 1 << 20)).ok());
  ASSERT_TRUE(stager->Install().ok());
  AppliedRow applied = **ReadApplied(*target_store_->Snapshot(), kShard);
  EXPECT_TRUE(applied.installing);
  applied.installing = false;
  EXPECT_EQ(applied, source.applied());

  SampleShard target(target_store_.get(), kShard, kShards);
  target.Enqueue("mail", {"next"});
  ASSERT_TRUE(target.Flush().ok());
  applied = **ReadApplied(*target_store_->Snapshot(), kShard);
  EXPECT_FALSE(applied.installing);
  EXPECT_EQ(applied.configuration, "1 2 3");
  EXPECT_EQ(applied.index, Next(source.applied().index));
}

// The receiver may be behind (it was away), or ahead of the snapshot with what it then throws away.
TEST_P(Snapshot, ItReplacesAnyStateOfTheShardAndNothingOfOthers) {
  for (const int old_rounds : {1, 25}) {
    SCOPED_TRACE(old_rounds);
    for (const uint32_t shard : {0u, 1u, 2u}) {
      SampleShard old(target_store_.get(), ShardId(shard), kShards);
      old.DoAllKindsOfThings(old_rounds);
      ASSERT_TRUE(old.Flush().ok());
    }
    const Rows before = RowsOf(*target_store_, ShardId(0));
    const Rows behind = RowsOf(*target_store_, ShardId(2));
    SampleShard source(source_store_.get(), kShard, kShards);
    source.DoAllKindsOfThings(5);
    ASSERT_TRUE(source.Flush().ok());

    auto stager = Stage(target_store_.get());
    ASSERT_TRUE(AddAll(stager.get(), ReadAll(*Pin(), 32 << 10)).ok());
    ASSERT_TRUE(stager->Install().ok());
    stager.reset();
    EXPECT_EQ(RowsOf(*target_store_, kShard), Installed(RowsOf(*source_store_, kShard)));
    EXPECT_EQ(RowsOf(*target_store_, ShardId(0)), before);
    EXPECT_EQ(RowsOf(*target_store_, ShardId(2)), behind);
    SampleShard target(target_store_.get(), kShard, kShards);
    EXPECT_EQ(target.machine().StateHash(), source.machine().StateHash());
    ExpectSameJobs(source, target);
  }
}

TEST_P(Snapshot, APinnedStateStaysAsItIsWhateverIsFlushed) {
  SampleShard source(source_store_.get(), kShard, kShards);
  source.DoAllKindsOfThings(10);
  ASSERT_TRUE(source.Flush().ok());
  const Rows rows = RowsOf(*source_store_, kShard);
  const auto pin = Pin();
  const auto first = pin->Read("", 4096);
  ASSERT_TRUE(first.ok());
  source.Apply(PurgeQueueCommand{.queue = "mail"});
  source.Apply(ExpireCommand{.max = 1000});
  ASSERT_TRUE(source.Flush().ok());
  std::vector<ExportedChunk> chunks = ReadAll(*pin, 4096, first->next);
  chunks.insert(chunks.begin(), *first);
  auto stager = Stage(target_store_.get());
  ASSERT_TRUE(AddAll(stager.get(), chunks).ok());
  ASSERT_TRUE(stager->Install().ok());
  EXPECT_EQ(RowsOf(*target_store_, kShard), Installed(rows));
}

TEST_P(Snapshot, ItGoesOnAfterAnyChunkWithChunksOfAnySize) {
  SampleShard source(source_store_.get(), kShard, kShards);
  source.DoAllKindsOfThings(2);
  source.Enqueue("mail", {std::string(20'000, 'L')});
  ASSERT_TRUE(source.Flush().ok());
  const Rows expected = Installed(RowsOf(*source_store_, kShard));
  const auto pin = Pin();
  const std::vector<ExportedChunk> chunks = ReadAll(*pin, 4096);
  for (size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_EQ(pin->Read(i == 0 ? "" : chunks[i - 1].next, 4096)->data, chunks[i].data)
        << "the same again";
  }
  for (size_t i = 0; i + 1 < chunks.size(); ++i) {
    SCOPED_TRACE(i);
    auto stager = Stage(target_store_.get());
    ASSERT_TRUE(AddAll(stager.get(), {chunks.begin(), chunks.begin() + i + 1}).ok());
    const uint64_t bytes_max = 4096 + 1000 * i;
    ASSERT_TRUE(AddAll(stager.get(), ReadAll(*pin, bytes_max, stager->next())).ok());
    ASSERT_TRUE(stager->Install().ok());
    stager.reset();
    EXPECT_EQ(RowsOf(*target_store_, kShard), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Stores, Snapshot,
    testing::Values(Kind{"Memory",
                         [](const std::string&) { return std::make_unique<MemoryStateStore>(); }},
                    Kind{"RocksDb",
                         [](const std::string& directory) {
                           return *OpenRocksDbStateStore(
                               {.directory = directory, .block_cache_bytes = 1 << 20});
                         }}),
    [](const testing::TestParamInfo<Kind>& info) { return std::string(info.param.name); });

// --- What does not depend on the kind of store.

class Staging : public testing::Test {
 protected:
  Staging() : source_(&source_store_, kShard, kShards) {
    source_.DoAllKindsOfThings(20);
    EXPECT_TRUE(source_.Flush().ok());
    pin_ = *pins_.Pin(source_store_, kShard, kNow);
    chunks_ = ReadAll(*pin_, 4096);
    EXPECT_GT(chunks_.size(), 6u);
  }

  MemoryStateStore source_store_;
  MemoryStateStore target_store_;
  SampleShard source_;
  SnapshotPins pins_{{.seed = 1}};
  std::shared_ptr<const PinnedSnapshot> pin_;
  std::vector<ExportedChunk> chunks_;
};

TEST_F(Staging, ADamagedChunkIsRefusedByItsNumberAndTheRightOneStillTaken) {
  auto stager = Stage(&target_store_);
  Prng prng(5);
  for (size_t i = 0; i < chunks_.size(); ++i) {
    for (int n = 0; n < 20; ++n) {
      std::string damaged = chunks_[i].data;
      const size_t at = prng.Below(damaged.size());
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << prng.Below(8)));
      const absl::Status status = stager->Add(damaged);
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), "chunk " + std::to_string(i) + " of"))
          << status;
    }
    ASSERT_TRUE(stager->Add(chunks_[i].data).ok());
  }
  ASSERT_TRUE(stager->Install().ok());
  EXPECT_EQ(RowsOf(target_store_, kShard), Installed(RowsOf(source_store_, kShard)));
}

TEST_F(Staging, AMissingChunkIsNoticedAndARepeatedOneIgnored) {
  auto stager = Stage(&target_store_);
  EXPECT_EQ(stager->Add(chunks_[1].data).code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(stager->Add(chunks_[0].data).ok());
  ASSERT_TRUE(stager->Add(chunks_[1].data).ok());
  const absl::Status status = stager->Add(chunks_[3].data);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), "chunk 2 is missing")) << status;
  EXPECT_EQ(stager->next(), chunks_[1].next);
  EXPECT_TRUE(stager->Add(chunks_[0].data).ok());
  EXPECT_TRUE(stager->Add(chunks_[1].data).ok());
  EXPECT_EQ(stager->next(), chunks_[1].next);
  ASSERT_TRUE(AddAll(stager.get(), {chunks_.begin() + 2, chunks_.end()}).ok());
  EXPECT_TRUE(stager->Add(chunks_.back().data).ok());
  EXPECT_TRUE(stager->complete());
}

TEST_F(Staging, AChunkOfAnotherSnapshotIsRefused) {
  const auto other = *pins_.Pin(source_store_, kShard, kNow);
  EXPECT_NE(other->descriptor().id, pin_->descriptor().id);
  auto stager = Stage(&target_store_);
  ASSERT_TRUE(stager->Add(chunks_[0].data).ok());
  const absl::Status status = stager->Add(ReadAll(*other, 4096)[1].data);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(other->Read(stager->next(), 4096).status().code(),
            absl::StatusCode::kFailedPrecondition);
  auto other_shard = SnapshotStager::Stage(&target_store_, ShardId(2));
  EXPECT_EQ((*other_shard)->Add(chunks_[0].data).code(), absl::StatusCode::kFailedPrecondition);
}

// A sender that leaves a row out, with checksums all right.
TEST_F(Staging, AChunkThatIsNotWhatFollowedIsRefused) {
  auto stager = Stage(&target_store_);
  ASSERT_TRUE(stager->Add(chunks_[0].data).ok());
  ChunkWriter writer(pin_->descriptor(), *DecodeCursor(chunks_[0].next), 4096);
  const auto second = DecodeChunk(chunks_[1].data);
  for (size_t i = 1; i < second->pieces.size(); ++i) {
    writer.Add(second->pieces[i].table, second->pieces[i].key, second->pieces[i].bytes);
  }
  ASSERT_TRUE(stager->Add(writer.Finish(ChunkWriter::Last::kNo)).ok());
  const absl::Status status = stager->Add(chunks_[2].data);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), "not what was sent")) << status;
}

TEST_F(Staging, AnEarlyEndIsRefused) {
  auto stager = Stage(&target_store_);
  ChunkWriter writer(pin_->descriptor(), *DecodeCursor(chunks_[0].next), 4096);
  ASSERT_TRUE(stager->Add(chunks_[0].data).ok());
  SnapshotCursor lying = writer.cursor();
  lying.rows += 7;
  const absl::Status status =
      stager->Add(ChunkWriter(pin_->descriptor(), lying, 4096).Finish(ChunkWriter::Last::kYes));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), "it ends after")) << status;
  // No rows at all: the rows that every shard has are missing.
  auto empty = Stage(&target_store_);
  SnapshotCursor first;
  first.id = pin_->descriptor().id;
  EXPECT_EQ(empty->Add(ChunkWriter(pin_->descriptor(), first, 4096).Finish(ChunkWriter::Last::kYes))
                .code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(Staging, AnUnknownLayoutIsRefusedWithItsNumber) {
  ShardSnapshotDescriptor descriptor = pin_->descriptor();
  descriptor.layout_version = 99;
  SnapshotCursor first;
  first.id = descriptor.id;
  auto stager = Stage(&target_store_);
  const absl::Status status =
      stager->Add(ChunkWriter(descriptor, first, 4096).Finish(ChunkWriter::Last::kNo));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "layout version 99")) << status;
}

TEST_F(Staging, AStateWhoseHashIsNotTheSendersDoesNotRestore) {
  AppliedRow applied = source_.applied();
  applied.state_hash ^= 1;
  StateBatch batch;
  batch.Put(Table::kMeta, AppliedKey(kShard), EncodeAppliedRow(applied));
  ASSERT_TRUE(source_store_.Flush(batch).ok());
  auto stager = Stage(&target_store_);
  ASSERT_TRUE(AddAll(stager.get(), ReadAll(**pins_.Pin(source_store_, kShard, kNow), 4096)).ok());
  ASSERT_TRUE(stager->Install().ok());
  Machine machine({.shard = kShard, .shards = kShards});
  const auto restored = RestoreMachine(*target_store_.Snapshot(), kShard, &machine);
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(restored.status().message(), "hash")) << restored.status();
}

// At each operation of the receiver's disk in turn: the old state, or the whole new one.
TEST_F(Staging, ACrashAnywhereLeavesTheOldStateOrTheNewOne) {
  const Rows installed = Installed(RowsOf(source_store_, kShard));
  bool survived = false;
  uint64_t crashes = 0;
  for (uint64_t at = 1; !survived; ++at) {
    for (const CutFlush leaves : {CutFlush::kNothing, CutFlush::kAll}) {
      FaultyStateDisk disk;
      auto store = disk.Open();
      SampleShard old(store.get(), kShard, kShards);
      old.DoAllKindsOfThings(1);
      ASSERT_TRUE(old.Flush().ok());
      const Rows before = RowsOf(*store, kShard);
      uint64_t operations = 0;
      disk.CrashAtFlush(2, leaves);
      disk.SetRule([&](StateOperation operation, uint64_t) {
        if (operation == StateOperation::kFlush) return absl::OkStatus();
        return ++operations == at ? absl::AbortedError("power is gone") : absl::OkStatus();
      });
      auto stager = SnapshotStager::Stage(store.get(), kShard);
      absl::Status status = stager.status();
      if (status.ok()) status = AddAll(stager->get(), chunks_);
      survived = status.ok();
      if (status.ok()) status = (*stager)->Install();
      EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
      crashes += !survived;
      disk.Crash();
      disk.SetRule(nullptr);
      disk.CrashAtFlush(0, leaves);
      if (stager.ok()) stager->reset();
      store = disk.Open();
      EXPECT_EQ(RowsOf(*store, kShard), survived && leaves == CutFlush::kAll ? installed : before);
      // And it can be done again.
      stager = SnapshotStager::Stage(store.get(), kShard);
      ASSERT_TRUE(AddAll(stager->get(), chunks_).ok());
      ASSERT_TRUE((*stager)->Install().ok());
      stager->reset();
      EXPECT_EQ(RowsOf(*store, kShard), installed);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(crashes, 200u);
}

TEST_F(Staging, AFullDiskIsSaidAndTheStagingIsOver) {
  FaultyStateDisk disk;
  auto store = disk.Open();
  disk.SetRule([](StateOperation operation, uint64_t number) {
    return operation == StateOperation::kStageAdd && number == 50
               ? absl::ResourceExhaustedError("no space left")
               : absl::OkStatus();
  });
  auto stager = Stage(store.get());
  EXPECT_EQ(AddAll(stager.get(), chunks_).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(stager->Add(chunks_[0].data).code(), absl::StatusCode::kResourceExhausted);
  stager.reset();
  EXPECT_TRUE(store->Stats().health.ok());
}

// --- Pins.

TEST_F(Staging, PinsAreBoundedAndAReleasedOneMakesRoom) {
  SnapshotPins pins({.pins_max = 2, .seed = 3});
  auto first = pins.Pin(source_store_, kShard, kNow);
  auto second = pins.Pin(source_store_, kShard, kNow);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(pins.Pin(source_store_, kShard, kNow).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(pins.size(), 2u);
  first->reset();
  EXPECT_EQ(pins.size(), 1u);
  EXPECT_TRUE(pins.Pin(source_store_, kShard, kNow).ok());
  EXPECT_EQ(pins.Pin(source_store_, ShardId(2), kNow).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(Staging, APinEndsWhenItIsNotReadOrTooOldAndSaysSo) {
  SnapshotPins pins({.pins_max = 2, .unused_micros_max = 1000, .age_micros_max = 5000, .seed = 3});
  const auto unused = *pins.Pin(source_store_, kShard, kNow);
  const auto used = *pins.Pin(source_store_, kShard, kNow);
  for (int64_t now = kNow; now <= kNow + 5000; now += 500) {
    EXPECT_TRUE(used->Read("", 4096).ok()) << now;
    pins.Expire(now);
    EXPECT_EQ(pins.size(), now <= kNow + 1000 ? 2u : 1u) << now;
  }
  const absl::Status status = unused->Read("", 4096).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "has expired")) << status;
  EXPECT_TRUE(used->Read("", 4096).ok());
  pins.Expire(kNow + 5500);
  EXPECT_EQ(used->Read("", 4096).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(pins.size(), 0u);
}

TEST_F(Staging, AMalformedCursorIsRefused) {
  EXPECT_EQ(pin_->Read("nonsense", 4096).status().code(), absl::StatusCode::kDataLoss);
  SnapshotCursor cursor = *DecodeCursor(chunks_[0].next);
  cursor.value_offset = 1'000'000;
  EXPECT_EQ(pin_->Read(EncodeCursor(cursor), 4096).status().code(), absl::StatusCode::kDataLoss);
  cursor.value_offset = 0;
  cursor.key = "\xff";
  EXPECT_EQ(pin_->Read(EncodeCursor(cursor), 4096).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace holdfast
