// The appends that are on their way to one follower and not yet answered: a window by count and by
// bytes.
//
// Invariants: the last indexes ascend. Bounds: `Limits`; the byte limit may be passed by the one
// message that fills it. Memory grows with what is in flight. Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_INFLIGHTS_H_
#define HOLDFAST_REPLICATION_RAFT_INFLIGHTS_H_

#include <cstddef>
#include <cstdint>

#include "base/types.h"
#include "replication/raft/ring.h"

namespace holdfast::raft {

class Inflights {
 public:
  struct Limits {
    uint64_t messages_max = 256;
    uint64_t bytes_max = UINT64_MAX;
  };

  // A message whose last entry is `last`. REQUIRES: !Full(limits); `last` is beyond those before.
  void Add(LogIndex last, uint64_t bytes, const Limits& limits);
  // Those whose last entry is at or below `index` have been answered.
  void FreeUpTo(LogIndex index);
  void Clear();
  void ReleaseIfEmpty() { sent_.ReleaseIfEmpty(); }

  bool Full(const Limits& limits) const {
    return sent_.size() >= limits.messages_max || bytes_ >= limits.bytes_max;
  }
  size_t count() const { return sent_.size(); }
  uint64_t bytes() const { return bytes_; }
  // Of the oldest and the newest; 0: there is none.
  LogIndex first_last() const { return sent_.empty() ? LogIndex() : sent_.front().last; }
  LogIndex last() const { return sent_.empty() ? LogIndex() : sent_.back().last; }

 private:
  struct Sent {
    LogIndex last;
    uint64_t bytes = 0;
  };
  Ring<Sent> sent_;
  uint64_t bytes_ = 0;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_INFLIGHTS_H_
