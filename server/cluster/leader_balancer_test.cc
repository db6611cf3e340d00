#include "server/cluster/leader_balancer.h"

#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr LogIndex kMatch(100);

std::vector<Candidate> Three() {
  // In the order of replicas, which is not that of nodes.
  return {
      {.node = NodeId(3), .replica = ReplicaId(10), .up = true, .caught_up = true, .match = kMatch},
      {.node = NodeId(1), .replica = ReplicaId(20), .up = true, .caught_up = true, .match = kMatch},
      {.node = NodeId(2),
       .replica = ReplicaId(30),
       .up = true,
       .caught_up = true,
       .match = kMatch}};
}

TEST(LeaderBalancer, ShardsTakeTurnsByNode) {
  EXPECT_EQ(PreferredLeader(ShardId(0), Three()), ReplicaId(20));
  EXPECT_EQ(PreferredLeader(ShardId(1), Three()), ReplicaId(30));
  EXPECT_EQ(PreferredLeader(ShardId(2), Three()), ReplicaId(10));
  EXPECT_EQ(PreferredLeader(ShardId(3), Three()), ReplicaId(20));
}

TEST(LeaderBalancer, ShardsOfANodeThatIsDownAreSpreadOverTheOthers) {
  std::vector<Candidate> candidates = Three();
  candidates[1].up = false;
  EXPECT_EQ(PreferredLeader(ShardId(0), candidates), ReplicaId(30));
  EXPECT_EQ(PreferredLeader(ShardId(1), candidates), ReplicaId(10));
  EXPECT_EQ(PreferredLeader(ShardId(2), candidates), ReplicaId(30));
  EXPECT_EQ(PreferredLeader(ShardId(3), candidates), ReplicaId(10));
  for (Candidate& candidate : candidates) candidate.up = false;
  EXPECT_EQ(PreferredLeader(ShardId(0), candidates), ReplicaId());
}

TEST(LeaderBalancer, LeadershipStaysUntilTheOtherHasCaughtUp) {
  std::vector<Candidate> candidates = Three();
  candidates[2].caught_up = false;
  EXPECT_EQ(PreferredLeader(ShardId(1), candidates), ReplicaId());
  EXPECT_EQ(PreferredLeader(ShardId(0), candidates), ReplicaId(20));
}

TEST(LeaderBalancer, SuccessorIsUpAndHasTheMost) {
  std::vector<Candidate> candidates = Three();
  candidates[0].match = LogIndex(101);
  EXPECT_EQ(Successor(ReplicaId(20), candidates), ReplicaId(10));
  candidates[0].caught_up = false;
  EXPECT_EQ(Successor(ReplicaId(20), candidates), ReplicaId(30)) << "it is probed";
  candidates[0].up = false;
  EXPECT_EQ(Successor(ReplicaId(20), candidates), ReplicaId(30));
  candidates[2].up = false;
  EXPECT_EQ(Successor(ReplicaId(20), candidates), ReplicaId()) << "never itself";
}

TEST(LeaderBalancer, CandidatesAreVotersOfKnownNodes) {
  raft::Status status;
  status.id = ReplicaId(10);
  const auto progress = [](uint64_t match, raft::ProgressState state, bool learner) {
    raft::Progress made;
    made.match = LogIndex(match);
    made.state = state;
    made.learner = learner;
    return made;
  };
  using raft::ProgressState;
  status.progress = {{ReplicaId(10), progress(5000, ProgressState::kReplicate, false)},
                     {ReplicaId(20), progress(4968, ProgressState::kReplicate, false)},
                     {ReplicaId(30), progress(4967, ProgressState::kReplicate, false)},
                     {ReplicaId(40), progress(5000, ProgressState::kProbe, false)},
                     {ReplicaId(50), progress(5000, ProgressState::kReplicate, true)},
                     {ReplicaId(60), progress(5000, ProgressState::kReplicate, false)}};
  const auto node_of = [](ReplicaId replica) {
    return replica == ReplicaId(60) ? NodeId() : NodeId(replica.value() / 10);
  };
  const auto is_up = [](NodeId node) { return node != NodeId(1) && node != NodeId(4); };
  const std::vector<Candidate> candidates = CandidatesOf(status, node_of, is_up);
  const std::vector<Candidate> expected = {
      {NodeId(1), ReplicaId(10), true, true, LogIndex(5000)},
      {NodeId(2), ReplicaId(20), true, true, LogIndex(4968)},
      {NodeId(3), ReplicaId(30), true, false, LogIndex(4967)},
      {NodeId(4), ReplicaId(40), false, false, LogIndex(5000)}};
  EXPECT_EQ(candidates, expected);
  status.configuration.voters_outgoing = {ReplicaId(10)};
  EXPECT_TRUE(CandidatesOf(status, node_of, is_up).empty());
}

}  // namespace
}  // namespace holdfast
