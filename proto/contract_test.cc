// The contracts keep our rules, and nothing that somebody depends on ever goes away.

#include "proto/contract.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;

// One package of ours, with a contract of its own.
struct Contract {
  const char* package;
  const char* descriptor_set;
  const char* golden;
  size_t files_min;
};
constexpr Contract kPublic = {"holdfast.v1", "proto/holdfast/v1/v1_descriptor_set.pb",
                              "proto/testdata/contract.golden", 8};
constexpr Contract kPeer = {"holdfast.peer.v1", "proto/holdfast/peer/v1/peer_descriptor_set.pb",
                            "proto/testdata/peer_contract.golden", 1};

// The files of the package, by its descriptor set.
std::vector<const FileDescriptor*> LoadContract(const Contract& contract, DescriptorPool* pool) {
  FileDescriptorSet set;
  std::ifstream in(contract.descriptor_set, std::ios::binary);
  EXPECT_TRUE(set.ParseFromIstream(&in)) << "cannot read the descriptor set";
  std::vector<const FileDescriptor*> files;
  for (const FileDescriptorProto& proto : set.file()) {
    const FileDescriptor* file = pool->BuildFile(proto);
    EXPECT_NE(file, nullptr) << proto.name();
    if (file != nullptr && file->package() == contract.package) files.push_back(file);
  }
  return files;
}

std::vector<std::string> AllLines(const std::vector<const FileDescriptor*>& files) {
  std::vector<std::string> lines;
  for (const FileDescriptor* file : files) {
    for (std::string& line : ContractLines(*file)) lines.push_back(std::move(line));
  }
  return lines;
}

// Builds one file from a description, with the comments that a parser would have found left out.
const FileDescriptor* Build(DescriptorPool* pool, const FileDescriptorProto& proto) {
  const FileDescriptor* file = pool->BuildFile(proto);
  EXPECT_NE(file, nullptr);
  return file;
}

class ContractOf : public testing::TestWithParam<Contract> {};
INSTANTIATE_TEST_SUITE_P(Packages, ContractOf, testing::Values(kPublic, kPeer));

TEST_P(ContractOf, EveryFileKeepsTheRules) {
  DescriptorPool pool;
  const auto files = LoadContract(GetParam(), &pool);
  ASSERT_GE(files.size(), GetParam().files_min);
  for (const FileDescriptor* file : files) {
    for (const std::string& breach : RuleBreaches(*file)) {
      ADD_FAILURE() << file->name() << ": " << breach;
    }
  }
}

TEST_P(ContractOf, NothingOfTheGoldenFileIsGoneAndNothingIsMissingInIt) {
  DescriptorPool pool;
  const std::vector<std::string> lines = AllLines(LoadContract(GetParam(), &pool));
  std::ifstream in(GetParam().golden);
  std::set<std::string> golden;
  for (std::string line; std::getline(in, line);) golden.insert(line);
  const std::set<std::string> present(lines.begin(), lines.end());
  for (const std::string& line : golden) {
    EXPECT_TRUE(present.count(line)) << "removed or changed, which breaks somebody: " << line;
  }
  std::ostringstream added;
  for (const std::string& line : lines) {
    if (golden.count(line) == 0) added << line << "\n";
  }
  EXPECT_EQ(added.str(), "") << "new: append these lines to " << GetParam().golden;
}

TEST(Contract, UncommentedAndMisnamedThingsAreBreaches) {
  FileDescriptorProto proto;
  proto.set_name("bad.proto");
  proto.set_syntax("proto3");
  auto* message = proto.add_message_type();
  message->set_name("M");
  auto* field = message->add_field();
  field->set_name("badName");
  field->set_number(3);
  field->set_type(google::protobuf::FieldDescriptorProto::TYPE_INT32);
  field->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
  auto* type = proto.add_enum_type();
  type->set_name("JobKind");
  auto* value = type->add_value();
  value->set_name("NONE");
  value->set_number(0);
  DescriptorPool pool;
  const auto breaches = RuleBreaches(*Build(&pool, proto));
  const std::vector<std::string> expected = {
      "M: has no comment",
      "M.badName: has no comment",
      "M.badName: is not lower_snake_case",
      "M: number 1 is neither used nor reserved",
      "M: number 2 is neither used nor reserved",
      "JobKind: has no comment",
      "JobKind: its zero is not JOB_KIND_UNSPECIFIED",
      "NONE: has no comment",
      "NONE: does not start with JOB_KIND_",
  };
  EXPECT_EQ(breaches, expected);
}

TEST(Contract, RpcDetailsAreThoseOfThePublicApi) {
  FileDescriptorSet set;
  std::ifstream in("proto/google/rpc/rpc_descriptor_set.pb", std::ios::binary);
  ASSERT_TRUE(set.ParseFromIstream(&in));
  DescriptorPool pool;
  for (const FileDescriptorProto& proto : set.file()) ASSERT_NE(pool.BuildFile(proto), nullptr);
  std::vector<std::string> lines;
  for (const char* name : {"google/rpc/status.proto", "google/rpc/error_details.proto"}) {
    const FileDescriptor* file = pool.FindFileByName(name);
    ASSERT_NE(file, nullptr) << name;
    EXPECT_EQ(RuleBreaches(*file), std::vector<std::string>());
    for (std::string& line : ContractLines(*file)) lines.push_back(std::move(line));
  }
  const std::vector<std::string> expected = {
      "message google.rpc.Status",
      "field google.rpc.Status 1 int32 code",
      "field google.rpc.Status 2 string message",
      "field google.rpc.Status 3 repeated google.protobuf.Any details",
      "message google.rpc.RetryInfo",
      "field google.rpc.RetryInfo 1 google.protobuf.Duration retry_delay",
      "message google.rpc.ErrorInfo",
      "field google.rpc.ErrorInfo 1 string reason",
      "field google.rpc.ErrorInfo 2 string domain",
      "field google.rpc.ErrorInfo 3 map<string,string> metadata",
      "message google.rpc.BadRequest",
      "field google.rpc.BadRequest 1 repeated google.rpc.BadRequest.FieldViolation "
      "field_violations",
      "message google.rpc.BadRequest.FieldViolation",
      "field google.rpc.BadRequest.FieldViolation 1 string field",
      "field google.rpc.BadRequest.FieldViolation 2 string description",
  };
  EXPECT_EQ(lines, expected);
}

}  // namespace
}  // namespace holdfast
