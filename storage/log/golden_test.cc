// Logs of every format version that was ever released are read for ever (storage/FORMAT.md,
// "Changing the format"): testdata/v1 is one of version 1, and what is written now has its bytes.
//
// HOLDFAST_WRITE_GOLDEN=DIR (with --test_env) writes the log there, for a new version's testdata.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "storage/log/segment_log_store.h"
#include "storage/posix_file_system.h"

namespace holdfast {
namespace {

constexpr char kVersion1[] = "storage/log/testdata/v1";
constexpr ShardId kA{1};  // overwritten, compacted
constexpr ShardId kB{2};  // reset by a snapshot
constexpr SegmentLogOptions kOptions{.segment_bytes = 4096, .spare_segments_max = 1, .salt = 42};

std::string Payload(uint64_t index) {
  return std::string(100 + index, static_cast<char>('a' + index % 26));
}

std::unique_ptr<SegmentLogStore> Open(const std::string& directory) {
  auto opened = SegmentLogStore::Open(&PosixFileSystem(), directory, kOptions);
  if (!opened.ok()) {
    ADD_FAILURE() << opened.status();
    std::abort();
  }
  return *std::move(opened);
}

void WriteEntries(LogStore* log, ShardId shard, Term term, uint64_t first, uint64_t last) {
  for (uint64_t index = first; index <= last; ++index) {
    LogBatch batch;
    const std::string payload = Payload(index);
    batch.Append(shard, term, LogIndex(index), static_cast<uint8_t>(index % 3), payload);
    ASSERT_TRUE(log->Write(batch, SyncMode::kNow).ok());
  }
}

// Every kind of record, over several segments.
void WriteLog(LogStore* log) {
  LogBatch batch;
  batch.SetHardState(kA, {Term(1), NodeId(1), LogIndex()});
  batch.SetHardState(kB, {Term(4), NodeId(3), LogIndex(9)});
  ASSERT_TRUE(log->Write(batch, SyncMode::kNow).ok());
  WriteEntries(log, kA, Term(1), 1, 30);
  WriteEntries(log, kA, Term(2), 21, 40);  // another leader's, in their place
  batch.Clear();
  batch.Compact(kA, LogIndex(10), Term(1));
  batch.Reset(kB, LogIndex(500), Term(4));
  batch.SetHardState(kA, {Term(2), NodeId(2), LogIndex(35)});
  ASSERT_TRUE(log->Write(batch, SyncMode::kNow).ok());
  WriteEntries(log, kB, Term(5), 501, 503);
  ASSERT_TRUE(log->Seal().ok());
}

void ExpectEntries(const LogStore& log, ShardId shard, uint64_t first, uint64_t last) {
  std::vector<StoredEntry> entries;
  ASSERT_TRUE(log.ReadEntries(shard, LogIndex(first), LogIndex(last + 1), 1 << 20, &entries).ok());
  ASSERT_EQ(entries.size(), last - first + 1);
  for (uint64_t index = first; index <= last; ++index) {
    const StoredEntry& entry = entries[index - first];
    const Term term = shard == kB ? Term(5) : Term(index <= 20 ? 1 : 2);
    EXPECT_EQ(entry, (StoredEntry{term, LogIndex(index), static_cast<uint8_t>(index % 3),
                                  Payload(index)}));
  }
}

void ExpectLog(const LogStore& log) {
  const ShardLog a = log.Describe(kA);
  EXPECT_EQ(a.hard_state, (HardState{Term(2), NodeId(2), LogIndex(35)}));
  EXPECT_EQ(a.first, LogIndex(11));
  EXPECT_EQ(a.last, LogIndex(40));
  EXPECT_EQ(a.compacted_term, Term(1));
  ExpectEntries(log, kA, 11, 40);
  const ShardLog b = log.Describe(kB);
  EXPECT_EQ(b.hard_state, (HardState{Term(4), NodeId(3), LogIndex(9)}));
  EXPECT_EQ(b.first, LogIndex(501));
  EXPECT_EQ(b.last, LogIndex(503));
  EXPECT_EQ(b.compacted_term, Term(4));
  ExpectEntries(log, kB, 501, 503);
}

// The files of the log, by name, but for its lock.
std::map<std::string, std::string> FilesOf(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    std::ifstream in(file.path(), std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!bytes.empty()) files[file.path().filename().string()] = std::move(bytes);
  }
  return files;
}

std::string NewDirectory(const char* name) {
  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/" + name;
  std::filesystem::create_directory(path);
  return path;
}

// A copy that may be written: what the test is given may be links to files that may not.
std::string CopyOf(const char* directory) {
  const std::string copy = NewDirectory("copy");
  for (const auto& [name, bytes] : FilesOf(directory)) {
    std::ofstream(copy + "/" + name, std::ios::binary) << bytes;
  }
  return copy;
}

TEST(Golden, LogOfVersion1IsReadAndGoneOnWith) {
  const std::string directory = CopyOf(kVersion1);
  {
    const auto log = Open(directory);
    ExpectLog(*log);
    WriteEntries(log.get(), kB, Term(5), 504, 540);
    ASSERT_TRUE(log->Seal().ok());
  }
  const auto log = Open(directory);
  EXPECT_EQ(log->LastIndex(kB), LogIndex(540));
  ExpectEntries(*log, kB, 501, 540);
  ExpectEntries(*log, kA, 11, 40);
}

TEST(Golden, LogIsWrittenWithTheBytesOfVersion1) {
  const char* given = std::getenv("HOLDFAST_WRITE_GOLDEN");
  const std::string directory = given != nullptr ? given : NewDirectory("new");
  WriteLog(Open(directory).get());
  EXPECT_EQ(FilesOf(directory), FilesOf(kVersion1));
}

}  // namespace
}  // namespace holdfast
