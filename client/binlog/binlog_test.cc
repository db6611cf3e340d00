#include "client/binlog/binlog.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "base/coding.h"

namespace holdfast {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

struct Written {
  uint64_t id = 0;
  std::string tube;  // empty: an update
  std::string body = "body";
  BinlogState state = BinlogState::kReady;
  uint32_t priority = 0;
  std::string end = "\r\n";
};

std::string Bytes(const Written& record) {
  std::string out;
  PutFixed32(&out, static_cast<uint32_t>(record.tube.size()));
  out += record.tube;
  PutFixed64(&out, record.id);
  PutFixed64(&out, record.priority);  // with four bytes of padding
  PutFixed64(&out, 7 * kSecond);
  PutFixed64(&out, 60 * kSecond);
  PutFixed64(&out, record.body.size() + 2);
  PutFixed64(&out, 1000 * kSecond);
  PutFixed64(&out, 1007 * kSecond);
  for (const uint32_t count : {1, 2, 3, 4, 5}) PutFixed32(&out, count);
  PutFixed32(&out, static_cast<uint32_t>(record.state));
  return record.tube.empty() ? out : out + record.body + record.end;
}

std::string FileOf(const std::vector<Written>& records, size_t zeros = 4096) {
  std::string out;
  PutFixed32(&out, 7);
  for (const Written& record : records) out += Bytes(record);
  return out + std::string(zeros, '\0');
}

class BinlogTest : public testing::Test {
 protected:
  BinlogTest() {
    directory_ = std::string(std::getenv("TEST_TMPDIR")) + "/binlog.XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << bytes;
  }
  absl::Status Read() {
    absl::StatusOr<std::unique_ptr<Binlog>> opened = Binlog::Open(directory_);
    if (!opened.ok()) return opened.status();
    binlog_ = *std::move(opened);
    return binlog_->Read([this](uint64_t bytes) { progress_ = bytes; });
  }
  // "ID TUBE STATE PRIORITY BODY" of each job.
  std::vector<std::string> Jobs() {
    std::vector<std::string> jobs;
    for (const auto& [id, job] : binlog_->jobs()) {
      std::string body;
      EXPECT_TRUE(binlog_->ReadBody(job, &body).ok());
      jobs.push_back(std::to_string(id) + " " + std::string(job.tube) + " " +
                     std::to_string(static_cast<int>(job.state)) + " " +
                     std::to_string(job.priority) + " " + body);
    }
    return jobs;
  }
  // The only damage, without the directory.
  std::string Damage() {
    EXPECT_EQ(binlog_->damages().size(), 1u);
    return binlog_->damages().empty() ? ""
                                      : binlog_->damages()[0].Text().substr(directory_.size() + 1);
  }
  using Lines = std::vector<std::string>;

