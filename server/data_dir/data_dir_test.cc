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

// The incarnations of a new disk began at 1 again, which the log had called lost.
TEST(DataDirectory, ADiskThatJoinsIsOfAnIncarnationThatNoneBeforeItHad) {
  const std::string path = NewPath();
  const DataDir::Wanted wanted = {.node = NodeId(2),
                                  .cluster = DataDir::Wanted::Cluster::kSetLater};
  const auto others = MakeCluster(4, {{NodeId(1), DiskId(11), "h1:7400"}});
  ASSERT_TRUE(others.ok());
  uint64_t joined = 0;
  {
    const auto dir = DataDir::Open(path, wanted);
    ASSERT_TRUE(dir.ok()) << dir.status();
    ASSERT_TRUE((*dir)->SetCluster(*others).ok());
    joined = (*dir)->identity().incarnation;
    EXPECT_GT(joined, 1'700'000'000u);
  }
  const auto dir = DataDir::Open(path, {.node = NodeId(2)});
  ASSERT_TRUE(dir.ok()) << dir.status();
  EXPECT_EQ((*dir)->identity().incarnation, joined + 1);
}

TEST(DataDirectory, ARecoveryThatWasBegunMustEndBeforeItIsUsed) {
  const std::string path = NewPath();
  Identity before;
  {
    const auto dir = DataDir::Open(path, {.node = NodeId(3), .shards = 4});
    ASSERT_TRUE(dir.ok()) << dir.status();
    before = (*dir)->identity();
    EXPECT_TRUE(absl::IsFailedPrecondition(DataDir::OpenForRepair(path).status())) << "in use";
  }
  const auto made = MakeCluster(4, {{NodeId(3), before.disk, "h3:7400"}});
  ASSERT_TRUE(made.ok());
  {
    const auto dir = DataDir::OpenForRepair(path);
    ASSERT_TRUE(dir.ok()) << dir.status();
    EXPECT_EQ((*dir)->identity().incarnation, 1u) << "it is no start";
    ASSERT_TRUE((*dir)->BeginRecovery(*made).ok());
  }
  const absl::Status used = DataDir::Open(path, {.node = NodeId(3)}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(used));
  EXPECT_NE(used.message().find("cluster recover --unsafe"), std::string::npos) << "what to do";
  {
    const auto dir = DataDir::OpenForRepair(path);
    ASSERT_TRUE(dir.ok()) << dir.status();
    EXPECT_EQ((*dir)->identity().recovery, *made);
    EXPECT_EQ((*dir)->identity().cluster, before.cluster);
    ASSERT_TRUE((*dir)->EndRecovery().ok());
  }
  const auto dir = DataDir::Open(path, {.node = NodeId(3)});
  ASSERT_TRUE(dir.ok()) << dir.status();
  EXPECT_EQ((*dir)->identity().cluster, *made);
  EXPECT_EQ((*dir)->identity().disk, before.disk);
  EXPECT_FALSE((*dir)->identity().recovery.has_value());
}

TEST(DataDirectory, WhatIsOfNoClusterIsNotRepaired) {
  const std::string path = NewPath();
  EXPECT_TRUE(absl::IsNotFound(DataDir::OpenForRepair(path).status()));
  { ASSERT_TRUE(DataDir::Open(path, {.cluster = DataDir::Wanted::Cluster::kSetLater}).ok()); }
  EXPECT_TRUE(absl::IsFailedPrecondition(DataDir::OpenForRepair(path).status()));
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

TEST(DataDirectory, FormatThreeIsOfARecoveryThatHasNotEnded) {
  const std::string path = NewPath();
  ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
  WriteFile(path + "/identity.json", ReadFile("server/data_dir/testdata/identity_v3.json"));
  const auto dir = DataDir::OpenForRepair(path);
  ASSERT_TRUE(dir.ok()) << dir.status();
  const Identity& identity = (*dir)->identity();
  EXPECT_EQ(identity.cluster.members.size(), 3u);
  ASSERT_TRUE(identity.recovery.has_value());
  EXPECT_NE(identity.recovery->cluster_id, identity.cluster.cluster_id);
  EXPECT_EQ(identity.recovery->shards, 4u);
  ASSERT_EQ(identity.recovery->members.size(), 1u);
  EXPECT_EQ(identity.recovery->members[0],
            (InitialMember{NodeId(3), identity.disk, "127.0.0.1:18103"}));
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
