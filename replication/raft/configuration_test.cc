#include "replication/raft/configuration.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace holdfast::raft {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

// Of FORMAT.md. These bytes are in logs: they may be added to, never changed.
const ConfigChange kChange{.transition = ConfigChange::Transition::kExplicit,
                           .steps = {{ConfigStep::Kind::kAddVoter, ReplicaId(0x0807060504030201)},
                                     {ConfigStep::Kind::kAddLearner, ReplicaId(2)}},
                           .context = "node 7"};
const std::string kChangeBytes =
    "\x01\x02\x02"
    "\x00\x01\x02\x03\x04\x05\x06\x07\x08"
    "\x03\x02\x00\x00\x00\x00\x00\x00\x00"
    "\x06node 7"s;

const Configuration kJoint{.voters = {ReplicaId(1), ReplicaId(3)},
                           .voters_outgoing = {ReplicaId(1), ReplicaId(2)},
                           .learners = {},
                           .learners_next = {ReplicaId(2)},
                           .auto_leave = true};
const std::string kJointBytes =
    "\x01\x01"
    "\x02\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"
    "\x02\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"
    "\x00"
    "\x01\x02\x00\x00\x00\x00\x00\x00\x00"s;

TEST(Configuration, BytesOfAChangeAreThoseOfTheFormat) {
  EXPECT_EQ(EncodeConfigChange(kChange), kChangeBytes);
  EXPECT_EQ(DecodeConfigChange(kChangeBytes), kChange);
}

TEST(Configuration, BytesOfAConfigurationAreThoseOfTheFormat) {
  EXPECT_EQ(EncodeConfiguration(kJoint), kJointBytes);
  EXPECT_EQ(DecodeConfiguration(kJointBytes), kJoint);
}

TEST(Configuration, EmptyChangeHasNoBytes) {
  EXPECT_EQ(EncodeConfigChange({}), "");
  EXPECT_EQ(DecodeConfigChange(""), ConfigChange());
}

TEST(Configuration, EmptyChangeWithContextHasBytes) {
  ConfigChange change;
  change.context = "why";
  EXPECT_EQ(DecodeConfigChange(EncodeConfigChange(change)), change);
}

TEST(Configuration, EmptyConfigurationIsItsOwn) {
  EXPECT_EQ(DecodeConfiguration(EncodeConfiguration({})), Configuration());
}

TEST(Configuration, NoPrefixAndNothingLongerIsTakenForIt) {
  for (size_t n = 1; n < kChangeBytes.size(); ++n) {
    EXPECT_FALSE(DecodeConfigChange(kChangeBytes.substr(0, n)).has_value()) << n;
  }
  EXPECT_FALSE(DecodeConfigChange(kChangeBytes + "x").has_value());
  for (size_t n = 0; n < kJointBytes.size(); ++n) {
    EXPECT_FALSE(DecodeConfiguration(kJointBytes.substr(0, n)).has_value()) << n;
  }
  EXPECT_FALSE(DecodeConfiguration(kJointBytes + "x").has_value());
}

TEST(Configuration, WhatWouldNotBeWrittenIsRefused) {
  for (const std::string_view change : {
           "\x02\x00\x00\x00"sv,          // another version
           "\x01\x03\x00\x00"sv,          // no such transition
           "\x01\x00\x00\x00"sv,          // the empty change, in more than no bytes
           "\x01\x01\x80\x00\x00"sv,      // a number in more bytes than it needs
           "\x01\x01\xff\xff\xff\x7f"sv,  // more steps than bytes
           "\x01\x01\x01\x04\x01\x00\x00\x00\x00\x00\x00\x00\x00"sv,  // no such kind of step
       }) {
    EXPECT_FALSE(DecodeConfigChange(change).has_value());
  }
  for (const std::string_view configuration : {
           "\x02\x00\x00\x00\x00\x00"sv,  // another version
           "\x01\x02\x00\x00\x00\x00"sv,  // no such flag
           "\x01\x01\x00\x00\x00\x00"sv,  // leaves a joint configuration that it is not
           "\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"sv,  // replica 0
           "\x01\x00\xff\xff\xff\x7f\x00\x00\x00"sv,                      // more voters than bytes
       }) {
    EXPECT_FALSE(DecodeConfiguration(configuration).has_value());
  }
}

}  // namespace
}  // namespace holdfast::raft
