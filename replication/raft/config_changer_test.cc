#include "replication/raft/config_changer.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "gtest/gtest.h"
#include "replication/raft/quorum.h"

namespace holdfast::raft {
namespace {

using Ids = std::vector<ReplicaId>;
using Transition = ConfigChange::Transition;

// "1 2 & 1 3 l4 n5 auto": voters, outgoing after the &, learners, next learners.
Configuration Parse(std::string_view text) {
  Configuration c;
  Ids* voters = &c.voters;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    const auto id = [](std::string_view digits) {
      return ReplicaId(std::stoull(std::string(digits)));
    };
    if (word == "&") {
      voters = &c.voters_outgoing;
    } else if (word == "auto") {
      c.auto_leave = true;
    } else if (word[0] == 'l') {
      c.learners.push_back(id(word.substr(1)));
    } else if (word[0] == 'n') {
      c.learners_next.push_back(id(word.substr(1)));
    } else {
      voters->push_back(id(word));
    }
  }
  return c;
}

// "v1 l2 r3 u4": add voter, add learner, remove, update.
ConfigChange Change(std::string_view text, Transition transition = Transition::kAuto) {
  ConfigChange change{.transition = transition, .steps = {}, .context = ""};
  for (size_t at = 0; at < text.size(); at += 3) {
    const char kind = text[at];
    change.steps.push_back({.kind = kind == 'v'   ? ConfigStep::Kind::kAddVoter
                                    : kind == 'l' ? ConfigStep::Kind::kAddLearner
                                    : kind == 'r' ? ConfigStep::Kind::kRemove
                                                  : ConfigStep::Kind::kUpdate,
                            .replica = ReplicaId(static_cast<uint64_t>(text[at + 1] - '0'))});
  }
  return change;
}

struct Case {
  std::string_view before;
  ConfigChange change;
  std::string_view after;
  ChangeFault fault = ChangeFault::kNone;
};

void Expect(const std::vector<Case>& cases) {
  for (size_t i = 0; i < cases.size(); ++i) {
    const ChangedConfiguration changed = ApplyChange(Parse(cases[i].before), cases[i].change);
    EXPECT_EQ(changed.fault, cases[i].fault) << i << ": " << cases[i].before;
    EXPECT_EQ(changed.configuration, Parse(cases[i].after)) << i << ": " << cases[i].before;
  }
}

TEST(ConfigChanger, SimpleChangeMovesOneReplica) {
  Expect({
      {"1", Change("v2"), "1 2"},
      {"1 2", Change("v2"), "1 2"},  // done already
      {"1 2", Change("l3"), "1 2 l3"},
      {"1 2 l3", Change("v3"), "1 2 3"},
      {"1 2 3", Change("l3"), "1 2 l3"},  // demoted at once
      {"1 2 3", Change("r1"), "2 3"},
      {"1 2", Change("r9"), "1 2"},
      {"1 2 l3", Change("r3"), "1 2"},
      {"1 2", Change("u7"), "1 2"},
      {"1 2", Change("v0"), "1 2"},
      {"", Change("v1"), "1"},  // the first of all
  });
}

TEST(ConfigChanger, SimpleChangeIsRefusedWhereItWouldNotBeSafe) {
  Expect({
      {"1", Change("r1"), "1", ChangeFault::kNoVoters},
      {"1", Change("l1"), "1", ChangeFault::kNoVoters},
      {"", Change("l1"), "", ChangeFault::kNoVoters},
      {"1 2 & 1 3", Change("v4"), "1 2 & 1 3", ChangeFault::kJoint},
      {"1 2", Change(""), "1 2", ChangeFault::kNotJoint},
  });
}

TEST(ConfigChanger, SeveralStepsEnterAJointConfiguration) {
  Expect({
      {"1", Change("v2 v3"), "1 2 3 & 1 auto"},
      {"1 2 3", Change("r2 v4"), "1 3 4 & 1 2 3 auto"},
      {"1 2", Change("l2 v3"), "1 3 & 1 2 n2 auto"},
      {"1 2 l3", Change("v3 r2"), "1 3 & 1 2 auto"},
      {"1 2", Change("v3 l4"), "1 2 3 & 1 2 l4 auto"},
      {"1 2", Change("l2 v2"), "1 2 & 1 2 auto"},  // the last step counts
      {"1 2", Change("l2 r2"), "1 & 1 2 auto"},
      {"1 2", Change("v3", Transition::kImplicit), "1 2 3 & 1 2 auto"},
      {"1 2", Change("v3", Transition::kExplicit), "1 2 3 & 1 2"},
      {"1 2", Change("v3 v4", Transition::kExplicit), "1 2 3 4 & 1 2"},
      {"1 2", Change("", Transition::kExplicit), "1 2 & 1 2"},
  });
}

TEST(ConfigChanger, EnteringIsRefusedWhereItWouldNotBeSafe) {
  Expect({
      {"1 2", Change("r1 r2"), "1 2", ChangeFault::kNoVoters},
      {"", Change("v1 v2"), "", ChangeFault::kNoVoters},
      {"1 & 1 2", Change("v3 v4"), "1 & 1 2", ChangeFault::kJoint},
      {"1 & 1 2", Change("", Transition::kExplicit), "1 & 1 2", ChangeFault::kJoint},
  });
}

TEST(ConfigChanger, LeavingKeepsTheIncomingHalfAndMakesTheNextLearners) {
  Expect({
      {"1 3 & 1 2 auto", Change(""), "1 3"},
      {"1 3 & 1 2 n2", Change(""), "1 3 l2"},
      {"1 & 1 2 l4 n2 auto", Change(""), "1 l2 l4"},
      {"1", Change(""), "1", ChangeFault::kNotJoint},
  });
}

TEST(ConfigChanger, InvariantsOfAConfigurationAreKnown) {
  for (const std::string_view valid :
       {"", "1", "1 2 l3", "1 & 2", "1 & 1 2 n2 auto", "1 2 & 1 2 l3"}) {
    EXPECT_TRUE(IsValid(Parse(valid))) << valid;
  }
  for (const std::string_view invalid : {"2 1", "1 1", "0 1", "1 l1", "1 & 2 l2", "1 n1", "1 auto",
                                         "1 & 2 n1", "1 2 & 1 2 n2", "& 1", "1 l3 l2"}) {
    EXPECT_FALSE(IsValid(Parse(invalid))) << invalid;
  }
}

// Whether every set of replicas that decides by `a` shares one with each that decides by `b`.
bool QuorumsOverlap(const Configuration& a, const Configuration& b) {
  const auto decides = [](const Configuration& c, unsigned set) {
    const auto half = [set](const Ids& voters) {
      VoteCount count{.voters = voters.size()};
      for (const ReplicaId id : voters) count.granted += set >> id.value() & 1;
      count.refused = count.voters - count.granted;
      return count;
    };
    return ResultOf(half(c.voters), half(c.voters_outgoing)) == VoteResult::kWon;
  };
  for (unsigned s = 0; s < 64; s += 2) {
    for (unsigned t = 0; t < 64; t += 2) {
      if ((s & t) == 0 && decides(a, s) && decides(b, t)) return false;
    }
  }
  return true;
}

TEST(ConfigChanger, AnyChangeThatFitsKeepsInvariantsAndOverlappingQuorums) {
  Prng random(7);
  Configuration c = Parse("1");
  for (int i = 0; i < 20'000; ++i) {
    ConfigChange change;
    change.transition = static_cast<Transition>(random.Below(3));
    const uint64_t steps = random.Below(4);
    for (uint64_t s = 0; s < steps; ++s) {
      change.steps.push_back({.kind = static_cast<ConfigStep::Kind>(random.Below(4)),
                              .replica = ReplicaId(random.Between(1, 5))});
    }
    const ChangedConfiguration changed = ApplyChange(c, change);
    ASSERT_TRUE(IsValid(changed.configuration));
    ASSERT_TRUE(QuorumsOverlap(c, changed.configuration));
    if (changed.fault != ChangeFault::kNone) {
      ASSERT_EQ(changed.configuration, c);
    }
    c = changed.configuration;
  }
}

}  // namespace
}  // namespace holdfast::raft
