// Who may speak to whom: each refusal, by the rules and over real gRPC, with what to do about it;
// old and malformed streams.

#include "replication/transport/greeting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/coding.h"
#include "base/crc32c.h"
#include "replication/transport/byte_buffer.h"
#include "replication/transport/message_codec.h"
#include "replication/transport/send_queue.h"
#include "replication/transport/testing/raw_peer.h"
#include "replication/transport/testing/test_node.h"

namespace holdfast {
namespace {

using peer::v1::Hello;
using peer::v1::PeerFrame;
using peer::v1::Welcome;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kCluster[] = "0123456789abcdef0123456789abcdef";
constexpr char kOther[] = "ffffffffffffffffffffffffffffffff";

PeerIdentity IdentityOf(uint64_t node) {
  return {.cluster_id = kCluster,
          .node = NodeId(node),
          .replica = ReplicaId(1000 + node),
          .shards = kTestShards,
          .incarnation = 5,
          .address = "host" + std::to_string(node) + ":7400"};
}

PeerPlace PlaceOf(const PeerIdentity& identity) { return {identity.address, identity.replica}; }

struct HelloCase {
  const char* name;
  std::function<void(Hello*)> change;
  peer::v1::RefusalReason reason;
  grpc::StatusCode code;
  const char* says;
  const char* what_to_do;
};

const HelloCase kHelloCases[] = {
    {"no version", [](Hello* hello) { hello->clear_protocol_version(); },
     peer::v1::REFUSAL_REASON_MALFORMED, grpc::StatusCode::INVALID_ARGUMENT, "no version", ""},
    {"too new",
     [](Hello* hello) {
       hello->set_protocol_version(9);
       hello->set_protocol_version_min(7);
     },
     peer::v1::REFUSAL_REASON_VERSION_TOO_NEW, grpc::StatusCode::FAILED_PRECONDITION,
     "node 2 speaks versions from 7", "update node 1"},
    {"incomplete", [](Hello* hello) { hello->mutable_identity()->clear_disk_id(); },
     peer::v1::REFUSAL_REASON_MALFORMED, grpc::StatusCode::INVALID_ARGUMENT, "required field", ""},
    {"no epoch", [](Hello* hello) { hello->clear_epoch(); }, peer::v1::REFUSAL_REASON_MALFORMED,
     grpc::StatusCode::INVALID_ARGUMENT, "required field", ""},
    {"wrong cluster", [](Hello* hello) { hello->mutable_identity()->set_cluster_id(kOther); },
     peer::v1::REFUSAL_REASON_WRONG_CLUSTER, grpc::StatusCode::FAILED_PRECONDITION, kOther,
     "--join"},
    {"wrong S", [](Hello* hello) { hello->mutable_identity()->set_shards(16); },
     peer::v1::REFUSAL_REASON_WRONG_SHARDS, grpc::StatusCode::FAILED_PRECONDITION,
     "has 16 shards, node 1 has 8", "empty --data-dir"},
    {"another node was meant", [](Hello* hello) { hello->set_to_node_id(3); },
     peer::v1::REFUSAL_REASON_WRONG_NODE, grpc::StatusCode::FAILED_PRECONDITION,
     "dialed node 3 and reached node 1", "correct the address of node 3"},
    {"no member", [](Hello* hello) { hello->mutable_identity()->set_node_id(9); },
     peer::v1::REFUSAL_REASON_NOT_A_MEMBER, grpc::StatusCode::FAILED_PRECONDITION, "node 9",
     "holdfast cluster add"},
    {"replaced disk", [](Hello* hello) { hello->mutable_identity()->set_disk_id(77); },
     peer::v1::REFUSAL_REASON_REPLACED_DISK, grpc::StatusCode::FAILED_PRECONDITION,
     "disk 000000000000004d", "holdfast cluster remove 2"},
    {"another address", [](Hello* hello) { hello->mutable_identity()->set_address("elsewhere:1"); },
     peer::v1::REFUSAL_REASON_WRONG_ADDRESS, grpc::StatusCode::FAILED_PRECONDITION,
     "it is at elsewhere:1", "--advertise"},
};

Hello GoodHello(const PeerIdentity& from, NodeId to, uint64_t epoch = 1) {
  return MakeHello(from, to, epoch);
}

TEST(Greeting, AGoodHelloIsWelcomeWithItsVersion) {
  const PeerIdentity self = IdentityOf(1);
  const PeerIdentity dialer = IdentityOf(2);
  const PeerPlace known = PlaceOf(dialer);
  Hello hello = GoodHello(dialer, self.node);
  hello.set_protocol_version(4);  // It speaks newer ones too.
  EXPECT_EQ(CheckHello(hello, self, &known), std::nullopt);
  const Welcome welcome = MakeWelcome(self, hello);
  EXPECT_EQ(welcome.protocol_version(), ProtocolVersions().newest);
  EXPECT_EQ(CheckWelcome(welcome, dialer, self.node, PlaceOf(self)), std::nullopt);
}

TEST(Greeting, ADialerThatIsTooOldIsToldToUpdate) {
  const PeerIdentity self = IdentityOf(1);
  const PeerIdentity dialer = IdentityOf(2);
  const PeerPlace known = PlaceOf(dialer);
  const auto refusal =
      CheckHello(GoodHello(dialer, self.node), self, &known, {.newest = 4, .oldest = 3});
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, peer::v1::REFUSAL_REASON_VERSION_TOO_OLD);
  EXPECT_EQ(refusal->message,
            "node 2 speaks versions up to 1 of the protocol between nodes, node 1 versions 3 to 4: "
            "update node 2");
}

TEST(Greeting, AnyDiskIsTakenWhileNoneIsKnown) {
  const PeerIdentity self = IdentityOf(1);
  PeerIdentity dialer = IdentityOf(2);
  const PeerPlace known = {dialer.address, ReplicaId()};
  dialer.replica = ReplicaId(77);
  EXPECT_EQ(CheckHello(GoodHello(dialer, self.node), self, &known), std::nullopt);
}

TEST(Greeting, EachMistakeOfADialerHasItsReasonAndSaysWhatToDo) {
  const PeerIdentity self = IdentityOf(1);
  const PeerIdentity dialer = IdentityOf(2);
  const PeerPlace known = PlaceOf(dialer);
  for (const HelloCase& test : kHelloCases) {
    SCOPED_TRACE(test.name);
    Hello hello = GoodHello(dialer, self.node);
    test.change(&hello);
    const bool member = hello.identity().node_id() == dialer.node.value();
    const auto refusal = CheckHello(hello, self, member ? &known : nullptr);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->reason, test.reason);
    EXPECT_THAT(refusal->message, AllOf(HasSubstr(test.says), HasSubstr(test.what_to_do)));
    const grpc::Status status = ToStatus(*refusal);
    EXPECT_EQ(status.error_code(), test.code);
    EXPECT_EQ(ReasonOf(status), test.reason);
  }
}

