// Power cuts, damage and full disks against the log in segment files.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "gtest/gtest.h"
#include "storage/faulty/faulty_file_system.h"
#include "storage/log/record_format.h"
#include "storage/log/segment_log_store.h"

namespace holdfast {
namespace {

constexpr ShardId kShard{3};
constexpr SegmentLogOptions kOptions{.segment_bytes = 4 << 10, .spare_segments_max = 2, .salt = 99};
const std::string kFirst = "log/" + SegmentFileName(1);

using Opened = absl::StatusOr<std::unique_ptr<SegmentLogStore>>;

Opened Open(FileSystem* files) { return SegmentLogStore::Open(files, "log", kOptions); }

std::string PayloadOf(uint64_t index) { return std::string(200 + index % 300, 'a' + index % 26); }

absl::Status Append(LogStore* log, uint64_t index, SyncMode sync = SyncMode::kNow) {
  const std::string payload = PayloadOf(index);
  LogBatch batch;
  batch.Append(kShard, Term(1), LogIndex(index), 0, payload);
  return log->Write(batch, sync);
}

absl::Status CompactThrough(LogStore* log, uint64_t index) {
  LogBatch batch;
  batch.Compact(kShard, LogIndex(index), Term(1));
  return log->Write(batch, SyncMode::kNow);
}

// Every entry held is the one that was written at its index.
void ExpectEntriesIntact(const LogStore& log) {
  const ShardLog found = log.Describe(kShard);
  std::vector<StoredEntry> entries;
  ASSERT_TRUE(log.ReadEntries(kShard, found.first, Next(found.last), UINT64_MAX, &entries).ok());
  ASSERT_EQ(entries.size(), found.last.value() + 1 - found.first.value());
  for (const StoredEntry& entry : entries) {
    ASSERT_EQ(entry.payload, PayloadOf(entry.index.value()));
  }
}

struct Progress {
  uint64_t acknowledged = 0;  // last entry known durable
  uint64_t written = 0;       // last entry tried
  uint64_t compacted = 0;     // last compaction tried
};

// Entries in batches, synced at once and later, compactions, reopens; until the end or an error.
void RunScript(FileSystem* files, Progress* progress) {
  for (int life = 0; life < 2; ++life) {
    Opened log = Open(files);
    if (!log.ok()) return;
    for (int step = 0; step < 22; ++step) {
      const SyncMode sync = step % 4 == 3 ? SyncMode::kLater : SyncMode::kNow;
      ++progress->written;
      if (!Append(log->get(), progress->written, sync).ok()) return;
      if (sync == SyncMode::kNow) progress->acknowledged = progress->written;
      if (step % 6 == 5) {
        progress->compacted = progress->written - 4;
        if (!CompactThrough(log->get(), progress->compacted).ok()) return;
        progress->acknowledged = progress->written;
      }
    }
    if (!(*log)->Seal().ok()) return;
    progress->acknowledged = progress->written;
  }
}

TEST(SegmentLogCrash, NothingAcknowledgedIsLostWhereverThePowerGoes) {
  uint64_t operations = 0;
  {
    FaultyFileSystem files;
    Progress progress;
    RunScript(&files, &progress);
    ASSERT_EQ(progress.acknowledged, 44u);
    operations = files.Count();
  }
  ASSERT_GT(operations, 100u);
  for (uint64_t at = 1; at <= operations; ++at) {
    FaultyFileSystem files;
    files.CrashAt(at);
    Progress progress;
    RunScript(&files, &progress);
    for (uint64_t seed = 0; seed < 14; ++seed) {
      const CrashKeeps keeps = seed == 0   ? CrashKeeps::kNothing
                               : seed == 1 ? CrashKeeps::kEverything
                               : seed < 8  ? CrashKeeps::kSectors
                                           : CrashKeeps::kBytes;
      SCOPED_TRACE(absl::StrCat("crash at operation ", at, " seed ", seed));
      auto image = files.CrashImage(keeps, seed);
      uint64_t last = 0;
      {
        Opened log = Open(image.get());
        ASSERT_TRUE(log.ok()) << log.status();
        last = (*log)->LastIndex(kShard).value();
        ASSERT_GE(last, progress.acknowledged);
        ASSERT_LE(last, progress.written);
        ASSERT_LE((*log)->FirstIndex(kShard).value(), progress.compacted + 1);
        ExpectEntriesIntact(**log);
        if (last > 0 && last == progress.written) --last;  // also overwrite one
        ASSERT_TRUE(last == 0 || last < (*log)->FirstIndex(kShard).value() ||
                    Append(log->get(), last).ok());
        last = (*log)->LastIndex(kShard).value();
      }
      // Opening made durable what it found, and the next crash brings nothing old back.
      auto again = image->CrashImage(CrashKeeps::kNothing, seed);
      Opened log = Open(again.get());
      ASSERT_TRUE(log.ok()) << log.status();
      ASSERT_EQ((*log)->LastIndex(kShard).value(), last);
      ExpectEntriesIntact(**log);
    }
  }
}

// Three batches, the last one sealed; one segment. Returns the end of what was sealed.
uint64_t MakeSmallLog(FaultyFileSystem* files) {
  Opened log = Open(files);
  EXPECT_TRUE(log.ok());
  LogBatch batch;
  batch.SetHardState(kShard, {Term(1), ReplicaId(2), LogIndex(0)});
  EXPECT_TRUE((*log)->Write(batch, SyncMode::kNow).ok());
  for (uint64_t i = 1; i <= 2; ++i) EXPECT_TRUE(Append(log->get(), i).ok());
  EXPECT_TRUE((*log)->Seal().ok());
  return kSegmentHeaderBytes + RecordBytes(0) + RecordBytes(kHardStatePayloadBytes) +
         RecordBytes(PayloadOf(1).size()) + RecordBytes(PayloadOf(2).size());
}

TEST(SegmentLogDamage, AFlipOfAnySealedBitIsRefusedWithItsPlace) {
  FaultyFileSystem files;
  const uint64_t sealed = MakeSmallLog(&files);
  const std::string good = files.Contents(kFirst);
  for (uint64_t offset = 0; offset < good.size(); ++offset) {
    std::string bad = good;
    bad[offset] = static_cast<char>(bad[offset] ^ (1 << (offset % 8)));
    FaultyFileSystem damaged;
    ASSERT_TRUE(damaged.CreateDirectory("log").ok());
    damaged.SetContents(kFirst, bad);
    const Opened log = Open(&damaged);
    if (offset < sealed) {
      ASSERT_EQ(log.status().code(), absl::StatusCode::kDataLoss) << offset;
      ASSERT_NE(log.status().message().find(kFirst), absl::string_view::npos) << log.status();
      ASSERT_EQ(damaged.Contents(kFirst), bad);
    } else {  // the seal itself, and what was never written: no content
      ASSERT_TRUE(log.ok()) << offset << log.status();
      ASSERT_EQ((*log)->LastIndex(kShard), LogIndex(2));
      ExpectEntriesIntact(**log);
    }
  }
}

TEST(SegmentLogDamage, AFlipInAClosedSegmentIsRefused) {
  FaultyFileSystem files;
  const uint64_t sealed = MakeSmallLog(&files);
  ASSERT_TRUE(Open(&files).ok());  // segment 2
  std::string bad = files.Contents(kFirst);
  bad[sealed + 4] ^= 1;  // even the seal: the next segment says that it counts
  files.SetContents(kFirst, bad);
  EXPECT_EQ(Open(&files).status().code(), absl::StatusCode::kDataLoss);
}

TEST(SegmentLogDamage, AMissingSegmentIsRefused) {
  FaultyFileSystem files;
  MakeSmallLog(&files);
  ASSERT_TRUE(Open(&files).ok());
  ASSERT_TRUE(files.Remove(kFirst).ok());
  EXPECT_EQ(Open(&files).status().code(), absl::StatusCode::kDataLoss);
}

TEST(SegmentLogDamage, ReadingADamagedEntryIsAnError) {
  FaultyFileSystem files;
  Opened log = Open(&files);
  ASSERT_TRUE(Append(log->get(), 1).ok());
  std::string bad = files.Contents(kFirst);
  bad[kSegmentHeaderBytes + 2 * kRecordHeaderBytes + 5] ^= 1;
  files.SetContents(kFirst, bad);
  std::vector<StoredEntry> entries;
  EXPECT_EQ((*log)->ReadEntries(kShard, LogIndex(1), LogIndex(2), 1'000, &entries).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_TRUE(entries.empty());
}

TEST(SegmentLogDamage, AnotherFormatVersionIsRefusedWithBothVersions) {
  FaultyFileSystem files;
  MakeSmallLog(&files);
  std::string contents = files.Contents(kFirst);
  contents[8] = 2;
  const uint32_t crc = Crc32c(std::string_view(contents).substr(0, 60));
  contents.replace(60, 4, reinterpret_cast<const char*>(&crc), 4);
  files.SetContents(kFirst, contents);
  const Opened log = Open(&files);
  EXPECT_EQ(log.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(log.status().message().find("version 2"), absl::string_view::npos) << log.status();
}

TEST(SegmentLogErrors, AFailedSyncStopsTheLogForGood) {
  FaultyFileSystem files;
  {
    Opened log = Open(&files);
    ASSERT_TRUE(Append(log->get(), 1).ok());
    files.FailAt(FileOperation::kSync, 1, absl::UnknownError("EIO"));
    const absl::Status failed = Append(log->get(), 2);
    ASSERT_FALSE(failed.ok());
    const uint64_t operations = files.Count();
    EXPECT_EQ(Append(log->get(), 2), failed);
    EXPECT_EQ((*log)->Sync(), failed);
    EXPECT_EQ((*log)->Seal(), failed);
    EXPECT_EQ(files.Count(), operations);
  }
  // The entry is still read from memory by the next process, so it is made durable again.
  uint64_t last = 0;
  {
    Opened log = Open(&files);
    ASSERT_TRUE(log.ok()) << log.status();
    last = (*log)->LastIndex(kShard).value();
  }
  auto image = files.CrashImage(CrashKeeps::kNothing, 1);
  Opened log = Open(image.get());
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ((*log)->LastIndex(kShard).value(), last);
}

TEST(SegmentLogErrors, AFullDiskRefusesEntriesButLetsCompactionsFreeIt) {
  FaultyFileSystem files;
  Opened log = Open(&files);
  files.SetSpace(5 * kOptions.segment_bytes);
  uint64_t last = 0;
  absl::Status status;
  while ((status = Append(log->get(), last + 1)).ok()) ++last;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ((*log)->LastIndex(kShard).value(), last);
  EXPECT_EQ(Append(log->get(), last + 1).code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(CompactThrough(log->get(), last - 1).ok());
  EXPECT_TRUE(Append(log->get(), last + 1).ok());
  ExpectEntriesIntact(**log);
}

TEST(SegmentLogRecycling, SpaceStaysBoundedAndOldBytesNeverComeBack) {
  FaultyFileSystem files;
  for (uint64_t next = 1; next < 400;) {
    Opened log = Open(&files);
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_EQ((*log)->LastIndex(kShard).value(), next - 1);
    for (uint64_t i = 0; i < 40; ++i, ++next) {
      ASSERT_TRUE(Append(log->get(), next).ok());
      if (next % 5 == 0) {
        ASSERT_TRUE(CompactThrough(log->get(), next - 2).ok());
      }
    }
    ASSERT_LE((*log)->Usage().file_bytes, 6 * kOptions.segment_bytes);
    ExpectEntriesIntact(**log);
  }
  EXPECT_LE(files.List("log")->size(), 7u);
}

TEST(SegmentLog, IsOpenedOnce) {
  FaultyFileSystem files;
  const Opened log = Open(&files);
  EXPECT_EQ(Open(&files).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace holdfast
