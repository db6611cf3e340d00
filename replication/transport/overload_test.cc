// What happens when a peer does not read, a loop does not take, or nobody greets: each queue has
// its stated answer, and nobody else is held up.

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/holdfast/peer/v1/peer.grpc.pb.h"
#include "replication/transport/frame_reader.h"
#include "replication/transport/greeting.h"
#include "replication/transport/message_codec.h"
#include "replication/transport/testing/raw_peer.h"
#include "replication/transport/testing/test_node.h"

namespace holdfast {
namespace {

using Told = TestNode::Told;

constexpr ShardId kEven(2);
constexpr ShardId kOdd(3);

// A node that greets and then reads nothing until it is told to. It is written against the
// generated code, so it also shows that our frames are what the contract says.
class StuckNode final : public peer::v1::Peer::Service {
 public:
  explicit StuckNode(uint64_t node) : self_(TestOptions(node).self) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
    server_ = builder.BuildAndStart();
    self_.address = absl::StrCat("127.0.0.1:", port);
  }
  ~StuckNode() override {
    if (!go_on_.HasBeenNotified()) go_on_.Notify();
    server_->Shutdown(absl::ToChronoTime(absl::Now()));
  }

  NodeId id() const { return self_.node; }
  PeerPlace place() const { return {self_.address, self_.replica}; }
  // Reads on, on all streams.
  void GoOn() { go_on_.Notify(); }
  // Blocks until a heartbeat with this commit index has come, and returns those that did.
  std::vector<uint64_t> AwaitHeartbeat(uint64_t number) {
    absl::MutexLock lock(&mutex_);
    const auto came = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !heartbeats_.empty() && heartbeats_.back() == number;
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&came), absl::Seconds(30)));
    return heartbeats_;
  }

 private:
  using Stream = grpc::ServerReaderWriter<peer::v1::PeerFrame, peer::v1::PeerFrame>;

  grpc::Status Control(grpc::ServerContext*, Stream* stream) override { return Serve(stream); }
  grpc::Status Append(grpc::ServerContext*, Stream* stream) override { return Serve(stream); }
  grpc::Status Forward(grpc::ServerContext*, Stream* stream) override { return Serve(stream); }
  grpc::Status Snapshot(grpc::ServerContext*, Stream* stream) override { return Serve(stream); }

  grpc::Status Serve(Stream* stream) {
    peer::v1::PeerFrame frame;
    if (!stream->Read(&frame) || !frame.has_hello()) return grpc::Status::CANCELLED;
    peer::v1::PeerFrame answer;
    *answer.mutable_welcome() = MakeWelcome(self_, frame.hello());
    stream->Write(answer);
    const ReplicaId dialer(frame.hello().identity().disk_id());
    go_on_.WaitForNotification();
    FrameReader reader({.shards = kTestShards, .record_bytes_max = 1 << 20});
    while (stream->Read(&frame)) {
      std::vector<Record> records;
      EXPECT_EQ(reader.Read({frame.records()}, &records), absl::OkStatus());
      for (Record& record : records) {
        if (record.kind != RecordKind::kMessage) continue;
        const auto envelope = DecodeEnvelope(std::move(record), dialer);
        EXPECT_TRUE(envelope.ok());
        if (!envelope.ok() || envelope->message.type != raft::MessageType::kHeartbeat) continue;
        absl::MutexLock lock(&mutex_);
        heartbeats_.push_back(envelope->message.commit.value());
      }
    }
    return grpc::Status::OK;
  }

  PeerIdentity self_;
  std::unique_ptr<grpc::Server> server_;
  absl::Notification go_on_;
  absl::Mutex mutex_;
  std::vector<uint64_t> heartbeats_ ABSL_GUARDED_BY(mutex_);
};

TransportOptions SmallQueues() {
  TransportOptions options = TestOptions(1);
  options.control_messages_max = 100;
  options.append_bytes_max = 1 << 20;
  options.forward_bytes_max = 1 << 20;
  options.snapshot_bytes_max = 1 << 20;
  options.frame_bytes_max = 64 << 10;
  options.piece_bytes_min = 16 << 10;
  return options;
}

// More than any buffer on the way takes.
constexpr uint64_t kFlood = 1'000'000;

