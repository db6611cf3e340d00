#include "server/cluster/member_change.h"

#include <set>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

using Kind = MemberChange::Kind;
using Nodes = std::set<NodeId>;

ClusterMember Member(uint64_t node, MemberState state = MemberState::kVoter) {
  return {.node = NodeId(node),
          .disk = DiskId(100 + node),
          .address = "10.0.0." + std::to_string(node) + ":7400",
          .state = state};
}

MembersView Three() {
  MembersView view = ViewOf({Member(1), Member(2), Member(3)});
  view.version = 5;
  return view;
}

const Nodes kAllUp = {NodeId(1), NodeId(2), NodeId(3), NodeId(4)};

MembersView Must(const MembersView& now, const MemberChange& change, const Nodes& up = kAllUp) {
  const absl::StatusOr<MembersView> next = Changed(now, change, up);
  EXPECT_TRUE(next.ok()) << next.status();
  return next.value_or(MembersView());
}

// Why it is refused.
std::string Refusal(const MembersView& now, const MemberChange& change, const Nodes& up = kAllUp) {
  const absl::StatusOr<MembersView> next = Changed(now, change, up);
  EXPECT_TRUE(absl::IsFailedPrecondition(next.status())) << next.status();
  return std::string(next.status().message());
}

bool Says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

MemberChange Add(uint64_t node, const std::string& address) {
  return {.kind = Kind::kAdd, .node = NodeId(node), .address = address};
}
MemberChange Remove(uint64_t node) { return {.kind = Kind::kRemove, .node = NodeId(node)}; }
MemberChange Join(uint64_t node, uint64_t disk) {
  return {
      .kind = Kind::kJoin, .node = NodeId(node), .address = "10.0.0.4:7400", .disk = DiskId(disk)};
}

TEST(MemberChange, EachIsOnceAVersionAndMayBeRepeated) {
  const MemberChange add = Add(4, "10.0.0.4:7400");
  const MembersView invited = Must(Three(), add);
  EXPECT_EQ(invited.version, 6u);
  EXPECT_EQ(invited.Find(NodeId(4))->disk, DiskId());
  EXPECT_EQ(invited.ReplicaOf(NodeId(4)), ReplicaId()) << "nobody knows its disk";
  EXPECT_EQ(Must(invited, add), invited);
  const MembersView joined = Must(invited, Join(4, 104));
  EXPECT_EQ(joined.Find(NodeId(4))->disk, DiskId(104));
  EXPECT_EQ(Must(joined, Join(4, 104)), joined);
  const MembersView leaving = Must(joined, Remove(4));
  EXPECT_EQ(leaving.Find(NodeId(4))->state, MemberState::kLeaving);
  EXPECT_EQ(Must(leaving, Remove(4)), leaving);
  const MemberChange forget = {.kind = Kind::kForget, .node = NodeId(4), .disk = DiskId(104)};
  const MembersView gone = Must(leaving, forget);
  EXPECT_EQ(gone.members, Three().members);
  EXPECT_EQ(gone.version, 9u);
  EXPECT_EQ(Must(gone, forget), gone);
  EXPECT_EQ(Must(gone, Remove(4)), gone);
}

TEST(MemberChange, AnInvitationThatNobodyTookIsWithdrawnAtOnce) {
  const MembersView invited = Must(Three(), Add(4, "10.0.0.4:7400"));
  EXPECT_EQ(Must(invited, Remove(4)).members, Three().members);
}

TEST(MemberChange, RemovalIsRefusedWhenItWouldLoseTheMajority) {
  EXPECT_TRUE(Says(Refusal(Three(), Remove(1), {NodeId(1), NodeId(2)}), "3 cannot be reached"));
  EXPECT_TRUE(Changed(Three(), Remove(3), {NodeId(1), NodeId(2)}).ok()) << "the dead one";
  MembersView one = ViewOf({Member(1)});
  EXPECT_TRUE(Says(Refusal(one, Remove(1)), "only voter"));
  one.members[NodeId(2)] = Member(2, MemberState::kLearner);
  EXPECT_TRUE(Says(Refusal(one, Remove(1)), "only voter"));
  EXPECT_TRUE(Changed(one, Remove(2), {NodeId(1)}).ok()) << "a learner has no vote";
}

TEST(MemberChange, AReplacedDiskIsNotTakenForTheNewOne) {
  const MemberChange replace = {.kind = Kind::kReplace, .node = NodeId(3)};
  EXPECT_TRUE(Says(Refusal(Three(), replace), "is up"));
  const Nodes up = {NodeId(1), NodeId(2)};
  const MembersView next = Must(Three(), replace, up);
  EXPECT_EQ(next.Find(NodeId(3))->disk, DiskId());
  EXPECT_EQ(next.NodeOf(ReplicaId(103)), NodeId()) << "the old replica is nobody";
  EXPECT_EQ(Must(next, replace, up), next);
  EXPECT_TRUE(Says(Refusal(Three(), replace, {NodeId(1)}), "no majority"));
}

TEST(MemberChange, ANodeJoinsWithTheDiskThatIsKnownOrAsInvited) {
  EXPECT_TRUE(Says(Refusal(Three(), Join(4, 104)), "add it first"));
  EXPECT_TRUE(Says(Refusal(Three(), Join(3, 999)), "cluster replace 3"));
  MembersView leaving = Must(Three(), Remove(3));
  EXPECT_TRUE(Says(Refusal(leaving, Join(3, 103)), "being removed"));
}

TEST(MemberChange, AddressesAreOnesAndOfOneNode) {
  EXPECT_TRUE(absl::IsInvalidArgument(Changed(Three(), Add(4, "nowhere"), kAllUp).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Changed(Three(), Add(4, "host:0"), kAllUp).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Changed(Three(), Add(0, "host:1"), kAllUp).status()));
  EXPECT_TRUE(Says(Refusal(Three(), Add(4, "10.0.0.2:7400")), "the address of node 2"));
  EXPECT_TRUE(Says(Refusal(Three(), Add(3, "10.0.0.9:7400")), "is a member already"));
  const MemberChange move = {.kind = Kind::kMove, .node = NodeId(3), .address = "10.0.0.9:7400"};
  EXPECT_EQ(Must(Three(), move).Find(NodeId(3))->address, "10.0.0.9:7400");
}

TEST(MemberChange, ALearnerIsPromoted) {
  MemberChange add = Add(4, "10.0.0.4:7400");
  add.as = MemberState::kLearner;
  const MembersView learns = Must(Three(), add);
  EXPECT_EQ(learns.Find(NodeId(4))->state, MemberState::kLearner);
  const MembersView votes = Must(learns, {.kind = Kind::kPromote, .node = NodeId(4)});
  EXPECT_EQ(votes.Find(NodeId(4))->state, MemberState::kVoter);
}

}  // namespace
}  // namespace holdfast
