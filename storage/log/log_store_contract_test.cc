// The contract of LogStore, over every implementation.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "storage/faulty/faulty_file_system.h"
#include "storage/log/segment_log_store.h"
#include "storage/memory_log/memory_log_store.h"
#include "storage/posix_file_system.h"

namespace holdfast {
namespace {

constexpr ShardId kA{1};
constexpr ShardId kB{2};

// One log under test; Reopen() closes and opens it (nothing, for the one in memory).
class Fixture {
 public:
  virtual ~Fixture() = default;
  virtual LogStore& log() = 0;
  virtual void Reopen() = 0;
};

class MemoryFixture final : public Fixture {
 public:
  LogStore& log() override { return log_; }
  void Reopen() override {}

 private:
  MemoryLogStore log_;
};

class SegmentFixture final : public Fixture {
 public:
  SegmentFixture(FileSystem* files, std::string directory)
      : files_(files), directory_(std::move(directory)) {
    Reopen();
  }
  LogStore& log() override { return *log_; }
  void Reopen() override {
    log_.reset();
    auto opened = SegmentLogStore::Open(files_, directory_, {.segment_bytes = 16 << 10});
    if (!opened.ok()) {
      ADD_FAILURE() << opened.status();
      std::abort();
    }
    log_ = std::move(*opened);
  }

 private:
  FileSystem* files_;
  const std::string directory_;
  std::unique_ptr<SegmentLogStore> log_;
};

class FaultyFixture final : public Fixture {
 public:
  LogStore& log() override { return segments_.log(); }
  void Reopen() override { segments_.Reopen(); }

 private:
  FaultyFileSystem files_;
  SegmentFixture segments_{&files_, "log"};
};

class PosixFixture final : public Fixture {
 public:
  LogStore& log() override { return segments_->log(); }
  void Reopen() override { segments_->Reopen(); }
  PosixFixture() {
    std::string pattern = testing::TempDir() + "/logXXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    segments_ = std::make_unique<SegmentFixture>(&PosixFileSystem(), directory_ + "/log");
  }
  ~PosixFixture() override {
    segments_.reset();
    std::filesystem::remove_all(directory_);
  }

 private:
  std::string directory_;
  std::unique_ptr<SegmentFixture> segments_;
};

enum class Kind { kMemory, kFaulty, kPosix };

class LogStoreContract : public testing::TestWithParam<Kind> {
 protected:
  LogStoreContract() {
    if (GetParam() == Kind::kMemory) fixture_ = std::make_unique<MemoryFixture>();
    if (GetParam() == Kind::kFaulty) fixture_ = std::make_unique<FaultyFixture>();
    if (GetParam() == Kind::kPosix) fixture_ = std::make_unique<PosixFixture>();
  }
  LogStore& log() { return fixture_->log(); }

  void Append(ShardId shard, uint64_t term, uint64_t index, const std::string& payload) {
    LogBatch batch;
    batch.Append(shard, Term(term), LogIndex(index), 7, payload);
    ASSERT_TRUE(log().Write(batch, SyncMode::kNow).ok());
  }
  std::vector<StoredEntry> Read(ShardId shard, uint64_t begin, uint64_t end,
                                uint64_t bytes_max = UINT64_MAX) {
    std::vector<StoredEntry> entries;
    const absl::Status status =
        log().ReadEntries(shard, LogIndex(begin), LogIndex(end), bytes_max, &entries);
    EXPECT_TRUE(status.ok()) << status;
    return entries;
  }
  // Runs the checks on the log as it is and again after it was opened anew.
  void NowAndReopened(const std::function<void()>& checks) {
    checks();
    fixture_->Reopen();
    checks();
  }

