#include "replication/transport/message_codec.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"

namespace holdfast {
namespace {

using raft::Configuration;
using raft::Entry;
using raft::EntryType;
using raft::Message;
using raft::MessageType;
using raft::SnapshotDescriptor;

// Flags of a message.
constexpr uint8_t kReject = 1;
constexpr uint8_t kTransfer = 2;
constexpr uint8_t kFrom = 4;     // `from` is not the sender of the stream: it is told
constexpr uint8_t kContext = 8;  // not 0
constexpr uint8_t kSnapshot = 16;
constexpr uint8_t kFlags = 31;

// In the byte of an entry's type.
constexpr uint8_t kHasData = 0x80;
constexpr size_t kEntryBytesMin = 3;

// A configuration names no more replicas than this in each of its lists.
constexpr uint32_t kReplicasMax = 1024;

absl::Status Malformed(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed message from a node: ", what));
}

void PutReplicas(std::string* out, const std::vector<ReplicaId>& replicas) {
  PutVarint(out, replicas.size());
  for (const ReplicaId replica : replicas) PutFixed64(out, replica.value());
}

bool GetReplicas(ByteReader* in, std::vector<ReplicaId>* replicas) {
  uint32_t count = 0;
  if (!in->Varint32(&count) || count > kReplicasMax) return false;
  replicas->resize(count);
  for (ReplicaId& replica : *replicas) {
    uint64_t value = 0;
    if (!in->Fixed64(&value)) return false;
    replica = ReplicaId(value);
  }
  return true;
}

void PutSnapshot(std::string* out, const SnapshotDescriptor& snapshot) {
  const Configuration& configuration = snapshot.configuration;
  PutVarint(out, snapshot.index.value());
  PutVarint(out, snapshot.term.value());
  PutReplicas(out, configuration.voters);
  PutReplicas(out, configuration.voters_outgoing);
  PutReplicas(out, configuration.learners);
  PutReplicas(out, configuration.learners_next);
  PutFixed8(out, configuration.auto_leave ? 1 : 0);
  PutBytes(out, snapshot.source);
}

bool GetSnapshot(ByteReader* in, SnapshotDescriptor* snapshot) {
  Configuration& configuration = snapshot->configuration;
  uint64_t index = 0;
  uint64_t term = 0;
  uint8_t auto_leave = 0;
  std::string_view source;
  in->Varint(&index);
  in->Varint(&term);
  if (!GetReplicas(in, &configuration.voters) || !GetReplicas(in, &configuration.voters_outgoing) ||
      !GetReplicas(in, &configuration.learners) || !GetReplicas(in, &configuration.learners_next)) {
    return false;
  }
  in->Fixed8(&auto_leave);
  if (!in->Bytes(&source) || auto_leave > 1) return false;
  snapshot->index = LogIndex(index);
  snapshot->term = Term(term);
  configuration.auto_leave = auto_leave == 1;
  snapshot->source = std::string(source);
  return true;
}

template <class Strong>
bool GetVarint(ByteReader* in, Strong* out) {
  uint64_t value = 0;
  if (!in->Varint(&value)) return false;
  *out = Strong(value);
  return true;
}

uint8_t FlagsOf(const Message& message, ReplicaId sender) {
  unsigned flags = 0;
  if (message.reject) flags |= kReject;
  if (message.transfer) flags |= kTransfer;
  if (message.from != sender) flags |= kFrom;
  if (message.context != 0) flags |= kContext;
  if (message.snapshot != nullptr) flags |= kSnapshot;
  return static_cast<uint8_t>(flags);
}

void PutMessage(std::string* out, const PeerEnvelope& envelope, ReplicaId sender) {
  const Message& message = envelope.message;
  const uint8_t flags = FlagsOf(message, sender);
  PutFixed8(out, static_cast<uint8_t>(message.type));
  PutFixed8(out, flags);
  PutVarint(out, static_cast<uint64_t>(envelope.wall_micros));
  PutVarint(out, message.term.value());
  PutVarint(out, message.log_term.value());
  PutVarint(out, message.index.value());
  PutVarint(out, message.commit.value());
  PutVarint(out, message.reject_hint.value());
  PutFixed64(out, message.to.value());
  if ((flags & kFrom) != 0) PutFixed64(out, message.from.value());
  if ((flags & kContext) != 0) PutVarint(out, message.context);
  if ((flags & kSnapshot) != 0) PutSnapshot(out, *message.snapshot);
  PutVarint(out, message.entries.size());
  for (const Entry& entry : message.entries) {
    const uint8_t has_data = entry.data != nullptr ? kHasData : 0;
    PutFixed8(out, static_cast<uint8_t>(static_cast<uint8_t>(entry.type) | has_data));
    PutVarint(out, entry.term.value());
    PutVarint(out, entry.index.value());
  }
}

absl::Status GetEntries(ByteReader* in, std::vector<SharedBytes> parts,
                        std::vector<Entry>* entries) {
  uint64_t count = 0;
  if (!in->Varint(&count) || count > in->remaining() / kEntryBytesMin) {
    return Malformed("count of entries");
  }
  entries->resize(count);
  size_t next_part = 0;
  for (Entry& entry : *entries) {
    uint8_t type = 0;
    in->Fixed8(&type);
    if (!GetVarint(in, &entry.term) || !GetVarint(in, &entry.index)) return Malformed("an entry");
    const uint8_t bare = type & static_cast<uint8_t>(~kHasData);
    if (bare > static_cast<uint8_t>(EntryType::kConfiguration)) {
      return Malformed("unknown type of entry");
    }
    entry.type = static_cast<EntryType>(bare);
    if ((type & kHasData) == 0) continue;
    if (next_part == parts.size()) return Malformed("an entry without its data");
    entry.data = std::move(parts[next_part++]);
  }
  if (next_part != parts.size()) return Malformed("data without an entry");
  return absl::OkStatus();
}

absl::StatusOr<PeerEnvelope> GetMessage(std::string_view header, std::vector<SharedBytes> parts,
                                        ReplicaId sender) {
  PeerEnvelope envelope;
  Message& message = envelope.message;
  ByteReader in(header);
  uint8_t type = 0;
  uint8_t flags = 0;
  uint64_t wall = 0;
  in.Fixed8(&type);
  in.Fixed8(&flags);
  in.Varint(&wall);
  GetVarint(&in, &message.term);
  GetVarint(&in, &message.log_term);
  GetVarint(&in, &message.index);
  GetVarint(&in, &message.commit);
  GetVarint(&in, &message.reject_hint);
  uint64_t to = 0;
  if (!in.Fixed64(&to)) return Malformed("too short");
  message.type = static_cast<MessageType>(type);
  if (!Travels(message.type)) return Malformed("unknown type");
  if ((flags & ~kFlags) != 0) return Malformed("unknown flags");
  envelope.wall_micros = static_cast<int64_t>(wall);
  message.reject = (flags & kReject) != 0;
  message.transfer = (flags & kTransfer) != 0;
  uint64_t from = sender.value();
  if ((flags & kFrom) != 0) in.Fixed64(&from);
  message.from = ReplicaId(from);
  message.to = ReplicaId(to);
  if ((flags & kContext) != 0) in.Varint(&message.context);
  if ((flags & kSnapshot) != 0) {
    auto snapshot = std::make_shared<SnapshotDescriptor>();
    if (!GetSnapshot(&in, snapshot.get())) return Malformed("a snapshot");
    message.snapshot = std::move(snapshot);
  }
  if (absl::Status status = GetEntries(&in, std::move(parts), &message.entries); !status.ok()) {
    return status;
  }
  if (!in.Done()) return Malformed("bytes left over");
  if (FlagsOf(message, sender) != flags) return Malformed("a flag for nothing");
  return envelope;
}

}  // namespace

bool Travels(MessageType type) {
  switch (type) {
    case MessageType::kPropose:
    case MessageType::kAppend:
    case MessageType::kAppendResponse:
    case MessageType::kVote:
    case MessageType::kVoteResponse:
    case MessageType::kSnapshot:
    case MessageType::kHeartbeat:
    case MessageType::kHeartbeatResponse:
    case MessageType::kTransferLeader:
    case MessageType::kTimeoutNow:
    case MessageType::kReadIndex:
    case MessageType::kReadIndexResponse:
    case MessageType::kPreVote:
    case MessageType::kPreVoteResponse:
      return true;
    case MessageType::kHup:
    case MessageType::kBeat:
    case MessageType::kUnreachable:
    case MessageType::kSnapshotStatus:
    case MessageType::kCheckQuorum:
    case MessageType::kForgetLeader:
      return false;
  }
  return false;
}

Record EncodeEnvelope(const PeerEnvelope& envelope, ReplicaId sender) {
  const Message& message = envelope.message;
  CHECK(Travels(message.type));
  Record record;
  record.kind = RecordKind::kMessage;
  record.shard = envelope.shard;
  record.tag = static_cast<uint64_t>(message.type);
  PutMessage(&record.header, envelope, sender);
  for (const Entry& entry : message.entries) {
    if (entry.data != nullptr) record.parts.push_back(entry.data);
  }
  return record;
}

absl::StatusOr<PeerEnvelope> DecodeEnvelope(Record record, ReplicaId sender) {
  if (record.kind != RecordKind::kMessage) return Malformed("not a Raft message");
  absl::StatusOr<PeerEnvelope> envelope =
      GetMessage(record.header, std::move(record.parts), sender);
  if (envelope.ok()) envelope->shard = record.shard;
  return envelope;
}

std::string EncodeToBytes(const PeerEnvelope& envelope) {
  CHECK(Travels(envelope.message.type));
  CHECK(envelope.message.entries.empty());
  std::string bytes;
  PutVarint(&bytes, envelope.shard.value());
  PutMessage(&bytes, envelope, ReplicaId());
  return bytes;
}

absl::StatusOr<PeerEnvelope> DecodeFromBytes(std::string_view bytes) {
  ByteReader in(bytes);
  uint32_t shard = 0;
  std::string_view rest;
  if (!in.Varint32(&shard) || !in.Skip(in.remaining(), &rest)) return Malformed("too short");
  absl::StatusOr<PeerEnvelope> envelope = GetMessage(rest, {}, ReplicaId());
  if (envelope.ok()) envelope->shard = ShardId(shard);
  return envelope;
}

}  // namespace holdfast
