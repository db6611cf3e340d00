// The four streams between two nodes, in each direction.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_STREAM_KIND_H_
#define HOLDFAST_REPLICATION_TRANSPORT_STREAM_KIND_H_

#include <cstddef>
#include <cstdint>

#include "replication/raft/types.h"

namespace holdfast {

enum class StreamKind : uint8_t { kControl, kAppend, kForward, kSnapshot };
inline constexpr size_t kStreamKinds = 4;

// Its method of the service holdfast.peer.v1.Peer.
constexpr const char* MethodOf(StreamKind kind) {
  switch (kind) {
    case StreamKind::kControl:
      return "/holdfast.peer.v1.Peer/Control";
    case StreamKind::kAppend:
      return "/holdfast.peer.v1.Peer/Append";
    case StreamKind::kForward:
      return "/holdfast.peer.v1.Peer/Forward";
    case StreamKind::kSnapshot:
      return "/holdfast.peer.v1.Peer/Snapshot";
  }
  return "";
}

// Which stream carries it: what may have entries, and what answers that, must not be in the way of
// the rest.
constexpr StreamKind StreamOf(raft::MessageType type) {
  switch (type) {
    case raft::MessageType::kPropose:
    case raft::MessageType::kAppend:
    case raft::MessageType::kAppendResponse:
    case raft::MessageType::kSnapshot:
      return StreamKind::kAppend;
    default:
      return StreamKind::kControl;
  }
}

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_STREAM_KIND_H_
