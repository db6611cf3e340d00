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
    EXPECT_EQ(first.cluster.shards, 5u);
    EXPECT_EQ(first.cluster.cluster_id.size(), 32u);
    ASSERT_EQ(first.cluster.members.size(), 1u);
    EXPECT_EQ(first.cluster.members[0],
              (InitialMember{.node = NodeId(3), .disk = first.disk, .address = ""}));
  }
  const auto dir = DataDir::Open(path, {.node = NodeId(3), .shards = 0});
  ASSERT_TRUE(dir.ok()) << dir.status();
  EXPECT_EQ((*dir)->identity().disk, first.disk);
  EXPECT_EQ((*dir)->identity().cluster, first.cluster);
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

TEST(DataDirectory, ClusterIsSetLaterAndThenStays) {
  const std::string path = NewPath();
  const DataDir::Wanted wanted = {
      .node = NodeId(2), .shards = 4, .cluster = DataDir::Wanted::Cluster::kSetLater};
  DiskId disk;
  {
    const auto dir = DataDir::Open(path, wanted);
    ASSERT_TRUE(dir.ok()) << dir.status();
    EXPECT_FALSE((*dir)->identity().has_cluster());
    disk = (*dir)->identity().disk;
  }
  const absl::Status alone = DataDir::Open(path, {.node = NodeId(2)}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(alone));
  EXPECT_NE(alone.message().find("--initial-cluster"), std::string::npos) << "what to do";
  const auto cluster =
      MakeCluster(4, {{NodeId(1), DiskId(11), "h1:7400"}, {NodeId(2), disk, "h2:7400"}});
  ASSERT_TRUE(cluster.ok());
  {
    const auto dir = DataDir::Open(path, wanted);
    ASSERT_TRUE(dir.ok()) << dir.status();
    EXPECT_EQ((*dir)->identity().disk, disk) << "what was told to the others must stay true";
    ASSERT_TRUE((*dir)->SetCluster(*cluster).ok());
  }
  const auto dir = DataDir::Open(path, {.node = NodeId(2)});
  ASSERT_TRUE(dir.ok()) << dir.status();
  EXPECT_EQ((*dir)->identity().cluster, *cluster);
  EXPECT_EQ((*dir)->identity().incarnation, 3u);
  EXPECT_EQ((*dir)->identity().cluster.Find(NodeId(1))->address, "h1:7400");
  EXPECT_EQ((*dir)->identity().cluster.Find(NodeId(3)), nullptr);
}

TEST(DataDirectory, FormatOneIsOfOneNode) {
  const std::string path = NewPath();
  ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
  WriteFile(path + "/identity.json", ReadFile("server/data_dir/testdata/identity_v1.json"));
  const auto dir = DataDir::Open(path, {.node = NodeId(7)});
  ASSERT_TRUE(dir.ok()) << dir.status();
  const Identity& identity = (*dir)->identity();
  EXPECT_EQ(identity.cluster.shards, 8u);
  EXPECT_EQ(identity.incarnation, 3u);
  ASSERT_EQ(identity.cluster.members.size(), 1u);
  EXPECT_EQ(identity.cluster.members[0],
            (InitialMember{.node = NodeId(7), .disk = identity.disk, .address = ""}));
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
