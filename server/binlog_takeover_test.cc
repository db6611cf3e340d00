// What a start makes of each state that a crash can leave. That jobs come over is
// tests/conformance/takeover_test.py's to show.

#include "server/binlog_takeover.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace holdfast {
namespace {

class TakeOver : public testing::Test {
 protected:
  TakeOver() {
    directory_ = std::string(std::getenv("TEST_TMPDIR")) + "/takeover.XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void Write(const std::string& name, const std::string& bytes) {
    const std::filesystem::path path = directory_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
  }
  void WriteBinlog(const std::string& name) { Write(name, std::string("\7\0\0\0", 4)); }
  absl::Status Start() {
    return TakeOverBinlogs(directory_, [this](const std::string& directory, Binlog* binlog) {
      filled_ = binlog->files().size();
      EXPECT_FALSE(std::filesystem::exists(directory));
      std::filesystem::create_directory(directory);
      std::ofstream(directory + "/filled") << "yes";
      return fill_;
    });
  }
  // All files, by their paths within the directory.
  std::set<std::string> Files() {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
      if (entry.is_regular_file())
        files.insert(entry.path().string().substr(directory_.size() + 1));
    }
    return files;
  }
  using Set = std::set<std::string>;

  std::string directory_;
  size_t filled_ = 0;
  absl::Status fill_;
  const Set kDone = {"holdfast/filled", "imported-binlogs/binlog.3", "imported-binlogs/binlog.4"};
};

TEST_F(TakeOver, NothingIsDoneWithoutBinlogs) {
  Write("lock", "");
  EXPECT_TRUE(Start().ok());
  EXPECT_EQ(filled_, 0u);
  EXPECT_EQ(Files(), Set{"lock"});
}

TEST_F(TakeOver, BinlogsAreTakenOverAndMovedAway) {
  WriteBinlog("binlog.3");
  WriteBinlog("binlog.4");
  EXPECT_TRUE(Start().ok());
  EXPECT_EQ(filled_, 2u);
  EXPECT_EQ(Files(), kDone);
  filled_ = 0;
  EXPECT_TRUE(Start().ok());
  EXPECT_EQ(filled_, 0u);
}

TEST_F(TakeOver, AHalfDoneFillingBeginsAgain) {
  WriteBinlog("binlog.3");
  WriteBinlog("binlog.4");
  Write("holdfast.importing/log/half", "done");
  EXPECT_TRUE(Start().ok());
  EXPECT_EQ(filled_, 2u);
  EXPECT_EQ(Files(), kDone);
}

TEST_F(TakeOver, AFailedFillingLeavesTheBinlogs) {
  WriteBinlog("binlog.3");
  WriteBinlog("binlog.4");
  fill_ = absl::ResourceExhaustedError("disk full");
  EXPECT_EQ(Start(), fill_);
  EXPECT_EQ(Files(), (Set{"binlog.3", "binlog.4", "holdfast.importing/filled"}));
  fill_ = absl::OkStatus();
  EXPECT_TRUE(Start().ok());
  EXPECT_EQ(Files(), kDone);
}

TEST_F(TakeOver, AFilledOneOnlyMovesWhatIsLeft) {
  WriteBinlog("imported-binlogs/binlog.3");
  WriteBinlog("binlog.4");
  Write("holdfast/filled", "yes");
  Write("holdfast/binlogs-to-move", "binlog.3\nbinlog.4\n");
  EXPECT_TRUE(Start().ok());
  EXPECT_EQ(filled_, 0u);
  EXPECT_EQ(Files(), kDone);
}

TEST_F(TakeOver, WhenAllHaveBeenMovedOnlyTheListGoes) {
  WriteBinlog("imported-binlogs/binlog.3");
  WriteBinlog("imported-binlogs/binlog.4");
  Write("holdfast/filled", "yes");
  Write("holdfast/binlogs-to-move", "binlog.3\nbinlog.4\n");
  EXPECT_TRUE(Start().ok());
  EXPECT_EQ(Files(), kDone);
}

TEST_F(TakeOver, BinlogsBesideOtherJobsAreRefused) {
  WriteBinlog("binlog.4");
  Write("holdfast/filled", "yes");
  for (const char* const list : {"", "binlog.3\n"}) {
    if (*list != '\0') Write("holdfast/binlogs-to-move", list);
    const Set before = Files();
    const absl::Status status = Start();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_NE(status.message().find("binlog.4"), std::string::npos) << status;
    EXPECT_NE(status.message().find("import-binlog"), std::string::npos) << status;
    EXPECT_EQ(Files(), before);
  }
  EXPECT_EQ(filled_, 0u);
}

TEST_F(TakeOver, EarlierBinlogsAreNotReplaced) {
  WriteBinlog("binlog.3");
  WriteBinlog("imported-binlogs/binlog.3");
  const absl::Status status = Start();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("imported-binlogs"), std::string::npos) << status;
  EXPECT_EQ(filled_, 0u);
}

}  // namespace
}  // namespace holdfast
