// Replication as a whole, in both ways of writing.

#include "replication/raft/core.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/testing/core_cluster.h"

namespace holdfast::raft {
namespace {

using Mode = Core::WriteMode;

class BothModes : public testing::TestWithParam<Mode> {
 protected:
  static CoreCluster Cluster(int voters) {
    return CoreCluster(voters, 0, [](Core::Options* o) { o->write_mode = GetParam(); });
  }
};

TEST_P(BothModes, WhoAsksFirstLeadsAndWhatItTakesIsAppliedByAll) {
  CoreCluster cluster = Cluster(3);
  cluster.Elect(2);
  EXPECT_EQ(cluster.Propose(2, "a"), ProposeResult::kOk);
  EXPECT_EQ(cluster.Propose(2, "b"), ProposeResult::kOk);
  cluster.Settle();
  cluster.Tick(2, 1);
  cluster.Settle();
  for (const uint64_t id : {1, 2, 3}) {
    EXPECT_EQ(cluster.replica(id).applied, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(cluster.core(id).leader(), ReplicaId(2));
  }
}

TEST_P(BothModes, OneVoterAloneCommits) {
  CoreCluster cluster = Cluster(1);
  cluster.Elect(1);
  cluster.Propose(1, "a");
  cluster.Settle();
  EXPECT_EQ(cluster.replica(1).applied, (std::vector<std::string>{"a"}));
}

INSTANTIATE_TEST_SUITE_P(Modes, BothModes, testing::Values(Mode::kApart, Mode::kTogether),
                         [](const auto& info) {
                           return info.param == Mode::kApart ? "Apart" : "Together";
                         });

}  // namespace
}  // namespace holdfast::raft
