// Raft messages come out as they went in; their bytes, and those of frames, are the golden ones;
// whatever is not such bytes is refused.

#include "replication/transport/message_codec.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "replication/transport/send_queue.h"

namespace holdfast {
namespace {

using raft::Configuration;
using raft::Entry;
using raft::EntryType;
using raft::Message;
using raft::MessageType;
using raft::SnapshotDescriptor;

constexpr char kGolden[] = "replication/transport/testdata/golden_v1.txt";
constexpr ReplicaId kSender(0x1111111111111111);
constexpr ReplicaId kReceiver(0x2222222222222222);

constexpr MessageType kTravelling[] = {
    MessageType::kPropose,        MessageType::kAppend,
    MessageType::kAppendResponse, MessageType::kVote,
    MessageType::kVoteResponse,   MessageType::kSnapshot,
    MessageType::kHeartbeat,      MessageType::kHeartbeatResponse,
    MessageType::kTransferLeader, MessageType::kTimeoutNow,
    MessageType::kReadIndex,      MessageType::kReadIndexResponse,
    MessageType::kPreVote,        MessageType::kPreVoteResponse,
};

void ExpectSame(const PeerEnvelope& a, const PeerEnvelope& b) {
  EXPECT_EQ(a.shard, b.shard);
  EXPECT_EQ(a.wall_micros, b.wall_micros);
  const Message& x = a.message;
  const Message& y = b.message;
  EXPECT_EQ(x.type, y.type);
  EXPECT_EQ(x.to, y.to);
  EXPECT_EQ(x.from, y.from);
  EXPECT_EQ(x.term, y.term);
  EXPECT_EQ(x.log_term, y.log_term);
  EXPECT_EQ(x.index, y.index);
  EXPECT_EQ(x.commit, y.commit);
  EXPECT_EQ(x.reject_hint, y.reject_hint);
  EXPECT_EQ(x.context, y.context);
  EXPECT_EQ(x.reject, y.reject);
  EXPECT_EQ(x.transfer, y.transfer);
  ASSERT_EQ(x.entries.size(), y.entries.size());
  for (size_t i = 0; i < x.entries.size(); ++i) {
    EXPECT_EQ(x.entries[i].term, y.entries[i].term);
    EXPECT_EQ(x.entries[i].index, y.entries[i].index);
    EXPECT_EQ(x.entries[i].type, y.entries[i].type);
    ASSERT_EQ(x.entries[i].data == nullptr, y.entries[i].data == nullptr);
    if (x.entries[i].data != nullptr) {
      EXPECT_EQ(*x.entries[i].data, *y.entries[i].data);
    }
  }
  ASSERT_EQ(x.snapshot == nullptr, y.snapshot == nullptr);
  if (x.snapshot == nullptr) return;
  EXPECT_EQ(x.snapshot->index, y.snapshot->index);
  EXPECT_EQ(x.snapshot->term, y.snapshot->term);
  EXPECT_EQ(x.snapshot->configuration, y.snapshot->configuration);
  EXPECT_EQ(x.snapshot->source, y.snapshot->source);
}

PeerEnvelope Bare(MessageType type) {
  PeerEnvelope envelope;
  envelope.shard = ShardId(3);
  envelope.wall_micros = 1'700'000'000'000'000;
  envelope.message.type = type;
  envelope.message.from = kSender;
  envelope.message.to = kReceiver;
  return envelope;
}

std::shared_ptr<const SnapshotDescriptor> MakeSnapshot() {
  SnapshotDescriptor snapshot;
  snapshot.index = LogIndex(1000);
  snapshot.term = Term(7);
  snapshot.configuration = {.voters = {kSender, kReceiver},
                            .voters_outgoing = {kReceiver},
                            .learners = {ReplicaId(9)},
                            .learners_next = {ReplicaId(10)},
                            .auto_leave = true};
  snapshot.source = "where it is";
  return std::make_shared<const SnapshotDescriptor>(snapshot);
}

PeerEnvelope RandomEnvelope(Prng* prng) {
  PeerEnvelope envelope = Bare(kTravelling[prng->Below(std::size(kTravelling))]);
  Message& message = envelope.message;
  const auto number = [prng] { return prng->Next() >> prng->Below(64); };
  envelope.shard = ShardId(static_cast<uint32_t>(prng->Below(4096)));
  envelope.wall_micros = static_cast<int64_t>(prng->Next());  // Also before 1970.
  if (prng->Chance(1, 3)) message.from = ReplicaId(number());
  message.to = ReplicaId(number());
  message.term = Term(number());
  message.log_term = Term(number());
  message.index = LogIndex(number());
  message.commit = LogIndex(number());
  message.reject_hint = LogIndex(number());
  if (prng->Chance(1, 2)) message.context = number();
  message.reject = prng->Chance(1, 2);
  message.transfer = prng->Chance(1, 2);
  for (uint64_t n = prng->Below(6); n > 0; --n) {
    Entry entry;
    entry.term = Term(number());
    entry.index = LogIndex(number());
    entry.type = static_cast<EntryType>(prng->Below(3));
    if (prng->Chance(3, 4)) {
      entry.data = std::make_shared<const std::string>(prng->Below(300), 'd');
    }
    message.entries.push_back(entry);
  }
  if (prng->Chance(1, 4)) message.snapshot = MakeSnapshot();
  return envelope;
}

TEST(MessageCodec, AnyMessageComesOutAsItWentIn) {
  Prng prng(1);
  for (int i = 0; i < 5000; ++i) {
    const PeerEnvelope envelope = RandomEnvelope(&prng);
    const auto decoded = DecodeEnvelope(EncodeEnvelope(envelope, kSender), kSender);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    ExpectSame(envelope, *decoded);
    if (!envelope.message.entries.empty()) continue;
    const auto from_bytes = DecodeFromBytes(EncodeToBytes(envelope));
    ASSERT_TRUE(from_bytes.ok()) << from_bytes.status();
    ExpectSame(envelope, *from_bytes);
  }
}

TEST(MessageCodec, TheDataOfEntriesIsSharedNotCopied) {
  PeerEnvelope envelope = Bare(MessageType::kAppend);
  envelope.message.entries.resize(1);
  const auto data = std::make_shared<const std::string>("data");
  envelope.message.entries[0].data = data;
  const Record record = EncodeEnvelope(envelope, kSender);
  ASSERT_EQ(record.parts.size(), 1u);
  EXPECT_EQ(record.parts[0], data);
}

TEST(MessageCodec, AReplicasOwnMessagesDoNotTravel) {
  for (const MessageType type :
       {MessageType::kHup, MessageType::kBeat, MessageType::kUnreachable,
        MessageType::kSnapshotStatus, MessageType::kCheckQuorum, MessageType::kForgetLeader}) {
    EXPECT_FALSE(Travels(type));
    Record record = EncodeEnvelope(Bare(MessageType::kHeartbeat), kSender);
    record.header[0] = static_cast<char>(type);
    EXPECT_FALSE(DecodeEnvelope(std::move(record), kSender).ok());
  }
  for (const MessageType type : kTravelling) EXPECT_TRUE(Travels(type));
}

TEST(MessageCodec, BytesThatAreNoMessageAreRefused) {
  PeerEnvelope envelope = Bare(MessageType::kAppend);
  envelope.message.entries.resize(2);
  envelope.message.entries[1].data = std::make_shared<const std::string>("data");
  const Record good = EncodeEnvelope(envelope, kSender);
  ASSERT_TRUE(DecodeEnvelope(good, kSender).ok());
  for (size_t size = 0; size < good.header.size(); ++size) {
    Record cut = good;
    cut.header.resize(size);
    EXPECT_FALSE(DecodeEnvelope(std::move(cut), kSender).ok()) << size;
  }
  Record longer = good;
  longer.header += '\0';
  EXPECT_FALSE(DecodeEnvelope(std::move(longer), kSender).ok());
  Record more_parts = good;
  more_parts.parts.push_back(good.parts[0]);
  EXPECT_FALSE(DecodeEnvelope(std::move(more_parts), kSender).ok());
  Record fewer_parts = good;
  fewer_parts.parts.clear();
  EXPECT_FALSE(DecodeEnvelope(std::move(fewer_parts), kSender).ok());
  Record flags = good;
  flags.header[1] = '\x40';
  EXPECT_FALSE(DecodeEnvelope(std::move(flags), kSender).ok());
  Record kind = good;
  kind.kind = RecordKind::kForwardRequest;
  EXPECT_FALSE(DecodeEnvelope(std::move(kind), kSender).ok());
}

std::string Hex(const std::string& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::vector<std::pair<std::string, std::string>> GoldenBytes() {
  PeerEnvelope vote = Bare(MessageType::kPreVote);
  vote.message.term = Term(8);
  vote.message.log_term = Term(7);
  vote.message.index = LogIndex(1000);
  vote.message.transfer = true;
  PeerEnvelope rejected = Bare(MessageType::kAppendResponse);
  rejected.message.term = Term(7);
  rejected.message.reject = true;
  rejected.message.index = LogIndex(1000);
  rejected.message.reject_hint = LogIndex(998);
  PeerEnvelope transfer = Bare(MessageType::kTransferLeader);
  transfer.message.from = ReplicaId(9);
  PeerEnvelope heartbeat = Bare(MessageType::kHeartbeat);
  heartbeat.message.context = 300;
  PeerEnvelope append = Bare(MessageType::kAppend);
  append.message.term = Term(7);
  append.message.index = LogIndex(999);
  append.message.commit = LogIndex(999);
  append.message.entries = {
      {.term = Term(7), .index = LogIndex(1000), .type = EntryType::kNoOp, .data = nullptr},
      {.term = Term(7),
       .index = LogIndex(1001),
       .type = EntryType::kCommands,
       .data = std::make_shared<const std::string>("commands")}};
  PeerEnvelope snapshot = Bare(MessageType::kSnapshot);
  snapshot.message.snapshot = MakeSnapshot();
  std::vector<std::pair<std::string, std::string>> golden;
  SendQueue queue({.frame_bytes_max = 200, .piece_bytes_min = 20}, 8);
  for (const auto& [name, envelope] : std::map<std::string, PeerEnvelope>{{"append", append},
                                                                          {"heartbeat", heartbeat},
                                                                          {"rejected", rejected},
                                                                          {"snapshot", snapshot},
                                                                          {"transfer", transfer},
                                                                          {"vote", vote}}) {
    Record record = EncodeEnvelope(envelope, kSender);
    golden.emplace_back("message." + name, record.header);
    if (name == "append" || name == "vote") queue.Push(std::move(record));
  }
  Record request;
  request.kind = RecordKind::kForwardRequest;
  request.header = "\x05";
  request.parts.push_back(std::make_shared<const std::string>(250, 'r'));
  queue.Push(std::move(request));
  OutFrame frame;
  for (const char* name : {"frame.whole_and_first_piece", "frame.further_piece"}) {
    EXPECT_TRUE(queue.Next(&frame));
    std::string bytes = frame.head;
    for (const ByteRange& range : frame.body) bytes.append(*range.owner, range.begin, range.size);
    golden.emplace_back(name, bytes);
  }
  return golden;
}

TEST(Golden, BytesBetweenNodesHaveNotChanged) {
  const auto made = GoldenBytes();
  if (const char* path = std::getenv("HOLDFAST_WRITE_GOLDEN"); path != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, bytes] : made) out << name << ' ' << Hex(bytes) << '\n';
    ASSERT_TRUE(out.good()) << path;
  }
  std::map<std::string, std::string> golden;
  std::ifstream in(kGolden);
  ASSERT_TRUE(in.good()) << kGolden;
  std::string name;
  std::string hex;
  while (in >> name >> hex) golden[name] = hex;
  EXPECT_EQ(golden.size(), made.size());
  for (const auto& [line, bytes] : made) EXPECT_EQ(golden[line], Hex(bytes)) << line;
}

}  // namespace
}  // namespace holdfast