TEST(Greeting, EachMistakeOfAnAcceptorHasItsReason) {
  const PeerIdentity self = IdentityOf(1);
  const PeerIdentity acceptor = IdentityOf(2);
  const struct {
    const char* name;
    std::function<void(Welcome*)> change;
    peer::v1::RefusalReason reason;
    const char* says;
  } cases[] = {
      {"cluster", [](Welcome* w) { w->mutable_identity()->set_cluster_id(kOther); },
       peer::v1::REFUSAL_REASON_WRONG_CLUSTER, "--join"},
      {"shards", [](Welcome* w) { w->mutable_identity()->set_shards(1); },
       peer::v1::REFUSAL_REASON_WRONG_SHARDS, "has 1 shards"},
      {"node", [](Welcome* w) { w->mutable_identity()->set_node_id(3); },
       peer::v1::REFUSAL_REASON_WRONG_NODE, "host2:7400 of node 2 leads to node 3"},
      {"disk", [](Welcome* w) { w->mutable_identity()->set_disk_id(3); },
       peer::v1::REFUSAL_REASON_REPLACED_DISK, "holdfast cluster remove 2"},
      {"version", [](Welcome* w) { w->set_protocol_version(ProtocolVersions().newest + 1); },
       peer::v1::REFUSAL_REASON_MALFORMED, "was not offered"},
      {"incomplete", [](Welcome* w) { w->clear_identity(); }, peer::v1::REFUSAL_REASON_MALFORMED,
       "required field"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    Welcome welcome = MakeWelcome(acceptor, GoodHello(self, acceptor.node));
    test.change(&welcome);
    const auto refusal = CheckWelcome(welcome, self, acceptor.node, PlaceOf(acceptor));
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->reason, test.reason);
    EXPECT_THAT(refusal->message, HasSubstr(test.says));
  }
}

// A node that knows one other, which is played by hand.
class OneNode : public testing::Test {
 protected:
  OneNode() : node_(TestOptions(1)) {
    dialer_ = TestOptions(2).self;
    dialer_.address = "127.0.0.1:1";
    dialer_.incarnation = 5;
    node_.transport()->SetPeers({{dialer_.node, PlaceOf(dialer_)}});
  }