  std::string directory_;
  std::unique_ptr<Binlog> binlog_;
  uint64_t progress_ = 0;
};

TEST_F(BinlogTest, AJobsLatestRecordCounts) {
  Write("binlog.9", FileOf({{1, "a", "one"}, {2, "b", "two"}, {3, "a", "three"}, {4, "a", ""}}));
  Write("binlog.10",
        FileOf({{1, "", "one", BinlogState::kBuried, 5},
                {2, "", "two", BinlogState::kDeleted},
                {3, "", "three", BinlogState::kReserved},
                {77, "", "its record is in a file that is gone", BinlogState::kBuried}}));
  Write("binlog.11", FileOf({{1, "a", "one", BinlogState::kDelayed, 6}}, 0));
  Write("lock", "");
  Write("binlog.old", "not one");
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(Jobs(), (Lines{"1 a 4 6 one", "3 a 1 0 three", "4 a 1 0 "}));
  EXPECT_EQ(binlog_->files(), (Lines{"binlog.9", "binlog.10", "binlog.11"}));
  EXPECT_TRUE(binlog_->damages().empty());
  EXPECT_EQ(binlog_->max_id(), 77u);
  const BinlogJob& job = binlog_->jobs().at(1);
  EXPECT_EQ(job.file, 2u);
  EXPECT_EQ(job.delay, absl::Seconds(7));
  EXPECT_EQ(job.ttr, absl::Seconds(60));
  EXPECT_EQ(job.created, absl::FromUnixSeconds(1000));
  EXPECT_EQ(job.deadline, absl::FromUnixSeconds(1007));
  EXPECT_EQ(job.counters, (BinlogCounters{1, 2, 3, 4, 5}));
}

TEST_F(BinlogTest, BodiesMayBeLongerThanAWindow) {
  const std::string large(3 << 20, 'x');
  std::vector<Written> records;
  for (uint64_t id = 1; id <= 40; ++id) records.push_back({id, "t", std::string(100'000, 'y')});
  records.push_back({41, "t", large});
  records.push_back({42, "t", "last"});
  Write("binlog.1", FileOf(records));
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(Jobs().size(), 42u);
  EXPECT_EQ(Jobs()[40], "41 t 1 0 " + large);
  EXPECT_EQ(Jobs()[41], "42 t 1 0 last");
  EXPECT_GT(progress_, 4u << 20);
  EXPECT_LE(progress_, binlog_->size_bytes());
}

TEST_F(BinlogTest, WhatIsDamagedIsToldByItsPlaceAndTheRestIsRead) {
  const std::string good = FileOf({{1, "a"}}, 0);
  const size_t end = good.size();
  const auto at = [](const std::string& bytes, size_t offset, char c) {
    std::string changed = bytes;
    changed[offset] = c;
    return changed;
  };
  const std::string next = good + Bytes({2, "a"});
  const size_t fixed = end + 4 + 1;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "byte 0: no version, as if never written"},
      {std::string(4096, '\0'), "byte 0: no version, as if never written"},
      {good + "ab", "byte 95: the file ends within a record"},
      {next.substr(0, next.size() - 1), "byte 95: the file ends within a record"},
      {good + std::string(200, '\0') + "x", "byte 95: zeros, with something after them"},
      {good + std::string(40, '\0') + "x", "byte 95: the file ends within a record"},
      {at(next, next.size() - 1, '\0'), "byte 95: a body that does not end in CRLF"},
      {at(next, end + 3, '\x7f'), "byte 95: a tube's name of an impossible length"},
      {at(next, end + 4, ' '), "byte 95: what is no name of a tube"},
      {at(next, fixed, '\0'), "byte 95: a job without an id"},
      {at(next, fixed + 23, '\xff'), "byte 95: a delay below zero"},
      {at(next, fixed + 31, '\xff'), "byte 95: a ttr below zero"},
      {at(next, fixed + 35, '\xff'), "byte 95: a body without an end"},
      {at(next, fixed + 47, '\xff'), "byte 95: a time before 1970"},
      {at(next, fixed + 76, '\x05'), "byte 95: an unknown state of a job"},
      {good + Bytes({1, "", "longer"}), "byte 95: a job whose size has changed"},
  };
  ASSERT_EQ(end, 95u);
  for (const auto& [bytes, damage] : cases) {
    Write("binlog.1", bytes);
    Write("binlog.2", FileOf({{3, "a", "after"}}));
    ASSERT_TRUE(Read().ok());
    EXPECT_EQ(Damage(), "binlog.1: " + damage);
    EXPECT_EQ(binlog_->jobs().count(3), 1u) << damage;
    EXPECT_EQ(binlog_->jobs().count(1), bytes.size() > end && bytes[0] == 7 ? 1u : 0u) << damage;
  }
}

TEST_F(BinlogTest, AMissingFileIsTold) {
  Write("binlog.1", FileOf({{1, "a"}}));
  Write("binlog.3", FileOf({{2, "a"}}));
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(Damage(), "binlog.2: byte 0: the file is missing");
  EXPECT_EQ(binlog_->jobs().size(), 2u);
}

TEST_F(BinlogTest, OtherVersionsAreRefused) {
  Write("binlog.1", std::string("\5\0\0\0", 4) + std::string(100, 'x'));
  const absl::Status status = Read();
  EXPECT_TRUE(absl::IsUnimplemented(status));
  EXPECT_NE(status.message().find("binlog.1 has version 5"), std::string::npos) << status;
}

TEST_F(BinlogTest, AnEmptyDirectoryHasNoJobsAndAMissingOneIsAnError) {
  ASSERT_TRUE(Read().ok());
  EXPECT_TRUE(binlog_->jobs().empty());
  EXPECT_TRUE(binlog_->files().empty());
  directory_ += "/none";
  EXPECT_TRUE(absl::IsNotFound(Read()));
}

TEST_F(BinlogTest, ADirectoryThatBeanstalkdUsesIsRefused) {
  Write("lock", "");
  int ready[2];
  int done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int fd = open((directory_ + "/lock").c_str(), O_WRONLY);
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    char byte = fcntl(fd, F_SETLK, &lock) == 0 ? 'y' : 'n';
    if (write(ready[1], &byte, 1) == 1) close(done[1]);
    _exit(read(done[0], &byte, 1) == 0 ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const absl::Status status = Read();
  close(done[1]);
  int ended = 0;
  ASSERT_EQ(waitpid(child, &ended, 0), child);
  EXPECT_EQ(ended, 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_NE(status.message().find("by process " + std::to_string(child)), std::string::npos);
  EXPECT_TRUE(Read().ok());
}

}  // namespace
}  // namespace holdfast
