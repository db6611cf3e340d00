#include "storage/faulty/faulty_file_system.h"

#include <algorithm>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

absl::Status WriteAt(File* file, uint64_t offset, std::string_view bytes) {
  return file->Write(offset, std::span<const std::string_view>(&bytes, 1));
}

class FaultyFileSystemTest : public testing::Test {
 protected:
  FaultyFileSystemTest() {
    EXPECT_TRUE(files_.CreateDirectory("d").ok());
    file_ = *files_.Open("d/a", OpenMode::kCreate);
  }
  FaultyFileSystem files_;
  std::unique_ptr<File> file_;
};

TEST_F(FaultyFileSystemTest, ACrashForgetsWhatWasNotSynced) {
  ASSERT_TRUE(files_.SyncDirectory("d").ok());
  ASSERT_TRUE(WriteAt(file_.get(), 0, "kept").ok());
  ASSERT_TRUE(file_->Sync().ok());
  ASSERT_TRUE(WriteAt(file_.get(), 4, "lost").ok());
  EXPECT_EQ(files_.Contents("d/a"), "keptlost");
  EXPECT_EQ(files_.CrashImage(CrashKeeps::kNothing, 1)->Contents("d/a"), "kept");
  EXPECT_EQ(files_.CrashImage(CrashKeeps::kEverything, 1)->Contents("d/a"), "keptlost");
}

TEST_F(FaultyFileSystemTest, ANameIsDurableOnlyWithItsDirectory) {
  ASSERT_TRUE(file_->Sync().ok());
  EXPECT_TRUE(files_.CrashImage(CrashKeeps::kNothing, 1)->List("d")->empty());
  ASSERT_TRUE(files_.SyncDirectory("d").ok());
  ASSERT_TRUE(files_.Rename("d/a", "d/b").ok());
  EXPECT_EQ(files_.CrashImage(CrashKeeps::kNothing, 1)->List("d")->at(0), "a");
  ASSERT_TRUE(files_.SyncDirectory("d").ok());
  EXPECT_EQ(files_.CrashImage(CrashKeeps::kNothing, 1)->List("d")->at(0), "b");
}

TEST_F(FaultyFileSystemTest, SectorsOfOneWriteSurviveInAnySubset) {
  ASSERT_TRUE(WriteAt(file_.get(), 0, std::string(2048, 'a')).ok());
  ASSERT_TRUE(file_->Sync().ok());
  ASSERT_TRUE(files_.SyncDirectory("d").ok());
  ASSERT_TRUE(WriteAt(file_.get(), 0, std::string(2048, 'b')).ok());
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const std::string found = files_.CrashImage(CrashKeeps::kSectors, seed)->Contents("d/a");
    ASSERT_EQ(found.size(), 2048u);
    std::string sectors;
    for (size_t i = 0; i < 2048; i += 512) {
      ASSERT_EQ(std::count(found.begin() + i, found.begin() + i + 512, found[i]), 512);
      sectors.push_back(found[i]);
    }
    seen.insert(sectors);
  }
  EXPECT_EQ(seen.size(), 16u);
}

TEST_F(FaultyFileSystemTest, AfterTheCrashNothingChangesAnyMore) {
  files_.CrashAt(2);
  ASSERT_TRUE(WriteAt(file_.get(), 0, "one").ok());
  EXPECT_FALSE(WriteAt(file_.get(), 3, "two").ok());
  EXPECT_TRUE(files_.crashed());
  EXPECT_FALSE(WriteAt(file_.get(), 6, "three").ok());
  EXPECT_FALSE(file_->Sync().ok());
  EXPECT_EQ(files_.CrashImage(CrashKeeps::kEverything, 1)->Contents("d/a"), "onetwo");
}

TEST_F(FaultyFileSystemTest, AFailedSyncLosesThePagesForGood) {
  ASSERT_TRUE(files_.SyncDirectory("d").ok());
  files_.FailAt(FileOperation::kSync, 1, absl::UnknownError("EIO"));
  ASSERT_TRUE(WriteAt(file_.get(), 0, "x").ok());
  EXPECT_FALSE(file_->Sync().ok());
  EXPECT_TRUE(file_->Sync().ok());
  EXPECT_EQ(files_.Contents("d/a"), "x");
  EXPECT_EQ(files_.CrashImage(CrashKeeps::kEverything, 1)->Contents("d/a"), "");
}

TEST_F(FaultyFileSystemTest, SpaceRunsOut) {
  files_.SetSpace(10);
  EXPECT_TRUE(file_->Preallocate(10).ok());
  EXPECT_TRUE(WriteAt(file_.get(), 0, "0123456789").ok());
  EXPECT_EQ(WriteAt(file_.get(), 10, "x").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(file_->Preallocate(11).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(FaultyFileSystemTest, ALockIsHeldOnce) {
  auto lock = files_.Lock("d/LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(files_.Lock("d/LOCK").status().code(), absl::StatusCode::kUnavailable);
  lock->reset();
  EXPECT_TRUE(files_.Lock("d/LOCK").ok());
}

}  // namespace
}  // namespace holdfast
