#include "server/cluster/cluster_status.h"

#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr uint64_t kCommit = 5000;

// Three voters, of two shards that are led by 1 and 2; everybody has applied everything.
class ClusterStatusTest : public ::testing::Test {
 protected:
  ClusterStatusTest() {
    view_.set_node_id(1);
    for (uint64_t node = 1; node <= 3; ++node) {
      v1::Member* const member = view_.add_members();
      member->set_node_id(node);
      member->set_disk_id(100 + node);
      member->set_state(v1::MEMBER_STATE_VOTER);
      peer::v1::NodeReport* const report = node == 1 ? &own_ : &Heard(node).report;
      report->set_node_id(node);
      report->mutable_status()->set_version("0.1.0");
      for (uint32_t shard = 0; shard < 2; ++shard) {
        v1::ReplicaStatus* const replica = report->mutable_status()->add_replicas();
        replica->set_shard(shard);
        replica->set_leading(node == shard + 1);
        replica->set_votes(true);
        replica->set_term(7);
        replica->set_applied_index(kCommit);
        replica->set_commit_index(kCommit);
        replica->set_last_index(kCommit);
      }
    }
    view_.add_leaders(1);
    view_.add_leaders(2);
  }

  ClusterMonitor::Heard& Heard(uint64_t node) { return others_[NodeId(node)]; }
  v1::ReplicaStatus* Replica(uint64_t node, int shard) {
    return Heard(node).report.mutable_status()->mutable_replicas(shard);
  }
  void Lose(uint64_t node, const std::string& why) {
    Heard(node) = {.status = absl::DeadlineExceededError(why), .report = {}, .clock = {}};
  }
  const v1::ClusterView& Fill() {
    FillStatus(own_, others_, &view_);
    return view_;
  }
  std::vector<v1::ShardHealth> Health() {
    std::vector<v1::ShardHealth> health;
    for (const v1::ShardStatus& shard : Fill().shards()) health.push_back(shard.health());
    return health;
  }

  v1::ClusterView view_;
  peer::v1::NodeReport own_;
  ClusterMonitor::Reports others_;
};

using Healths = std::vector<v1::ShardHealth>;
constexpr v1::ShardHealth kOk = v1::SHARD_HEALTH_OK;
constexpr v1::ShardHealth kDegraded = v1::SHARD_HEALTH_DEGRADED;
constexpr v1::ShardHealth kNoLeader = v1::SHARD_HEALTH_NO_LEADER;

TEST_F(ClusterStatusTest, AllIsWell) {
  EXPECT_EQ(Health(), (Healths{kOk, kOk}));
  EXPECT_EQ(view_.shards(0).leader(), 1u);
  EXPECT_EQ(view_.shards(1).leader(), 2u);
  EXPECT_EQ(view_.shards(1).shard(), 1u);
  EXPECT_EQ(view_.shards(1).commit_index(), kCommit);
  EXPECT_EQ(view_.members(2).status().version(), "0.1.0");
  EXPECT_EQ(view_.warnings_size(), 0);
}

TEST_F(ClusterStatusTest, AReplicaThatIsFarBehindDegradesItsShard) {
  Replica(3, 1)->set_applied_index(kCommit - 1001);
  Replica(3, 0)->set_applied_index(kCommit - 1000);
  EXPECT_EQ(Health(), (Healths{kOk, kDegraded}));
  EXPECT_EQ(view_.members(2).status().replicas(1).lag(), 1001u);
  EXPECT_EQ(view_.members(2).status().replicas(0).lag(), 1000u);
  EXPECT_EQ(view_.members(1).status().replicas(1).lag(), 0u);
}

// The two are not of one moment.
TEST_F(ClusterStatusTest, AReplicaThatHasAppliedMoreThanItsLeaderToldDoesNotLag) {
  Replica(3, 0)->set_applied_index(kCommit + 10);
  Fill();
  EXPECT_EQ(view_.members(2).status().replicas(0).lag(), 0u);
}

TEST_F(ClusterStatusTest, ANodeThatDoesNotAnswerDegradesAllAndStopsWhatItLed) {
  Lose(2, "no answer");
  EXPECT_EQ(Health(), (Healths{kDegraded, kNoLeader}));
  EXPECT_FALSE(view_.members(1).has_status());
  EXPECT_FALSE(view_.members(1).has_clock_offset());
  EXPECT_EQ(view_.members(1).problem(), "no answer");
  EXPECT_EQ(view_.shards(1).leader(), 0u);
  EXPECT_EQ(view_.shards(1).commit_index(), 0u);
}

TEST_F(ClusterStatusTest, TheProblemOfTheConnectionIsKept) {
  view_.mutable_members(1)->set_problem("connection refused");
  Lose(2, "no answer");
  Fill();
  EXPECT_EQ(view_.members(1).problem(), "connection refused");
}

TEST_F(ClusterStatusTest, ALeaderOfAnOlderTermIsNone) {
  v1::ReplicaStatus* const old = Replica(3, 1);
  old->set_leading(true);
  old->set_term(6);
  old->set_commit_index(kCommit - 100);
  Fill();
  EXPECT_EQ(view_.shards(1).leader(), 2u);
  EXPECT_EQ(view_.shards(1).commit_index(), kCommit);
}

TEST_F(ClusterStatusTest, AMemberIsToVoteUnlessItIsALearnerOrLeaves) {
  Replica(3, 0)->set_votes(false);
  EXPECT_EQ(Health(), (Healths{kDegraded, kOk}));
  for (const v1::MemberState state : {v1::MEMBER_STATE_LEARNER, v1::MEMBER_STATE_LEAVING}) {
    view_.mutable_members(2)->set_state(state);
    view_.clear_shards();
    EXPECT_EQ(Health(), (Healths{kOk, kOk})) << state;
  }
}

TEST_F(ClusterStatusTest, AShardThatAMemberHasNoCopyOfIsDegraded) {
  Heard(3).report.mutable_status()->mutable_replicas()->RemoveLast();
  EXPECT_EQ(Health(), (Healths{kOk, kDegraded}));
}

TEST_F(ClusterStatusTest, ClocksAreToldAndWarnedOf) {
  Heard(2).clock = {.micros = -1'500'000, .uncertainty_micros = 200};
  Heard(3).clock = {.micros = 100'000, .uncertainty_micros = 300};
  Fill();
  EXPECT_EQ(view_.members(1).clock_offset().seconds(), -1);
  EXPECT_EQ(view_.members(1).clock_offset().nanos(), -500'000'000);
  EXPECT_EQ(view_.members(1).clock_uncertainty().nanos(), 200'000);
  EXPECT_EQ(view_.members(0).clock_offset().nanos(), 0);
  ASSERT_EQ(view_.warnings_size(), 1);
  EXPECT_EQ(view_.warnings(0),
            "the clock of node 3 is 1.600 s ahead of that of node 2: see that both are "
            "synchronized");
}

TEST_F(ClusterStatusTest, TheClockOfWhoDoesNotAnswerIsNotKnown) {
  Lose(2, "no answer");
  Heard(2).clock = {.micros = 900'000, .uncertainty_micros = 0};
  EXPECT_EQ(Fill().warnings_size(), 0);
}

TEST_F(ClusterStatusTest, TextsOfClocks) {
  EXPECT_EQ(ClockText(NodeId(2), {.micros = 1'204'000, .uncertainty_micros = 1}),
            "the clock of node 2 is 1.204 s ahead");
  EXPECT_EQ(ClockText(NodeId(3), {.micros = -700'000, .uncertainty_micros = 1}),
            "the clock of node 3 is 0.700 s behind");
}

}  // namespace
}  // namespace holdfast
