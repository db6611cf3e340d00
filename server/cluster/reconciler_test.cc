#include "server/cluster/reconciler.h"

#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

using Nodes = std::set<NodeId>;
using Kind = raft::ConfigStep::Kind;

ReplicaId Replica(uint64_t node) { return ReplicaId(100 + node); }

MembersView Table(const std::vector<uint64_t>& nodes) {
  MembersView view;
  view.version = 1;
  for (const uint64_t node : nodes) {
    view.members[NodeId(node)] = {
        .node = NodeId(node), .disk = DiskId(100 + node), .address = "a:" + std::to_string(node)};
  }
  return view;
}

// Of a leader on node 1 that has 5000 entries; `behind` lack most of them.
raft::Status Leader(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& learners = {},
                    const Nodes& behind = {}) {
  raft::Status status;
  status.id = Replica(1);
  const auto add = [&](uint64_t node, bool learner) {
    raft::Progress progress;
    progress.match = LogIndex(behind.contains(NodeId(node)) ? 5 : 5000);
    progress.state = raft::ProgressState::kReplicate;
    progress.learner = learner;
    status.progress.emplace_back(Replica(node), progress);
    auto& group = learner ? status.configuration.learners : status.configuration.voters;
    group.push_back(Replica(node));
  };
  for (const uint64_t node : voters) add(node, false);
  for (const uint64_t node : learners) add(node, true);
  return status;
}

Nodes Up(const std::vector<uint64_t>& nodes) {
  Nodes up;
  for (const uint64_t node : nodes) up.insert(NodeId(node));
  return up;
}

GroupStep Step(Kind kind, uint64_t node) {
  return {.change = raft::ConfigStep{.kind = kind, .replica = Replica(node)}, .hand_over_to = {}};
}

TEST(Reconciler, NothingIsDoneWhereNothingIsToBeDone) {
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), Table({1, 2, 3}), Up({1, 2, 3})), GroupStep());
  MembersView none = Table({1});
  none.version = 0;
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), none, Up({1, 2, 3})), GroupStep()) << "there is no table";
}

TEST(Reconciler, ANodeLearnsAndVotesWhenItHasCaughtUp) {
  const MembersView table = Table({1, 2, 3, 4});
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), table, Up({1, 2, 3})), GroupStep()) << "not there yet";
  const Nodes up = Up({1, 2, 3, 4});
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), table, up), Step(Kind::kAddLearner, 4));
  EXPECT_EQ(NextStep(Leader({1, 2, 3}, {4}, Up({4})), table, up), GroupStep());
  EXPECT_EQ(NextStep(Leader({1, 2, 3}, {4}), table, up), Step(Kind::kAddVoter, 4));
  EXPECT_EQ(NextStep(Leader({1, 2, 3}, {4}), table, Up({1, 4})), GroupStep())
      << "two of four would be no majority";
  MembersView learner = table;
  learner.members[NodeId(4)].state = MemberState::kLearner;
  EXPECT_EQ(NextStep(Leader({1, 2, 3}, {4}), learner, up), GroupStep());
}

TEST(Reconciler, ANodeIsRemovedWhenTheOthersAreAMajority) {
  MembersView table = Table({1, 2, 3});
  table.members[NodeId(3)].state = MemberState::kLeaving;
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), table, Up({1, 2, 3})), Step(Kind::kRemove, 3));
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), table, Up({1, 2})), Step(Kind::kRemove, 3));
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), table, Up({1, 3})), GroupStep());
  EXPECT_EQ(NextStep(Leader({1, 2, 3}, {}, Up({2})), table, Up({1, 2, 3})), GroupStep())
      << "node 2 lacks what node 3 has";
  EXPECT_EQ(NextStep(Leader({1, 2}, {3}), table, Up({1})), Step(Kind::kRemove, 3));
}

TEST(Reconciler, ALeaderThatIsToGoHandsOver) {
  MembersView table = Table({1, 2, 3});
  table.members[NodeId(1)].state = MemberState::kLeaving;
  const GroupStep step = NextStep(Leader({1, 2, 3}, {}, Up({2})), table, Up({1, 2, 3}));
  EXPECT_EQ(step, GroupStep()) << "one healthy voter of two would stay";
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), table, Up({1, 2, 3})).hand_over_to, Replica(2));
}

TEST(Reconciler, AReplacedDiskLeavesBeforeTheNewOneVotes) {
  MembersView table = Table({1, 2, 3});
  table.members[NodeId(3)].disk = DiskId();
  EXPECT_EQ(NextStep(Leader({1, 2, 3}), table, Up({1, 2})), Step(Kind::kRemove, 3));
  table.members[NodeId(3)].disk = DiskId(900);
  const GroupStep step = NextStep(Leader({1, 2}), table, Up({1, 2, 3}));
  ASSERT_TRUE(step.change.has_value());
  EXPECT_EQ(*step.change, (raft::ConfigStep{Kind::kAddLearner, ReplicaId(900)}));
}

TEST(Reconciler, OneChangeAtATime) {
  raft::Status joint = Leader({1, 2, 3});
  joint.configuration.voters_outgoing = {Replica(1)};
  EXPECT_EQ(NextStep(joint, Table({1, 2}), Up({1, 2})), GroupStep());
  raft::Status handing = Leader({1, 2, 3});
  handing.transferee = Replica(2);
  EXPECT_EQ(NextStep(handing, Table({1, 2}), Up({1, 2})), GroupStep());
}

}  // namespace
}  // namespace holdfast
