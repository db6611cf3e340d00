// The words of the transport between nodes: who is who, and what passes between them.
//
// Plain values. Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_PEER_TYPES_H_
#define HOLDFAST_REPLICATION_TRANSPORT_PEER_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/types.h"
#include "replication/raft/types.h"

namespace holdfast {

// What a node says of itself: its data directory's identity and its address.
struct PeerIdentity {
  std::string cluster_id;
  NodeId node;
  ReplicaId replica;  // the disk id
  uint32_t shards = 0;
  uint64_t incarnation = 0;  // rises with each start of the node on this disk; > 0
  std::string address;       // HOST:PORT as the other nodes have it
};

// Where another node is. Addresses are compared as they are written.
struct PeerPlace {
  std::string address;
  // The disk that it must come with; 0: any.
  ReplicaId replica;
  bool operator==(const PeerPlace&) const = default;
};
using PeerPlaces = std::map<NodeId, PeerPlace>;

// A Raft message on its way. message.from and message.to are replicas; that `from` is who the
// stream says it is is for the receiver to check where it matters: a message may name a third
// replica there (kTransferLeader).
struct PeerEnvelope {
  ShardId shard;
  // The sender's wall clock when the message was made, microseconds since the Unix epoch.
  int64_t wall_micros = 0;
  raft::Message message;
};

// What became of a request that was passed to another node.
enum class ForwardOutcome : uint8_t {
  kReplied,  // `reply` is the answer
  kNotSent,  // certainly not executed: no connection, or too much waits
  kUnknown,  // it may have been executed: the connection broke, or there was no answer
};
struct ForwardResult {
  ForwardOutcome outcome = ForwardOutcome::kNotSent;
  std::shared_ptr<const std::string> reply;  // kReplied: not nullptr
};

// A part of a shard's state on its way to another node. All but the shard is for the two ends to
// give a meaning to.
struct SnapshotPart {
  ShardId shard;
  std::string header;                       // at most 1 MiB
  std::shared_ptr<const std::string> data;  // nullptr: none
};
enum class SnapshotSend : uint8_t {
  kQueued,
  kWait,  // not taken: OnSnapshotStream tells when to try again
};
enum class SnapshotStream : uint8_t {
  kRoom,    // parts are taken again
  kBroken,  // parts that were not answered may be lost; sending again makes a new stream
};

// What happened to the connection to another node.
struct PeerChange {
  enum class Kind : uint8_t {
    kUp,       // greeted: what is sent from now on may arrive
    kDown,     // broken: what was sent may be lost; a hint that the node is gone
    kRefused,  // one of the two refused the other: an operator has to do what `why` says
  };
  Kind kind = Kind::kDown;
  NodeId node;
  ReplicaId replica;  // the disk it greeted with last; 0: it never did
  std::string why;    // kDown, kRefused
};

// One other node, for showing.
struct PeerStatus {
  NodeId node;
  std::string address;
  ReplicaId replica;  // as in PeerChange
  bool up = false;
  std::string problem;           // why it is not up, as far as known
  int64_t since_micros = 0;      // when `up` became so: this node's wall clock
  uint64_t dropped_control = 0;  // messages since the start
  uint64_t dropped_appends = 0;
  uint64_t sent_frames = 0;
  uint64_t sent_bytes = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_PEER_TYPES_H_
