#include "server/cluster/outbox.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

using raft::MessageType;

constexpr NodeId kNode{2};
constexpr NodeId kOther{3};

PeerEnvelope Append(uint32_t shard, uint64_t commit, size_t entries, uint64_t term = 1) {
  PeerEnvelope envelope{.shard = ShardId(shard), .wall_micros = 0, .message = {}};
  envelope.message.type = MessageType::kAppend;
  envelope.message.term = Term(term);
  envelope.message.commit = LogIndex(commit);
  envelope.message.entries.resize(entries);
  envelope.message.may_wait = entries == 0;
  return envelope;
}

PeerEnvelope Answer(uint32_t shard, uint64_t index, bool may_wait, bool reject = false) {
  PeerEnvelope envelope{.shard = ShardId(shard), .wall_micros = 0, .message = {}};
  envelope.message.type = MessageType::kAppendResponse;
  envelope.message.term = Term(1);
  envelope.message.index = LogIndex(index);
  envelope.message.may_wait = may_wait;
  envelope.message.reject = reject;
  return envelope;
}

// What leaves, by node: of each message its shard, its commit or index, and "!" if it is urgent.
std::map<NodeId, std::string> Taken(Outbox* outbox, Outbox::Which which) {
  std::map<NodeId, std::string> taken;
  outbox->Take(which, [&](NodeId to, std::vector<PeerEnvelope> messages) {
    for (const PeerEnvelope& envelope : messages) {
      const raft::Message& message = envelope.message;
      const LogIndex number = message.type == MessageType::kAppend ? message.commit : message.index;
      absl::StrAppend(&taken[to], envelope.shard.value(), ":", number.value(),
                      message.may_wait ? " " : "! ");
    }
  });
  return taken;
}

using ByNode = std::map<NodeId, std::string>;

TEST(Outbox, WhatMayWaitWaitsForWhatGoesToThatNode) {
  Outbox outbox;
  EXPECT_FALSE(outbox.Add(kNode, Append(0, 5, 0)));
  EXPECT_FALSE(outbox.Add(kOther, Append(0, 5, 0)));
  EXPECT_EQ(Taken(&outbox, Outbox::Which::kUrgent), ByNode());
  EXPECT_TRUE(outbox.Add(kNode, Append(1, 7, 2)));
  EXPECT_EQ(Taken(&outbox, Outbox::Which::kUrgent), (ByNode{{kNode, "0:5 1:7! "}}));
  EXPECT_EQ(Taken(&outbox, Outbox::Which::kAll), (ByNode{{kOther, "0:5 "}}));
  EXPECT_EQ(Taken(&outbox, Outbox::Which::kAll), ByNode());
}

TEST(Outbox, ALaterMessageThatTellsTheSameReplacesWhatWaits) {
  Outbox outbox;
  outbox.Add(kNode, Append(0, 5, 0));
  outbox.Add(kNode, Append(0, 6, 0));
  outbox.Add(kNode, Answer(2, 8, true));
  outbox.Add(kNode, Append(0, 6, 3));
  outbox.Add(kNode, Answer(2, 9, false));
  EXPECT_EQ(Taken(&outbox, Outbox::Which::kUrgent), (ByNode{{kNode, "0:6! 2:9! "}}));
}

TEST(Outbox, WhatTellsSomethingElseDoesNotReplaceIt) {
  Outbox outbox;
  outbox.Add(kNode, Append(0, 5, 0));
  outbox.Add(kNode, Append(1, 6, 1));     // another shard
  outbox.Add(kNode, Append(0, 4, 1));     // an earlier commit
  outbox.Add(kNode, Append(0, 6, 1, 2));  // another term
  outbox.Add(kNode, Answer(3, 8, true));
  outbox.Add(kNode, Answer(3, 9, false, true));  // says no
  outbox.Add(kNode, Answer(3, 7, false));        // less
  EXPECT_EQ(Taken(&outbox, Outbox::Which::kUrgent),
            (ByNode{{kNode, "0:5 1:6! 0:4! 0:6! 3:8 3:9! 3:7! "}}));
}

TEST(Outbox, WhatIsToGoAtOnceIsNeverReplaced) {
  Outbox outbox;
  outbox.Add(kNode, Append(0, 5, 1));
  outbox.Add(kNode, Append(0, 6, 1));
  EXPECT_FALSE(outbox.Add(kNode, Append(0, 7, 0)));
  EXPECT_EQ(Taken(&outbox, Outbox::Which::kUrgent), (ByNode{{kNode, "0:5! 0:6! 0:7 "}}));
}

}  // namespace
}  // namespace holdfast