class AgainstAStuckNode : public testing::Test {
 protected:
  AgainstAStuckNode() : stuck_(2), node_(SmallQueues()), other_(TestOptions(3)) {
    const PeerPlaces places = {
        {node_.id(), node_.place()}, {stuck_.id(), stuck_.place()}, {other_.id(), other_.place()}};
    node_.transport()->SetPeers(places);
    other_.transport()->SetPeers({{node_.id(), node_.place()}});
    EXPECT_TRUE(node_.AwaitUp(stuck_.id()));
    EXPECT_TRUE(node_.AwaitUp(other_.id()));
  }
  PeerEnvelope ToStuck(PeerEnvelope envelope) {
    envelope.message.to = stuck_.place().replica;
    return envelope;
  }
  PeerStatus StatusOfStuck() { return node_.transport()->Status()[0]; }
  // The other peer is not held up.
  void ExpectTheOtherIsReached() {
    const size_t before = other_.With([](const Told& told) { return told.messages.size(); });
    node_.transport()->Send(other_.id(), {Heartbeat(node_, other_, kOdd, 1)});
    EXPECT_TRUE(other_.AwaitMessages(before + 1));
  }

  StuckNode stuck_;
  TestNode node_;
  TestNode other_;
};

TEST_F(AgainstAStuckNode, ControlDropsTheOldestOfTheSameShardAndType) {
  uint64_t sent = 0;
  while (StatusOfStuck().dropped_control < 1000 && sent < kFlood) {
    std::vector<PeerEnvelope> messages;
    for (int i = 0; i < 100; ++i) {
      messages.push_back(ToStuck(Heartbeat(node_, other_, kOdd, ++sent)));
    }
    node_.transport()->Send(stuck_.id(), std::move(messages));
  }
  ASSERT_GE(StatusOfStuck().dropped_control, 1000u);
  ExpectTheOtherIsReached();
  stuck_.GoOn();
  const std::vector<uint64_t> came = stuck_.AwaitHeartbeat(sent);
  EXPECT_EQ(came.size(), sent - StatusOfStuck().dropped_control);
  EXPECT_TRUE(std::is_sorted(came.begin(), came.end()));
  // The newest 100 were in the queue, and all of them came.
  ASSERT_GE(came.size(), 100u);
  EXPECT_EQ(came[came.size() - 100], sent - 99);
}

