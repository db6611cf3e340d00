#include "client/cli/cluster_output.h"

#include "gtest/gtest.h"

namespace holdfast {
namespace {

// Two nodes of which the second is away, seen from the first; two shards.
v1::ClusterView View() {
  v1::ClusterView view;
  view.set_cluster_id("0123456789abcdef0123456789abcdef");
  view.set_node_id(1);
  view.set_version(3);
  v1::Member* member = view.add_members();
  member->set_node_id(1);
  member->set_address("10.0.0.1:7400");
  member->set_state(v1::MEMBER_STATE_VOTER);
  member->set_disk_id(101);
  member->set_connected(true);
  v1::NodeStatus* const status = member->mutable_status();
  status->set_version("0.1.0");
  status->mutable_uptime()->set_seconds(3725);
  status->mutable_uptime()->set_nanos(500'000'000);
  status->set_disk_bytes(uint64_t{200} << 30);
  status->set_disk_free_bytes(uint64_t{150} << 30);
  for (uint32_t shard = 0; shard < 2; ++shard) {
    v1::ReplicaStatus* const replica = status->add_replicas();
    replica->set_shard(shard);
    replica->set_leading(shard == 0);
    replica->set_votes(true);
    replica->set_term(4);
    replica->set_applied_index(90);
    replica->set_commit_index(99);
    replica->set_last_index(100);
    replica->set_lag(shard * 9);
  }
  member->mutable_clock_offset();
  member->mutable_clock_uncertainty();

  member = view.add_members();
  member->set_node_id(2);
  member->set_address("10.0.0.2:7400");
  member->set_state(v1::MEMBER_STATE_VOTER);
  member->set_disk_id(102);
  member->set_problem("connection refused");
  member->mutable_since()->set_seconds(1'800'000'000);

  view.add_leaders(1);
  view.add_leaders(0);
  v1::ShardStatus* shard = view.add_shards();
  shard->set_leader(1);
  shard->set_commit_index(99);
  shard->set_health(v1::SHARD_HEALTH_DEGRADED);
  shard = view.add_shards();
  shard->set_shard(1);
  shard->set_health(v1::SHARD_HEALTH_NO_LEADER);
  view.add_warnings("clocks");
  return view;
}

TEST(ClusterText, HasATableAndWhatIsWrong) {
  EXPECT_EQ(
      ClusterText(View()),
      "cluster 0123456789abcdef0123456789abcdef, 2 shards, seen from node 1\n"
      "NODE  ADDRESS        STATE  UP   LEADS  LAG  CLOCK  DISK FREE           UPTIME  VERSION\n"
      "1     10.0.0.1:7400  voter  yes  1      9    -      150.0 of 200.0 GiB  1h2m5s  0.1.0\n"
      "2     10.0.0.2:7400  voter  no   0      -    -      -                   -       -\n"
      "node 2 is not reached since 2027-01-15T08:00:00.000Z: connection refused\n"
      "shard 1: no leader is reached\n"
      "shard 0: not every member keeps up\n"
      "warning: clocks\n");
}

TEST(ClusterText, TellsClocksInMilliseconds) {
  v1::ClusterView view = View();
  view.set_node_id(2);
  view.mutable_members(0)->mutable_clock_offset()->set_seconds(-2);
  view.mutable_members(0)->mutable_clock_offset()->set_nanos(-250'000'000);
  view.mutable_members(0)->mutable_clock_uncertainty()->set_nanos(300'000);
  EXPECT_NE(ClusterText(view).find("  -2250.0 ms +-0.3  "), std::string::npos) << ClusterText(view);
}

TEST(ClusterText, NamesSomeOfManyShards) {
  v1::ClusterView view = View();
  view.clear_shards();
  for (uint32_t i = 0; i < 20; ++i) {
    view.add_shards()->set_shard(i);
    view.mutable_shards(static_cast<int>(i))->set_health(v1::SHARD_HEALTH_DEGRADED);
  }
  const std::string text = ClusterText(view);
  EXPECT_NE(text.find("shards 0, 1, 2,"), std::string::npos) << text;
  EXPECT_NE(text.find(", 15 and 4 more: not every"), std::string::npos) << text;
}

TEST(ClusterText, SaysThatAllIsWell) {
  v1::ClusterView view = View();
  for (v1::ShardStatus& shard : *view.mutable_shards()) shard.set_health(v1::SHARD_HEALTH_OK);
  EXPECT_NE(ClusterText(view).find("every shard has a leader, and every member keeps up\n"),
            std::string::npos);
}

// Nobody was asked how it is.
TEST(ClusterText, AfterAChangeHasTheMembersOnly) {
  v1::ClusterView view = View();
  view.clear_shards();
  view.clear_warnings();
  view.mutable_members(0)->clear_status();
  view.mutable_members(0)->clear_clock_offset();
  const std::string text = ClusterText(view);
  EXPECT_NE(text.find("1     10.0.0.1:7400  voter  yes  1      -    -      -"), std::string::npos)
      << text;
  EXPECT_NE(text.find("1 shards have no leader that this node knows of\n"), std::string::npos)
      << text;
}

TEST(ClusterJson, HasEverything) {
  const nlohmann::json json = ClusterJson(View());
  EXPECT_EQ(json["version"], 3);
  EXPECT_EQ(json["leaders"], nlohmann::json({1, 0}));
  EXPECT_EQ(json["warnings"], nlohmann::json({"clocks"}));
  EXPECT_EQ(json["shards"][0]["leader"], 1);
  EXPECT_EQ(json["shards"][0]["commit_index"], 99);
  EXPECT_EQ(json["shards"][0]["health"], "degraded");
  EXPECT_EQ(json["shards"][1]["health"], "no_leader");
  const nlohmann::json& up = json["members"][0];
  EXPECT_EQ(up["state"], "voter");
  EXPECT_EQ(up["connected"], true);
  EXPECT_EQ(up["leads"], 1);
  EXPECT_EQ(up["lag"], 9);
  EXPECT_EQ(up["clock_offset"], "0");
  EXPECT_EQ(up["status"]["version"], "0.1.0");
  EXPECT_EQ(up["status"]["uptime"], "1h2m5.5s");
  EXPECT_EQ(up["status"]["disk_free_bytes"], uint64_t{150} << 30);
  EXPECT_EQ(up["status"]["replicas"][1]["last_index"], 100);
  EXPECT_EQ(up["status"]["replicas"][1]["lag"], 9);
  const nlohmann::json& away = json["members"][1];
  EXPECT_EQ(away["connected"], false);
  EXPECT_EQ(away["problem"], "connection refused");
  EXPECT_EQ(away["since"], "2027-01-15T08:00:00.000Z");
  EXPECT_FALSE(away.contains("status"));
  EXPECT_FALSE(away.contains("clock_offset"));
}

}  // namespace
}  // namespace holdfast
