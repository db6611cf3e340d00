// Two or three nodes over real gRPC on loopback: what is sent arrives, in order, on the right loop;
// broken connections are told and mended; full queues and slow loops have their stated answers.

#include "replication/transport/peer_transport.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "replication/transport/testing/test_node.h"

namespace holdfast {
namespace {

using Told = TestNode::Told;

constexpr ShardId kEven(2);
constexpr ShardId kOdd(3);

std::shared_ptr<const std::string> Bytes(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

// Two nodes that know one another.
class TwoNodes : public testing::Test {
 protected:
  TwoNodes() : TwoNodes(TestOptions(1), TestOptions(2)) {}
  TwoNodes(TransportOptions a, TransportOptions b)
      : a_(std::make_unique<TestNode>(std::move(a))), b_(std::make_unique<TestNode>(std::move(b))) {
    Connect({a_.get(), b_.get()});
    EXPECT_TRUE(a_->AwaitUp(b_->id()));
    EXPECT_TRUE(b_->AwaitUp(a_->id()));
  }

  void SendFromA(PeerEnvelope envelope) {
    std::vector<PeerEnvelope> messages;
    messages.push_back(std::move(envelope));
    a_->transport()->Send(b_->id(), std::move(messages));
  }
  // Passes a request from a to b and waits for what becomes of it.
  ForwardResult Ask(std::shared_ptr<const std::string> request) {
    ForwardResult result;
    absl::Notification done;
    a_->transport()->Forward(b_->id(), kOdd, std::move(request), [&](ForwardResult got) {
      EXPECT_TRUE(a_->loop(1)->IsCurrent());
      result = std::move(got);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }

  std::unique_ptr<TestNode> a_;
  std::unique_ptr<TestNode> b_;
};

TEST_F(TwoNodes, MessagesArriveWholeInOrderAndOnTheirShardsLoop) {
  std::vector<PeerEnvelope> messages;
  for (uint64_t i = 1; i <= 100; ++i) {
    messages.push_back(Heartbeat(*a_, *b_, i % 2 == 0 ? kEven : kOdd, i));
    messages.push_back(Append(*a_, *b_, i % 2 == 0 ? kEven : kOdd, i, i * 100));
  }
  a_->transport()->Send(b_->id(), messages);
  ASSERT_TRUE(b_->AwaitMessages(200));
  b_->With([&](const Told& told) {
    EXPECT_EQ(told.wrong_loop, 0u);
    // By shard and type the order is the one sent.
    std::map<std::pair<ShardId, raft::MessageType>, uint64_t> last;
    for (const auto& [from, envelope] : told.messages) {
      EXPECT_EQ(from, a_->id());
      const raft::Message& message = envelope.message;
      EXPECT_EQ(message.from, a_->replica());
      EXPECT_EQ(message.to, b_->replica());
      const uint64_t number = message.commit.value();
      EXPECT_EQ(envelope.wall_micros, 1'700'000'000'000'000 + static_cast<int64_t>(number));
      EXPECT_GT(number, (last[{envelope.shard, message.type}]));
      last[{envelope.shard, message.type}] = number;
      if (message.type == raft::MessageType::kAppend) {
        ASSERT_EQ(message.entries.size(), 1u);
        EXPECT_EQ(*message.entries[0].data,
                  std::string(number * 100, static_cast<char>('a' + number % 26)));
      }
    }
  });
}

TEST_F(TwoNodes, HeartbeatsPassALargeEntry) {
  constexpr size_t kBytes = 64 << 20;
  SendFromA(Append(*a_, *b_, kOdd, 1, kBytes));
  // One heartbeat after the other while the entry is on its way.
  uint64_t sent = 0;
  bool entry_came = false;
  while (!entry_came) {
    SendFromA(Heartbeat(*a_, *b_, kEven, ++sent));
    ASSERT_TRUE(b_->Await([&](const Told& told) {
      uint64_t heartbeats = 0;
      for (const auto& [from, envelope] : told.messages) {
        if (envelope.message.type == raft::MessageType::kHeartbeat) ++heartbeats;
        if (envelope.message.type == raft::MessageType::kAppend) entry_came = true;
      }
      return heartbeats == sent;
    }));
  }
  b_->With([&](const Told& told) {
    size_t before = 0;
    while (told.messages[before].second.message.type != raft::MessageType::kAppend) ++before;
    EXPECT_GE(before, 1u);
    RecordProperty("heartbeats_before_the_entry", static_cast<int>(before));
    const auto& entries = told.messages[before].second.message.entries;
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(*entries[0].data, std::string(kBytes, 'b'));
  });
}

TEST_F(TwoNodes, HeartbeatsOfTwoLoopsShareAFrame) {
  const auto frames = [this] { return a_->transport()->Status()[0].sent_frames; };
  // The second may come too late, if this thread is held up for a millisecond between them.
  bool shared = false;
  for (uint64_t i = 1; i <= 100 && !shared; ++i) {
    const uint64_t before = frames();
    SendFromA(Heartbeat(*a_, *b_, kEven, i));
    SendFromA(Heartbeat(*a_, *b_, kOdd, i));
    ASSERT_TRUE(b_->AwaitMessages(2 * i));
    shared = frames() == before + 1;
  }
  EXPECT_TRUE(shared);
}

TEST_F(TwoNodes, SmallAppendsOfOtherShardsPassALargeEntry) {
  SendFromA(Append(*a_, *b_, kOdd, 1, 64 << 20));
  SendFromA(Append(*a_, *b_, kEven, 2, 100));
  ASSERT_TRUE(b_->AwaitMessages(2));
  b_->With([](const Told& told) { EXPECT_EQ(told.messages[0].second.shard, kEven); });
}

TEST_F(TwoNodes, RequestsAreAnsweredWithTheirOwnReplies) {
  constexpr int kRequests = 2000;
  std::atomic<int> right = 0;
  absl::BlockingCounter pending(kRequests);
  for (int i = 0; i < kRequests; ++i) {
    const auto request = Bytes("request " + std::to_string(i));
    const ShardId shard(static_cast<uint32_t>(i) % kTestShards);
    a_->transport()->Forward(b_->id(), shard, request, [&, request](ForwardResult got) {
      if (got.outcome == ForwardOutcome::kReplied && *got.reply == *request) ++right;
      pending.DecrementCount();
    });
  }
  pending.Wait();
  EXPECT_EQ(right, kRequests);
}

TEST_F(TwoNodes, LargeRequestsAndRepliesTravelToo) {
  const auto request = Bytes(std::string(5 << 20, 'x'));
  const ForwardResult result = Ask(request);
  ASSERT_EQ(result.outcome, ForwardOutcome::kReplied);
  EXPECT_EQ(*result.reply, *request);
}

TEST_F(TwoNodes, ARequestWithoutAnAnswerIsUnknown) {
  EXPECT_EQ(Ask(Bytes("drop")).outcome, ForwardOutcome::kUnknown);
}

TEST_F(TwoNodes, ARequestOnABrokenConnectionIsUnknownAndTheNextOneNotSent) {
  ForwardOutcome outcome = ForwardOutcome::kReplied;
  absl::Notification done;
  a_->transport()->Forward(b_->id(), kOdd, Bytes("keep"), [&](ForwardResult got) {
    outcome = got.outcome;
    done.Notify();
  });
  ASSERT_TRUE(b_->Await([](const Told& told) { return told.requests == 1; }));
  b_->Crash();
  done.WaitForNotification();
  EXPECT_EQ(outcome, ForwardOutcome::kUnknown);
  ASSERT_TRUE(a_->AwaitChange(b_->id(), PeerChange::Kind::kDown));
  EXPECT_EQ(Ask(Bytes("x")).outcome, ForwardOutcome::kNotSent);
  // The reply finds nobody.
  b_->With([](Told& told) { EXPECT_FALSE(told.unanswered[0].Answer(Bytes("late"))); });
}

TEST_F(TwoNodes, ARequestToNobodyIsNotSent) {
  absl::Notification done;
  a_->transport()->Forward(NodeId(9), kOdd, Bytes("x"), [&](ForwardResult got) {
    EXPECT_EQ(got.outcome, ForwardOutcome::kNotSent);
    done.Notify();
  });
  done.WaitForNotification();
}

TEST_F(TwoNodes, ABrokenConnectionIsToldAtOnceAndMended) {
  TransportOptions again = TestOptions(2);
  again.self.incarnation = 2;
  b_->Crash();
  ASSERT_TRUE(a_->AwaitChange(b_->id(), PeerChange::Kind::kDown));
  // Entries are reported lost meanwhile; heartbeats just are.
  SendFromA(Heartbeat(*a_, *b_, kOdd, 1));
  SendFromA(Append(*a_, *b_, kOdd, 2, 100));
  ASSERT_TRUE(a_->Await([](const Told& told) { return told.unreachable.size() == 1; }));
  a_->With([&](const Told& told) {
    EXPECT_EQ(told.unreachable[0], std::make_pair(kOdd, b_->replica()));
  });

  b_ = std::make_unique<TestNode>(again);
  Connect({a_.get(), b_.get()});  // It has another port now.
  ASSERT_TRUE(a_->AwaitUp(b_->id(), 2));
  SendFromA(Heartbeat(*a_, *b_, kOdd, 3));
  ASSERT_TRUE(b_->AwaitMessages(1));
  b_->With(
      [](const Told& told) { EXPECT_EQ(told.messages[0].second.message.commit, LogIndex(3)); });
}

TEST_F(TwoNodes, APeerWithANewAddressIsDialedThere) {
  const std::string moved = "ipv4:" + b_->address();  // The same place, written another way.
  a_->transport()->SetPeers({{b_->id(), {moved, b_->replica()}}});
  ASSERT_TRUE(a_->AwaitChange(b_->id(), PeerChange::Kind::kDown));
  ASSERT_TRUE(a_->AwaitUp(b_->id(), 2));
  EXPECT_EQ(a_->transport()->Status()[0].address, moved);
  SendFromA(Heartbeat(*a_, *b_, kOdd, 1));
  EXPECT_TRUE(b_->AwaitMessages(1));
}

TEST_F(TwoNodes, TheSamePeersAgainChangeNothing) {
  Connect({a_.get(), b_.get()});
  SendFromA(Append(*a_, *b_, kOdd, 1, 10));
  ASSERT_TRUE(b_->AwaitMessages(1));
  a_->With([](const Told& told) {
    EXPECT_EQ(told.changes.back().kind, PeerChange::Kind::kUp);
    for (const PeerChange& change : told.changes) {
      EXPECT_NE(change.kind, PeerChange::Kind::kDown);
    }
  });
}

TEST_F(TwoNodes, APeerThatIsTakenOutIsHungUpOn) {
  a_->transport()->SetPeers({});
  ASSERT_TRUE(a_->AwaitChange(b_->id(), PeerChange::Kind::kDown));
  ASSERT_TRUE(b_->AwaitChange(a_->id(), PeerChange::Kind::kDown));
  ASSERT_TRUE(b_->AwaitChange(a_->id(), PeerChange::Kind::kRefused));
  EXPECT_TRUE(a_->transport()->Status().empty());
  const std::vector<PeerStatus> status = b_->transport()->Status();
  ASSERT_EQ(status.size(), 1u);
  EXPECT_FALSE(status[0].up);
  EXPECT_NE(status[0].problem.find("not"), std::string::npos) << status[0].problem;
}

TEST_F(TwoNodes, SnapshotPartsArriveInOrderAndAreAnswered) {
  constexpr size_t kParts = 20;
  size_t sent = 0;
  while (sent < kParts) {
    SnapshotPart part = {
        .shard = kOdd, .header = std::to_string(sent), .data = Bytes(std::string(1 << 20, 's'))};
    const size_t events = a_->With([](const Told& told) { return told.stream_events.size(); });
    if (a_->transport()->SendSnapshot(b_->id(), std::move(part)) == SnapshotSend::kQueued) {
      ++sent;
      continue;
    }
    ASSERT_TRUE(a_->Await([&](const Told& told) { return told.stream_events.size() > events; }));
  }
  ASSERT_TRUE(a_->Await([&](const Told& told) { return told.answers.size() == kParts; }));
  b_->With([&](const Told& told) {
    ASSERT_EQ(told.parts.size(), kParts);
    for (size_t i = 0; i < kParts; ++i) {
      EXPECT_EQ(told.parts[i].header, std::to_string(i));
      EXPECT_EQ(told.parts[i].data->size(), size_t{1} << 20);
    }
    EXPECT_EQ(told.wrong_loop, 0u);
  });
  a_->With([](const Told& told) {
    for (size_t i = 0; i < kParts; ++i) EXPECT_EQ(told.answers[i], "got " + std::to_string(i));
    for (const SnapshotStream event : told.stream_events) EXPECT_EQ(event, SnapshotStream::kRoom);
  });
}

TEST_F(TwoNodes, ASnapshotStreamThatBreaksIsTold) {
  ASSERT_EQ(a_->transport()->SendSnapshot(b_->id(), {.shard = kOdd, .header = "", .data = nullptr}),
            SnapshotSend::kWait);
  ASSERT_TRUE(a_->Await([](const Told& told) { return told.stream_events.size() == 1; }));
  b_->Crash();
  ASSERT_TRUE(a_->Await(
      [](const Told& told) { return told.stream_events.back() == SnapshotStream::kBroken; }));
}

TEST(PeerTransport, ANodeThatStartsIsDialedBackAtOnce) {
  TransportOptions options = TestOptions(1);
  options.backoff_min_micros = options.backoff_max_micros = 3600'000'000;
  TestNode patient(options);
  TestNode late(TestOptions(2));
  patient.transport()->SetPeers({{late.id(), late.place()}});
  ASSERT_TRUE(patient.AwaitChange(late.id(), PeerChange::Kind::kRefused)) << "it knows nobody yet";
  late.transport()->SetPeers({{patient.id(), patient.place()}});
  EXPECT_TRUE(late.AwaitUp(patient.id()));
  EXPECT_TRUE(patient.AwaitUp(late.id()));
}

TEST(PeerTransport, ThreeNodesReachOneAnother) {
  TestNode a(TestOptions(1));
  TestNode b(TestOptions(2));
  TestNode c(TestOptions(3));
  const std::vector<TestNode*> nodes = {&a, &b, &c};
  Connect(nodes);
  for (TestNode* from : nodes) {
    for (TestNode* to : nodes) {
      if (from == to) continue;
      ASSERT_TRUE(from->AwaitUp(to->id()));
      from->transport()->Send(to->id(), {Heartbeat(*from, *to, kEven, from->id().value())});
    }
  }
  for (TestNode* node : nodes) EXPECT_TRUE(node->AwaitMessages(2));
}

}  // namespace
}  // namespace holdfast