  PeerFrame HelloFrame(uint64_t epoch) {
    PeerFrame frame;
    *frame.mutable_hello() = MakeHello(dialer_, node_.id(), epoch);
    return frame;
  }
  // A stream that has been greeted.
  std::unique_ptr<RawPeer> Greeted(StreamKind kind, uint64_t epoch) {
    auto peer = std::make_unique<RawPeer>(node_.address(), kind);
    EXPECT_TRUE(peer->WriteFrame(HelloFrame(epoch)));
    grpc::ByteBuffer answer;
    EXPECT_TRUE(peer->Read(&answer));
    PeerFrame frame;
    EXPECT_EQ(ParseGreeting(answer, &frame), absl::OkStatus());
    EXPECT_EQ(frame.welcome().identity().node_id(), 1u);
    return peer;
  }
  grpc::ByteBuffer HeartbeatFrame(uint64_t number) {
    PeerEnvelope envelope;
    envelope.shard = ShardId(1);
    envelope.message.type = raft::MessageType::kHeartbeat;
    envelope.message.from = dialer_.replica;
    envelope.message.to = node_.replica();
    envelope.message.commit = LogIndex(number);
    return FrameWith(EncodeEnvelope(envelope, dialer_.replica));
  }
  static grpc::ByteBuffer FrameWith(Record record) {
    SendQueue queue({}, kTestShards);
    EXPECT_TRUE(queue.Push(std::move(record)));
    OutFrame frame;
    EXPECT_TRUE(queue.Next(&frame));
    return ToByteBuffer(std::move(frame));
  }
  static void ExpectRefused(const grpc::Status& status, peer::v1::RefusalReason reason,
                            const std::string& says) {
    EXPECT_EQ(ReasonOf(status), reason) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(says));
  }

  TestNode node_;
  PeerIdentity dialer_;
};

TEST_F(OneNode, RefusesEachMistakenHelloOverTheWire) {
  for (const HelloCase& test : kHelloCases) {
    SCOPED_TRACE(test.name);
    PeerFrame frame = HelloFrame(1);
    test.change(frame.mutable_hello());
    RawPeer peer(node_.address(), StreamKind::kControl);
    ASSERT_TRUE(peer.WriteFrame(frame));
    const grpc::Status status = peer.Finish();
    EXPECT_EQ(status.error_code(), test.code);
    ExpectRefused(status, test.reason, test.what_to_do);
  }
}