  std::unique_ptr<Fixture> fixture_;
};

TEST_P(LogStoreContract, AnUnknownShardIsEmpty) {
  EXPECT_EQ(log().Describe(kA), ShardLog{});
  EXPECT_EQ(*log().TermAt(kA, LogIndex(0)), Term(0));
  EXPECT_FALSE(log().TermAt(kA, LogIndex(1)).ok());
  EXPECT_TRUE(Read(kA, 1, 10).empty());
}

TEST_P(LogStoreContract, EntriesComeBackAsTheyWereWritten) {
  const std::string large(100'000, 'x');  // larger than a segment
  const std::string_view pieces[] = {"head", large, "", "tail"};
  LogBatch batch;
  batch.Append(kA, Term(1), LogIndex(1), 7, "");
  batch.Append(kB, Term(4), LogIndex(1), 9, "other");
  batch.Append(kA, Term(2), LogIndex(2), 8, pieces);
  ASSERT_TRUE(log().Write(batch, SyncMode::kNow).ok());
  NowAndReopened([&] {
    const auto entries = Read(kA, 1, 100);
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_EQ(entries[0], (StoredEntry{Term(1), LogIndex(1), 7, ""}));
    EXPECT_EQ(entries[1], (StoredEntry{Term(2), LogIndex(2), 8, "head" + large + "tail"}));
    EXPECT_EQ(Read(kB, 1, 2).at(0), (StoredEntry{Term(4), LogIndex(1), 9, "other"}));
    EXPECT_EQ(*log().TermAt(kA, LogIndex(2)), Term(2));
    EXPECT_EQ(log().Usage().shards, (std::vector<ShardId>{kA, kB}));
  });
}

TEST_P(LogStoreContract, AnEntryDropsItsSuccessors) {
  for (uint64_t i = 1; i <= 5; ++i) Append(kA, 1, i, "old" + std::to_string(i));
  Append(kA, 2, 3, "new");
  NowAndReopened([&] {
    const auto entries = Read(kA, 1, 100);
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries[1].payload, "old2");
    EXPECT_EQ(entries[2].payload, "new");
    EXPECT_EQ(log().Describe(kA).last_term, Term(2));
    EXPECT_EQ(*log().TermAt(kA, LogIndex(2)), Term(1));
  });
}

TEST_P(LogStoreContract, CompactedEntriesAreOutOfRange) {
  for (uint64_t i = 1; i <= 5; ++i) Append(kA, i, i, "e");
  LogBatch batch;
  batch.Compact(kA, LogIndex(3), Term(3));
  batch.Compact(kA, LogIndex(2), Term(2));  // changes nothing
  ASSERT_TRUE(log().Write(batch, SyncMode::kNow).ok());
  NowAndReopened([&] {
    std::vector<StoredEntry> entries;
    EXPECT_EQ(log().ReadEntries(kA, LogIndex(3), LogIndex(6), 100, &entries).code(),
              absl::StatusCode::kOutOfRange);
    EXPECT_TRUE(entries.empty());
    EXPECT_EQ(Read(kA, 4, 100).size(), 2u);
    EXPECT_EQ(log().FirstIndex(kA), LogIndex(4));
    EXPECT_EQ(*log().TermAt(kA, LogIndex(3)), Term(3));
    EXPECT_FALSE(log().TermAt(kA, LogIndex(2)).ok());
    EXPECT_EQ(log().RetainedBytes(kA), 2 * 48u);
  });
}

TEST_P(LogStoreContract, ResetContinuesAfterTheSnapshot) {
  Append(kA, 1, 1, "e");
  LogBatch batch;
  batch.SetHardState(kA, {Term(5), ReplicaId(3), LogIndex(1)});
  batch.Reset(kA, LogIndex(100), Term(4));
  batch.Append(kA, Term(5), LogIndex(101), 0, "after");
  ASSERT_TRUE(log().Write(batch, SyncMode::kNow).ok());
  NowAndReopened([&] {
    const ShardLog found = log().Describe(kA);
    EXPECT_EQ(found.first, LogIndex(101));
    EXPECT_EQ(found.last, LogIndex(101));
    EXPECT_EQ(found.compacted_term, Term(4));
    EXPECT_EQ(found.hard_state, (HardState{Term(5), ReplicaId(3), LogIndex(1)}));
    EXPECT_EQ(Read(kA, 101, 102).at(0).payload, "after");
  });
}

TEST_P(LogStoreContract, SaysWhatLiesBehindTheLastBytesOfAllShards) {
  constexpr uint64_t kKeep = 32 << 10;
  EXPECT_EQ(log().LastBehind(kA, 0), LogIndex());
  Append(kA, 1, 1, "idle");
  EXPECT_EQ(log().LastBehind(kA, 0), LogIndex(1));
  EXPECT_EQ(log().LastBehind(kA, 1), LogIndex());
  for (uint64_t i = 1; i <= 100; ++i) Append(kB, 1, i, std::string(1000, 'x'));
  EXPECT_EQ(log().LastBehind(kA, 1 << 20), LogIndex());
  EXPECT_EQ(log().LastBehind(kA, kKeep), LogIndex(1));
  const LogIndex busy = log().LastBehind(kB, kKeep);
  EXPECT_LE(busy.value(), 100 - kKeep / 1040);
  EXPECT_GE(busy.value(), 100 - 2 * kKeep / 1040);
  LogBatch cut;
  cut.Compact(kA, LogIndex(1), Term(1));
  cut.Compact(kB, busy, Term(1));
  ASSERT_TRUE(log().Write(cut, SyncMode::kNow).ok());
  EXPECT_EQ(log().LastBehind(kA, 0), LogIndex());
  EXPECT_LE(log().RetainedBytes(kB), 2 * kKeep);
}

// One shard is busy, one writes now and then: what is cut behind the same bytes frees files.
TEST_P(LogStoreContract, TakesNotMuchMoreThanWhatIsKept) {
  constexpr uint64_t kKeep = 32 << 10;
  std::map<ShardId, uint64_t> last;
  for (int i = 0; i < 1000; ++i) {
    const ShardId shard = i % 100 == 0 ? kA : kB;
    Append(shard, 1, ++last[shard], std::string(1000, 'x'));
    if (i % 20 != 0) continue;
    LogBatch cut;
    for (const ShardId one : {kA, kB}) {
      const LogIndex through = log().LastBehind(one, kKeep);
      if (through >= log().FirstIndex(one)) cut.Compact(one, through, Term(1));
    }
    ASSERT_TRUE(log().Write(cut, SyncMode::kNow).ok());
    EXPECT_LE(log().Usage().file_bytes, kKeep + 8 * (16 << 10)) << i;  // 4 of them are spares
  }
}

TEST_P(LogStoreContract, ReadsStopAtTheByteBoundButGiveOne) {
  for (uint64_t i = 1; i <= 5; ++i) Append(kA, 1, i, std::string(100, 'x'));
  EXPECT_EQ(Read(kA, 1, 6, 0).size(), 1u);
  EXPECT_EQ(Read(kA, 1, 6, 299).size(), 2u);
  EXPECT_EQ(Read(kA, 1, 6, 300).size(), 3u);
  EXPECT_EQ(Read(kA, 2, 3).size(), 1u);
  EXPECT_TRUE(Read(kA, 6, 9).empty());
}

TEST_P(LogStoreContract, ATooLargeEntryIsRefusedAndNothingChanges) {
  const std::string large(kLogEntryBytesMax + 1, 'x');
  LogBatch batch;
  batch.Append(kA, Term(1), LogIndex(1), 0, "fine");
  batch.Append(kA, Term(1), LogIndex(2), 0, large);
  EXPECT_EQ(log().Write(batch, SyncMode::kNow).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(log().LastIndex(kA), LogIndex(0));
  Append(kA, 1, 1, "goes on");
}

// Random batches against a plain model, through many segments, with reopens in between.
TEST_P(LogStoreContract, BehavesLikeAModel) {
  Prng prng(42);
  struct Model {
    uint64_t first = 1;
    std::vector<StoredEntry> entries;
    HardState hard_state;
    uint64_t last() const { return first + entries.size() - 1; }
  };
  std::map<ShardId, Model> models;
  for (int step = 0; step < 600; ++step) {
    LogBatch batch;
    std::vector<std::string> payloads(8);
    for (std::string& payload : payloads) {
      const ShardId shard(static_cast<uint32_t>(prng.Below(4)));
      Model& model = models[shard];
      const uint64_t choice = prng.Below(20);
      if (choice == 0 && model.last() >= model.first) {
        const uint64_t through = prng.Between(model.first, model.last());
        batch.Compact(shard, LogIndex(through), model.entries[through - model.first].term);
        model.entries.erase(model.entries.begin(),
                            model.entries.begin() + (through + 1 - model.first));
        model.first = through + 1;
      } else if (choice == 1 && prng.Chance(1, 4)) {
        model.first = model.last() + prng.Between(1, 10);
        model.entries.clear();
        batch.Reset(shard, LogIndex(model.first - 1), Term(step));
      } else if (choice == 2) {
        model.hard_state = {Term(step), ReplicaId(prng.Below(3)), LogIndex(model.last())};
        batch.SetHardState(shard, model.hard_state);
      } else {
        const uint64_t index =
            choice == 3 ? prng.Between(model.first, model.last() + 1) : model.last() + 1;
        payload.assign(prng.Chance(1, 10) ? prng.Below(5'000) : prng.Below(100),
                       static_cast<char>(prng.Next()));
        model.entries.resize(index - model.first);
        model.entries.push_back({Term(step), LogIndex(index), 3, payload});
        batch.Append(shard, Term(step), LogIndex(index), 3, payload);
      }
    }
    const SyncMode sync = prng.Chance(1, 3) ? SyncMode::kLater : SyncMode::kNow;
    ASSERT_TRUE(log().Write(batch, sync).ok());
    if (step % 50 == 49) fixture_->Reopen();
    if (step % 10 != 9) continue;
    for (const auto& [shard, model] : models) {
      ASSERT_EQ(log().FirstIndex(shard), LogIndex(model.first));
      ASSERT_EQ(log().LastIndex(shard), LogIndex(model.last()));
      ASSERT_EQ(log().HardStateOf(shard), model.hard_state);
      ASSERT_EQ(Read(shard, model.first, model.last() + 1), model.entries);
    }
  }
}

TEST_P(LogStoreContract, ReadersRunBesideTheWriter) {
  Append(kA, 1, 1, "1");
  std::thread reader([&] {
    for (uint64_t last = 1; last < 2'000;) {
      const ShardLog found = log().Describe(kA);
      last = found.last.value();
      std::vector<StoredEntry> entries;
      const absl::Status status =
          log().ReadEntries(kA, found.first, LogIndex(last + 1), 4'000, &entries);
      if (absl::IsOutOfRange(status)) continue;  // compacted meanwhile
      ASSERT_TRUE(status.ok()) << status;
      for (const StoredEntry& entry : entries) {
        ASSERT_EQ(entry.payload, std::to_string(entry.index.value()));
      }
    }
  });
  for (uint64_t i = 2; i <= 2'000; ++i) {
    const std::string payload = std::to_string(i);
    LogBatch batch;
    batch.Append(kA, Term(1), LogIndex(i), 0, payload);
    if (i % 100 == 0) batch.Compact(kA, LogIndex(i - 50), Term(1));
    ASSERT_TRUE(log().Write(batch, SyncMode::kLater).ok());
    if (i % 100 == 1) {
      ASSERT_TRUE(log().Sync().ok());
    }
  }
  reader.join();
}

INSTANTIATE_TEST_SUITE_P(All, LogStoreContract,
                         testing::Values(Kind::kMemory, Kind::kFaulty, Kind::kPosix),
                         [](const auto& info) {
                           return info.param == Kind::kMemory   ? "Memory"
                                  : info.param == Kind::kFaulty ? "Faulty"
                                                                : "Posix";
                         });

}  // namespace
}  // namespace holdfast
