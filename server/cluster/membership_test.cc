#include "server/cluster/membership.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

MembersView View(uint64_t version) {
  MembersView view = ViewOf({{.node = NodeId(1), .disk = DiskId(101), .address = "a:1"},
                             {.node = NodeId(2), .disk = DiskId(102), .address = "b:1"}});
  view.version = version;
  return view;
}

void ExpectSays(const absl::Status& status, const std::string& part) {
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find(part), std::string::npos) << status;
}

TEST(Membership, AMemberStaysOneInWhateverStateItIs) {
  MembersView view = View(3);
  for (const MemberState state :
       {MemberState::kVoter, MemberState::kLearner, MemberState::kLeaving}) {
    view.members[NodeId(2)].state = state;
    EXPECT_TRUE(CheckStillMember(view, NodeId(2), DiskId(102)).ok());
  }
}

TEST(Membership, ANodeThatIsNotInTheTableWasRemoved) {
  MembersView view = View(3);
  view.members.erase(NodeId(2));
  const absl::Status status = CheckStillMember(view, NodeId(2), DiskId(102));
  ExpectSays(status, "node 2 was removed from the cluster");
  ExpectSays(status, "0000000000000066 is not in version 3");
  ExpectSays(status, "holdfast cluster add 2 HOST:PORT");
}

TEST(Membership, ANodeThatIsThereWithAnotherDiskOrNoneWasReplaced) {
  MembersView view = View(3);
  for (const DiskId disk : {DiskId(), DiskId(103)}) {
    view.members[NodeId(2)].disk = disk;
    ExpectSays(CheckStillMember(view, NodeId(2), DiskId(102)), "the disk of node 2 was replaced");
  }
}

TEST(Membership, OnlyLaterViewsAreTakenAndTold) {
  Membership membership(View(3));
  std::vector<uint64_t> told;
  membership.Observe([&](const Membership::View& view) { told.push_back(view->version); });
  EXPECT_FALSE(membership.Update(View(2)));
  EXPECT_FALSE(membership.Update(View(3)));
  EXPECT_TRUE(membership.Update(View(5)));
  EXPECT_EQ(membership.Get()->version, 5u);
  EXPECT_EQ(told, (std::vector<uint64_t>{3, 5}));
}

}  // namespace
}  // namespace holdfast
