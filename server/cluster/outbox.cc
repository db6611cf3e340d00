#include "server/cluster/outbox.h"

#include <algorithm>
#include <utility>

namespace holdfast {
namespace {

using raft::Message;
using raft::MessageType;

// Whether `later` tells all that `earlier` does, which then need not go.
bool Covers(const PeerEnvelope& later, const PeerEnvelope& earlier) {
  const Message& a = earlier.message;
  const Message& b = later.message;
  if (later.shard != earlier.shard || a.type != b.type || a.to != b.to || a.term != b.term) {
    return false;
  }
  if (a.type == MessageType::kAppend) return b.commit >= a.commit;
  return a.type == MessageType::kAppendResponse && !b.reject && b.index >= a.index;
}

}  // namespace

bool Outbox::Add(NodeId to, PeerEnvelope envelope) {
  Lane& lane = lanes_[to];
  if (lane.waiting > 0) {
    lane.waiting -= std::erase_if(lane.messages, [&](const PeerEnvelope& earlier) {
      return earlier.message.may_wait && Covers(envelope, earlier);
    });
  }
  const bool may_wait = envelope.message.may_wait;
  if (may_wait) ++lane.waiting;
  lane.messages.push_back(std::move(envelope));
  return !may_wait;
}

void Outbox::Take(Which which, Sink sink) {
  for (auto& [to, lane] : lanes_) {
    const size_t urgent = lane.messages.size() - lane.waiting;
    if (lane.messages.empty() || (which == Which::kUrgent && urgent == 0)) continue;
    lane.waiting = 0;
    sink(to, std::exchange(lane.messages, {}));
  }
}

}  // namespace holdfast