TEST_F(OneNode, RefusesWhatIsNoHello) {
  for (const std::string& bytes :
       {std::string("\xff\xff\xff"), std::string(), std::string(100'000, 'x')}) {
    RawPeer peer(node_.address(), StreamKind::kAppend);
    peer.WriteBytes(bytes);
    ExpectRefused(peer.Finish(), peer::v1::REFUSAL_REASON_MALFORMED, "");
  }
}

TEST_F(OneNode, ANewerStreamTakesThePlaceOfAnOlderOneOfItsKind) {
  const auto old = Greeted(StreamKind::kControl, 7);
  const auto other_kind = Greeted(StreamKind::kAppend, 3);
  ASSERT_TRUE(old->Write(HeartbeatFrame(1)));
  ASSERT_TRUE(node_.AwaitMessages(1));
  const auto newer = Greeted(StreamKind::kControl, 8);
  // What the old one still says is not heard, and it is told so.
  old->Write(HeartbeatFrame(2));
  ExpectRefused(old->Finish(), peer::v1::REFUSAL_REASON_STALE_CONNECTION, "newer connection");
  ASSERT_TRUE(newer->Write(HeartbeatFrame(3)));
  ASSERT_TRUE(node_.AwaitMessages(2));
  node_.With([](const TestNode::Told& told) {
    EXPECT_EQ(told.messages[1].second.message.commit, LogIndex(3));
  });
}

TEST_F(OneNode, AStreamThatIsNotNewerIsRefusedEvenIfTheNewestIsGone) {
  Greeted(StreamKind::kControl, 8).reset();
  for (const uint64_t epoch : {uint64_t{8}, uint64_t{7}}) {
    RawPeer stale(node_.address(), StreamKind::kControl);
    ASSERT_TRUE(stale.WriteFrame(HelloFrame(epoch)));
    ExpectRefused(stale.Finish(), peer::v1::REFUSAL_REASON_STALE_CONNECTION, "dialed again since");
  }
  // A start later the epochs begin anew; a start earlier is stale whatever its epoch.
  ++dialer_.incarnation;
  Greeted(StreamKind::kControl, 1);
  --dialer_.incarnation;
  RawPeer stale(node_.address(), StreamKind::kControl);
  ASSERT_TRUE(stale.WriteFrame(HelloFrame(99)));
  ExpectRefused(stale.Finish(), peer::v1::REFUSAL_REASON_STALE_CONNECTION, "must not run");
}

TEST_F(OneNode, MalformedFramesEndTheStreamAndNothingOfThemIsUsed) {
  PeerFrame second_hello = HelloFrame(50);
  const grpc::ByteBuffer good = HeartbeatFrame(1);
  Record request;
  request.kind = RecordKind::kForwardRequest;
  request.header = "\x01";
  request.parts.push_back(std::make_shared<const std::string>("request"));
  Record message_of_no_kind;
  message_of_no_kind.header = "\x7f\x01\x02";
  const std::vector<std::pair<std::string, grpc::ByteBuffer>> cases = {
      {"not a PeerFrame",
       [] {
         const grpc::Slice slice("\xff\xff");
         return grpc::ByteBuffer(&slice, 1);
       }()},
      {"a second greeting", ToByteBuffer(second_hello)},
      {"a record of another stream", FrameWith(request)},
      {"a Raft message that is none", FrameWith(message_of_no_kind)},
  };
  uint64_t epoch = 0;
  for (const auto& [name, buffer] : cases) {
    SCOPED_TRACE(name);
    const auto peer = Greeted(StreamKind::kControl, ++epoch);
    ASSERT_TRUE(peer->Write(buffer));
    const grpc::Status status = peer->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    ExpectRefused(status, peer::v1::REFUSAL_REASON_MALFORMED, "malformed");
  }
  // An append does not belong on the stream of control, even behind a heartbeat in one frame.
  const auto peer = Greeted(StreamKind::kControl, ++epoch);
  SendQueue queue({}, kTestShards);
  PeerEnvelope envelope;
  for (const auto type : {raft::MessageType::kHeartbeat, raft::MessageType::kAppend}) {
    envelope.message.type = type;
    ASSERT_TRUE(queue.Push(EncodeEnvelope(envelope, dialer_.replica)));
  }
  OutFrame frame;
  ASSERT_TRUE(queue.Next(&frame));
  ASSERT_TRUE(peer->Write(ToByteBuffer(std::move(frame))));
  ExpectRefused(peer->Finish(), peer::v1::REFUSAL_REASON_MALFORMED, "out of place");
  node_.With([](const TestNode::Told& told) { EXPECT_TRUE(told.messages.empty()); });
}

TEST_F(OneNode, ADamagedFrameEndsTheStream) {
  const auto peer = Greeted(StreamKind::kControl, 1);
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(HeartbeatFrame(1).Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  bytes.back() ^= 1;
  ASSERT_TRUE(peer->WriteBytes(bytes));
  ExpectRefused(peer->Finish(), peer::v1::REFUSAL_REASON_MALFORMED, "damaged on the way");
}

TEST(PeerTransport, ADialerThatIsRefusedTellsItsLoopsWhatToDo) {
  TestNode a(TestOptions(1));
  TransportOptions other = TestOptions(2);
  other.self.cluster_id = kOther;
  TestNode b(std::move(other));
  Connect({&a, &b});
  ASSERT_TRUE(a.AwaitChange(b.id(), PeerChange::Kind::kRefused));
  a.With([](const TestNode::Told& told) {
    for (const PeerChange& change : told.changes) {
      EXPECT_EQ(change.kind, PeerChange::Kind::kRefused);
      EXPECT_THAT(change.why, AllOf(HasSubstr(kOther), HasSubstr("--join")));
    }
  });
  EXPECT_FALSE(a.transport()->Status()[0].up);
  EXPECT_THAT(a.transport()->Status()[0].problem, HasSubstr(kOther));
}

TEST(PeerTransport, ANodeWithAReplacedDiskIsRefusedUntilItIsKnown) {
  TestNode a(TestOptions(1));
  TransportOptions wiped = TestOptions(2);
  wiped.self.replica = ReplicaId(77);
  TestNode b(std::move(wiped));
  PeerPlaces places = {{a.id(), a.place()}, {b.id(), {b.address(), ReplicaId(1002)}}};
  a.transport()->SetPeers(places);
  b.transport()->SetPeers(places);
  ASSERT_TRUE(a.AwaitChange(b.id(), PeerChange::Kind::kRefused));
  ASSERT_TRUE(b.AwaitChange(a.id(), PeerChange::Kind::kRefused));
  places[b.id()].replica = ReplicaId(77);
  a.transport()->SetPeers(places);
  ASSERT_TRUE(a.AwaitUp(b.id()));
  ASSERT_TRUE(b.AwaitUp(a.id()));
}

}  // namespace
}  // namespace holdfast
