// How much is sent ahead to a follower, and what makes a stopped stream go on.

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/core.h"
#include "replication/raft/testing/lone_core.h"

namespace holdfast::raft {
namespace {

// A leader of two, whose follower has everything and is sent to ahead.
LoneCore Streaming(const LoneCore::Adjust& adjust) {
  LoneCore lone({1, 2}, {}, adjust);
  lone.Lead();
  lone.Step(AppendResponseFrom(2, 1, 1));
  lone.Settle();
  lone.Sent();
  return lone;
}

size_t ProposeAndCount(LoneCore* lone, int proposals, size_t bytes) {
  for (int i = 0; i < proposals; ++i) lone->Propose(std::string(bytes, 'x'));
  lone->Settle();
  return lone->Sent(MessageType::kAppend).size();
}

TEST(FlowControl, WindowIsFullByMessages) {
  LoneCore lone = Streaming([](Core::Options* o) { o->inflight_messages_max = 4; });
  EXPECT_EQ(ProposeAndCount(&lone, 20, 1), 4u);
  EXPECT_TRUE(lone.progress(2).inflight_full);
  EXPECT_TRUE(lone.progress(2).append_paused);
}

TEST(FlowControl, WindowIsFullByBytes) {
  LoneCore lone = Streaming([](Core::Options* o) {
    o->inflight_bytes_max = 100;
    o->message_bytes_max = 100;
  });
  EXPECT_EQ(ProposeAndCount(&lone, 20, 30), 4u);
  EXPECT_TRUE(lone.progress(2).inflight_full);
}

TEST(FlowControl, AnswersOpenTheWindowByWhatTheyCover) {
  LoneCore lone = Streaming([](Core::Options* o) { o->inflight_messages_max = 4; });
  ProposeAndCount(&lone, 4, 1);
  EXPECT_EQ(ProposeAndCount(&lone, 4, 1), 0u);
  lone.Step(AppendResponseFrom(2, 1, 3));  // two of the four
  lone.Settle();
  // What has gathered goes in one message; the next proposal fills the window.
  const std::vector<Message> sent = lone.Sent(MessageType::kAppend);
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].entries.size(), 4u);
  EXPECT_EQ(lone.progress(2).next, LogIndex(10));
}

TEST(FlowControl, OldAnswersDoNotOpenTheWindow) {
  LoneCore lone = Streaming([](Core::Options* o) { o->inflight_messages_max = 2; });
  ProposeAndCount(&lone, 4, 1);
  lone.Step(AppendResponseFrom(2, 1, 1));
  EXPECT_TRUE(lone.progress(2).inflight_full);
}

TEST(FlowControl, HeartbeatAnsweredWithAFullWindowIsFollowedByOneEmptyAppend) {
  LoneCore lone = Streaming([](Core::Options* o) { o->inflight_messages_max = 2; });
  ProposeAndCount(&lone, 4, 1);
  for (int round = 0; round < 3; ++round) {
    lone.Step(MessageFrom(2, 1, MessageType::kHeartbeatResponse));
    lone.Settle();
    const std::vector<Message> sent = lone.Sent(MessageType::kAppend);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_TRUE(sent[0].entries.empty());
    EXPECT_EQ(sent[0].index, LogIndex(3));
  }
}

TEST(FlowControl, WindowThatWasLostIsFoundOutByTheRefusalOfTheEmptyAppend) {
  LoneCore lone = Streaming([](Core::Options* o) { o->inflight_messages_max = 2; });
  ProposeAndCount(&lone, 4, 1);
  lone.Step(RefusalFrom(2, 1, 3, At(1, 1)));
  lone.Settle();
  const std::vector<Message> sent = lone.Sent(MessageType::kAppend);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].index, LogIndex(1));
  EXPECT_EQ(sent[0].entries.size(), 4u);
  EXPECT_EQ(lone.progress(2).state, ProgressState::kProbe);
}

TEST(FlowControl, ProbingSendsOneAppendAHeartbeat) {
  LoneCore lone({1, 2});
  lone.Lead();
  EXPECT_EQ(lone.progress(2).state, ProgressState::kProbe);
  EXPECT_EQ(ProposeAndCount(&lone, 10, 1), 0u);  // one is under way since it was elected
  for (int round = 0; round < 3; ++round) {
    lone.Tick(1);
    lone.Step(MessageFrom(2, 1, MessageType::kHeartbeatResponse));
    EXPECT_EQ(ProposeAndCount(&lone, 10, 1), 1u);
  }
  lone.Step(AppendResponseFrom(2, 1, 0));
  EXPECT_EQ(lone.progress(2).state, ProgressState::kReplicate);
}

TEST(FlowControl, UnreachablePeerIsProbed) {
  LoneCore lone = Streaming({});
  ProposeAndCount(&lone, 3, 1);
  lone.core().ReportUnreachable(ReplicaId(2));
  EXPECT_EQ(lone.progress(2).state, ProgressState::kProbe);
  EXPECT_EQ(lone.progress(2).next, LogIndex(2));
  lone.core().ReportUnreachable(ReplicaId(77));  // nobody
}

TEST(FlowControl, NoMessageIsLargerThanTheLimitButForOneLargeEntry) {
  LoneCore lone = Streaming([](Core::Options* o) { o->message_bytes_max = 100; });
  lone.core().ReportUnreachable(ReplicaId(2));
  ProposeAndCount(&lone, 1, 1000);  // probed with it, nothing more is sent
  ProposeAndCount(&lone, 9, 20);
  lone.Step(AppendResponseFrom(2, 1, 2));
  lone.Settle();
  size_t entries = 0;
  for (const Message& message : lone.Sent(MessageType::kAppend)) {
    uint64_t bytes = 0;
    for (const Entry& entry : message.entries) bytes += entry.size_bytes();
    EXPECT_LE(bytes, 100u);
    entries += message.entries.size();
  }
  EXPECT_EQ(entries, 9u);
}

TEST(FlowControl, PeerThatCatchesUpIsSentAllThatItLacksAtOnce) {
  LoneCore lone({1, 2}, {}, [](Core::Options* o) { o->message_bytes_max = 50; });
  lone.Lead();
  ProposeAndCount(&lone, 30, 40);
  lone.Step(AppendResponseFrom(2, 1, 1));
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kAppend).size(), 30u);
  EXPECT_EQ(lone.progress(2).next, LogIndex(32));
}

TEST(FlowControl, ProbeIsNotRepeatedForAnOldRefusal) {
  LoneCore lone({1, 2}, {1, 1, 1, 1});
  lone.Lead();
  lone.Step(RefusalFrom(2, 2, 4, At(1, 2)));
  lone.Settle();
  EXPECT_EQ(lone.Sent(MessageType::kAppend).size(), 1u);
  lone.Step(RefusalFrom(2, 2, 4, At(1, 2)));
  lone.Settle();
  EXPECT_TRUE(lone.Sent(MessageType::kAppend).empty());
}

}  // namespace
}  // namespace holdfast::raft
