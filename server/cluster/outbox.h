// The messages of one loop that wait to go to other nodes.
//
// Most go at once, together with what else waits for that node. What nobody waits for, the news
// that an entry is committed and the answer to that, waits for one of those; and if a later message
// says the same or more, it does not go at all. So under load an entry costs a follower one message
// and one answer, and not two of each.
//
// Bounds: what may wait is at most a few messages a shard and node; the caller sends the rest once
// a turn. Thread-safety: thread-compatible.

#ifndef HOLDFAST_SERVER_CLUSTER_OUTBOX_H_
#define HOLDFAST_SERVER_CLUSTER_OUTBOX_H_

#include <cstdint>
#include <map>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/types.h"
#include "replication/transport/peer_types.h"

namespace holdfast {

class Outbox {
 public:
  enum class Which : uint8_t { kUrgent, kAll };
  using Sink = absl::FunctionRef<void(NodeId to, std::vector<PeerEnvelope> messages)>;

  // True: it is to go at once. False: it may wait.
  bool Add(NodeId to, PeerEnvelope envelope);
  // Gives away what waits, in the order in which it came, node by node: of those nodes to which
  // something is to go at once, or of all.
  void Take(Which which, Sink sink);

 private:
  struct Lane {
    std::vector<PeerEnvelope> messages;
    size_t waiting = 0;  // of messages, those that may wait
  };
  std::map<NodeId, Lane> lanes_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_OUTBOX_H_