TEST_F(AgainstAStuckNode, AppendsAreDroppedAndTheirReceiverIsUnreachable) {
  uint64_t sent = 0;
  while (StatusOfStuck().dropped_appends == 0 && sent < kFlood) {
    node_.transport()->Send(stuck_.id(), {ToStuck(Append(node_, other_, kOdd, ++sent, 10'000))});
  }
  ASSERT_TRUE(node_.Await([](const Told& told) { return !told.unreachable.empty(); }));
  node_.With([&](const Told& told) {
    EXPECT_EQ(told.unreachable[0], std::make_pair(kOdd, stuck_.place().replica));
  });
  ExpectTheOtherIsReached();
}

TEST_F(AgainstAStuckNode, ForwardsAnswerNotSent) {
  const auto request = std::make_shared<const std::string>(10'000, 'r');
  absl::Notification refused;
  absl::Mutex mutex;
  std::vector<ForwardOutcome> outcomes;
  uint64_t sent = 0;
  while (!refused.HasBeenNotified() && sent < kFlood) {
    ++sent;
    node_.transport()->Forward(stuck_.id(), kOdd, request, [&](ForwardResult result) {
      absl::MutexLock lock(&mutex);
      outcomes.push_back(result.outcome);
      if (result.outcome == ForwardOutcome::kNotSent && outcomes.size() == 1) refused.Notify();
    });
  }
  EXPECT_TRUE(refused.HasBeenNotified());
  ExpectTheOtherIsReached();
  // What has left is not known; what waited certainly was not sent. All are answered.
  node_.Crash();
  const auto all = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return outcomes.size() == sent; };
  absl::MutexLock lock(&mutex);
  mutex.Await(absl::Condition(&all));
  EXPECT_GT(std::count(outcomes.begin(), outcomes.end(), ForwardOutcome::kUnknown), 0);
  EXPECT_GE(std::count(outcomes.begin(), outcomes.end(), ForwardOutcome::kNotSent), 1);
}

TEST_F(AgainstAStuckNode, SnapshotsHaveToWaitUntilThereIsRoom) {
  const auto data = std::make_shared<const std::string>(100'000, 's');
  const auto send = [&] {
    return node_.transport()->SendSnapshot(stuck_.id(),
                                           {.shard = kOdd, .header = "", .data = data});
  };
  EXPECT_EQ(send(), SnapshotSend::kWait);  // Not connected yet.
  ASSERT_TRUE(node_.Await([](const Told& told) { return told.stream_events.size() == 1; }));
  uint64_t sent = 0;
  size_t events = 0;
  // Room comes while buffers on the way fill up; in the end there is none.
  for (bool waiting = false; !waiting && sent < kFlood;) {
    events = node_.With([](const Told& told) { return told.stream_events.size(); });
    if (send() == SnapshotSend::kQueued) {
      ++sent;
      continue;
    }
    absl::Notification asked;
    node_.loop(0)->Post([&] { asked.Notify(); });
    asked.WaitForNotification();
    waiting = node_.With([&](const Told& told) { return told.stream_events.size() == events; });
  }
  ExpectTheOtherIsReached();
  stuck_.GoOn();
  ASSERT_TRUE(node_.Await([&](const Told& told) { return told.stream_events.size() > events; }));
  EXPECT_EQ(send(), SnapshotSend::kQueued);
}

TEST(Overload, ALoopThatDoesNotTakeAppendsFillsItsPeersQueueAndLosesNothingThatWasTaken) {
  TransportOptions receiver = TestOptions(2);
  receiver.receive_bytes_max = 100'000;
  TestNode a(SmallQueues());
  TestNode b(std::move(receiver));
  Connect({&a, &b});
  ASSERT_TRUE(a.AwaitUp(b.id()));
  b.loop(1)->Pause();
  uint64_t sent = 0;
  while (a.transport()->Status()[0].dropped_appends == 0 && sent < kFlood) {
    a.transport()->Send(b.id(), {Append(a, b, kOdd, ++sent, 10'000)});
  }
  const uint64_t dropped = a.transport()->Status()[0].dropped_appends;
  EXPECT_EQ(dropped, 1u);
  // Heartbeats of the other loop pass.
  a.transport()->Send(b.id(), {Heartbeat(a, b, kEven, 1)});
  ASSERT_TRUE(b.AwaitMessages(1));
  b.With([](const Told& told) { EXPECT_EQ(told.messages[0].second.shard, kEven); });
  // So do requests, though they share the connection.
  absl::Notification replied;
  a.transport()->Forward(b.id(), kEven, std::make_shared<const std::string>("request"),
                         [&](ForwardResult result) {
                           EXPECT_EQ(result.outcome, ForwardOutcome::kReplied);
                           replied.Notify();
                         });
  replied.WaitForNotification();
  b.loop(1)->Resume();
  EXPECT_TRUE(b.AwaitMessages(1 + sent - dropped));
}

TEST(Overload, ALoopThatDoesNotTakeHeartbeatsLosesSomeOfItsOwnOnly) {
  constexpr uint64_t kSent = 1000;
  TransportOptions receiver = TestOptions(2);
  receiver.control_pending_max = 10;
  TestNode a(TestOptions(1));
  TestNode b(std::move(receiver));
  Connect({&a, &b});
  ASSERT_TRUE(a.AwaitUp(b.id()));
  b.loop(0)->Pause();
  for (uint64_t i = 1; i <= kSent; ++i) {
    a.transport()->Send(b.id(), {Heartbeat(a, b, kEven, i)});
    a.transport()->Send(b.id(), {Heartbeat(a, b, kOdd, i)});
    // The other loop gets them all, one after the other.
    ASSERT_TRUE(b.AwaitMessages(i));
  }
  b.loop(0)->Resume();
  absl::Notification taken;
  b.loop(0)->Post([&] { taken.Notify(); });
  taken.WaitForNotification();
  b.With([&](const Told& told) {
    const auto even = std::count_if(told.messages.begin(), told.messages.end(),
                                    [](const auto& m) { return m.second.shard == kEven; });
    EXPECT_GE(even, 10);
    EXPECT_LE(even, 20);
  });
}

TEST(Overload, SnapshotPartsAreReadNoFasterThanTheirCreditsComeBack) {
  TransportOptions receiver = TestOptions(2);
  receiver.receive_bytes_max = 250'000;
  TestNode a(SmallQueues());
  TestNode b(std::move(receiver));
  Connect({&a, &b});
  ASSERT_TRUE(a.AwaitUp(b.id()));
  b.KeepCredits();
  constexpr size_t kParts = 100;
  const auto data = std::make_shared<const std::string>(60'000, 's');
  for (size_t sent = 0; sent < kParts;) {
    const size_t events = a.With([](const Told& told) { return told.stream_events.size(); });
    if (a.transport()->SendSnapshot(b.id(), {.shard = kOdd, .header = "", .data = data}) ==
        SnapshotSend::kQueued) {
      ++sent;
      continue;
    }
    ASSERT_TRUE(a.Await([&](const Told& told) {
      return told.stream_events.size() > events || !told.answers.empty();
    }));
    const size_t kept = b.With([](const Told& told) { return told.credits.size(); });
    EXPECT_LE(kept, 6u);  // 250'000 bytes of parts, one more frame, and what it rounds to.
    if (kept > 4) b.With([](Told& told) { std::exchange(told.credits, {}); });
  }
  b.DropCredits();
  EXPECT_TRUE(b.Await([](const Told& told) { return told.parts.size() == kParts; }));
}

TEST(Overload, StreamsThatDoNotGreetAreBoundedAndEnded) {
  TransportOptions options = TestOptions(1);
  options.strangers_max = 2;
  TestNode node(std::move(options));
  RawPeer first(node.address(), StreamKind::kControl);
  RawPeer second(node.address(), StreamKind::kAppend);
  grpc::Status status;
  // The first two are streams at the server only when it has seen them.
  for (int i = 0; i < 1000 && status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED; ++i) {
    RawPeer more(node.address(), StreamKind::kControl);
    more.WriteBytes("\xff");
    status = more.Finish();
  }
  EXPECT_EQ(ReasonOf(status), peer::v1::REFUSAL_REASON_TOO_MANY_STREAMS);
  // They are ended when they have had their time, and there is room again.
  EXPECT_EQ(ReasonOf(first.Finish()), peer::v1::REFUSAL_REASON_TOO_SLOW);
  EXPECT_EQ(ReasonOf(second.Finish()), peer::v1::REFUSAL_REASON_TOO_SLOW);
  RawPeer third(node.address(), StreamKind::kControl);
  third.WriteBytes("\xff");
  EXPECT_EQ(ReasonOf(third.Finish()), peer::v1::REFUSAL_REASON_MALFORMED);
}

// With the clock stopped every timer runs at once, and tells what it asked for.
TEST(Overload, DialsOfANodeThatIsDownAreSpacedMoreAndMoreUpToTheBound) {
  const TransportOptions options = TestOptions(1);
  TestNode node(options);
  TestNode gone(TestOptions(2));
  const PeerPlace place = gone.place();
  gone.Crash();
  node.loop(0)->Freeze();
  node.transport()->SetPeers({{gone.id(), place}});
  // 12 dials of the three links that are kept up.
  constexpr size_t kDials = 3 * 12;
  std::vector<int64_t> backoffs;
  while (backoffs.size() < kDials) {
    backoffs.clear();
    for (const int64_t delay : node.loop(0)->delays()) {
      if (delay != options.greeting_timeout_micros) backoffs.push_back(delay);
    }
    absl::Notification turn;
    node.loop(0)->Post([&] { turn.Notify(); });
    turn.WaitForNotification();
  }
  for (const int64_t backoff : backoffs) {
    EXPECT_GE(backoff, options.backoff_min_micros);
    EXPECT_LE(backoff, options.backoff_max_micros);
  }
  // The first of a link is short, the last ones are long.
  EXPECT_LE(*std::min_element(backoffs.begin(), backoffs.end()), 2 * options.backoff_min_micros);
  EXPECT_GE(*std::max_element(backoffs.begin(), backoffs.end()), options.backoff_max_micros / 2);
}

}  // namespace
}  // namespace holdfast
