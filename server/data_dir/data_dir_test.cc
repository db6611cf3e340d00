#include "server/data_dir/data_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

std::string NewPath() {
  std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/dir.XXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr);
  return path + "/data";
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

TEST(DataDirectory, FirstStartDrawsAnIdentityThatLaterStartsKeep) {
  const std::string path = NewPath();
  Identity first;
  {
    const auto dir = DataDir::Open(path, {.node = NodeId(3), .shards = 5});
    ASSERT_TRUE(dir.ok()) << dir.status();
    first = (*dir)->identity();
    EXPECT_EQ(first.incarnation, 1u);
    EXPECT_EQ(first.shards, 5u);
    EXPECT_EQ(first.cluster_id.size(), 32u);
  }
  const auto dir = DataDir::Open(path, {.node = NodeId(3), .shards = 0});
  ASSERT_TRUE(dir.ok()) << dir.status();
  EXPECT_EQ((*dir)->identity().disk, first.disk);
  EXPECT_EQ((*dir)->identity().cluster_id, first.cluster_id);
  EXPECT_EQ((*dir)->identity().shards, 5u);
  EXPECT_EQ((*dir)->identity().incarnation, 2u);
}

TEST(DataDirectory, SecondProcessIsLockedOut) {
  const std::string path = NewPath();
  const auto dir = DataDir::Open(path, {});
  ASSERT_TRUE(dir.ok());
  const auto second = DataDir::Open(path, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_NE(second.status().message().find("in use by another process"), std::string::npos);
}

TEST(DataDirectory, AnotherNodeOrNumberOfShardsIsRefused) {
  const std::string path = NewPath();
  { ASSERT_TRUE(DataDir::Open(path, {.node = NodeId(1), .shards = 4}).ok()); }
  EXPECT_TRUE(absl::IsFailedPrecondition(DataDir::Open(path, {.node = NodeId(2)}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(DataDir::Open(path, {.shards = 8}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(DataDir::Open(path, {.shards = 5000}).status()));
  EXPECT_TRUE(DataDir::Open(path, {}).ok());
}

TEST(DataDirectory, EveryFlippedBitOfTheIdentityIsRefused) {
  const std::string path = NewPath();
  { ASSERT_TRUE(DataDir::Open(path, {}).ok()); }
  const std::string file = path + "/identity.json";
  const std::string good = ReadFile(file);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    WriteFile(file, bad);
    const auto dir = DataDir::Open(path, {});
    if (dir.ok()) {
      // White space is not part of what it says; nothing else may pass.
      EXPECT_TRUE(good[i] == ' ' || good[i] == '\n') << "byte " << i;
      WriteFile(file, good);
      continue;
    }
    EXPECT_NE(dir.status().message().find("identity.json"), std::string::npos);
  }
}

TEST(DataDirectory, FolderWithOtherFilesIsNotTaken) {
  const std::string path = NewPath();
  ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
  WriteFile(path + "/letter.txt", "dear");
  EXPECT_TRUE(absl::IsFailedPrecondition(DataDir::Open(path, {}).status()));
  EXPECT_EQ(ReadFile(path + "/letter.txt"), "dear");
}

}  // namespace
}  // namespace holdfast
