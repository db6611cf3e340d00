// For how long nothing was heard of other nodes, counted only while one could have heard them: a
// loop that was held up, or whose process was stopped, does not take the others for lost.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_SERVER_CLUSTER_SILENCE_H_
#define HOLDFAST_SERVER_CLUSTER_SILENCE_H_

#include <algorithm>
#include <cstdint>
#include <map>

#include "base/types.h"

namespace holdfast {

class Silence {
 public:
  // Tick() will be called so often; what lies further apart counts as `tick_micros`.
  explicit Silence(int64_t tick_micros) : tick_micros_(tick_micros) {}

  // `now_micros`: monotonic.
  void Tick(int64_t now_micros) {
    if (ticked_at_ != 0) awake_micros_ += std::min(now_micros - ticked_at_, tick_micros_);
    ticked_at_ = now_micros;
  }
  void Heard(NodeId node) { heard_at_[node] = awake_micros_; }

  // The time that counts, so far.
  int64_t now() const { return awake_micros_; }
  // For how long nothing was heard of the node; at most since `since`, a now() of before.
  int64_t Of(NodeId node, int64_t since) const {
    const auto heard = heard_at_.find(node);
    const int64_t from = heard == heard_at_.end() ? since : std::max(heard->second, since);
    return awake_micros_ - from;
  }

 private:
  const int64_t tick_micros_;
  int64_t ticked_at_ = 0;
  int64_t awake_micros_ = 0;
  std::map<NodeId, int64_t> heard_at_;  // a row for each node that ever was heard
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_SILENCE_H_
