#include "server/cluster/members_codec.h"

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

MembersView Three() {
  MembersView view = ViewOf(
      {{.node = NodeId(1), .disk = DiskId(0xabc), .address = "a:1"},
       {.node = NodeId(2),
        .disk = DiskId(UINT64_MAX),
        .address = "b:2",
        .state = MemberState::kLearner},
       {.node = NodeId(3), .disk = DiskId(), .address = "c:3", .state = MemberState::kLeaving}});
  view.version = 7;
  return view;
}

// Records in logs and files of data directories have these bytes.
TEST(MembersCodec, TheStoredFormHasNotChanged) {
  EXPECT_EQ(
      EncodeMembers(Three()),
      R"({"format":1,"members":[)"
      R"({"address":"a:1","disk_id":"0000000000000abc","node_id":1,"state":"voter"},)"
      R"({"address":"b:2","disk_id":"ffffffffffffffff","node_id":2,"state":"learner"},)"
      R"({"address":"c:3","disk_id":"0000000000000000","node_id":3,"state":"leaving"}],"version":7})");
}

TEST(MembersCodec, WhatIsWrittenIsRead) {
  for (const MembersView& view : {MembersView(), Three()}) {
    const auto read = DecodeMembers(EncodeMembers(view));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, view);
  }
}

TEST(MembersCodec, AnythingElseIsRefused) {
  const std::string good = EncodeMembers(Three());
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeMembers(good.substr(0, length)).status())) << length;
  }
  for (
      const char* text :
      {"[]", "7", R"({"format":1,"version":1})", R"({"format":0,"version":1,"members":[]})",
       R"({"format":1,"version":-1,"members":[]})", R"({"format":1,"version":1,"members":[7]})",
       R"({"format":1,"version":1,"members":[],"more":1})",
       R"({"format":1,"version":1,"members":[{"address":"a:1","disk_id":"x","node_id":1,"state":"voter"}]})",
       R"({"format":1,"version":1,"members":[{"address":"a:1","disk_id":"1","node_id":0,"state":"voter"}]})",
       R"({"format":1,"version":1,"members":[{"address":"a:1","disk_id":"1","node_id":1,"state":"king"}]})"}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeMembers(text).status())) << text;
  }
  EXPECT_TRUE(
      absl::IsUnimplemented(DecodeMembers(R"({"format":2,"version":1,"members":[]})").status()));
}

}  // namespace
}  // namespace holdfast
