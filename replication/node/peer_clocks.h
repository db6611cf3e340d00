// The wall clock that a majority of a group's voters agrees on, from what their messages say.
//
// A reading is kept as its offset from this replica's monotonic clock; how long the message
// travelled is not known and adds to its error. One wrong clock among three moves the median no
// further than to another voter's clock. Of two clocks either may be the wrong one: what was agreed
// on last goes on between them. With readings of fewer than a majority it goes on by itself.
//
// Pure. Thread-safety: thread-compatible; owned by one Group.

#ifndef HOLDFAST_REPLICATION_NODE_PEER_CLOCKS_H_
#define HOLDFAST_REPLICATION_NODE_PEER_CLOCKS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/types.h"

namespace holdfast {

class PeerClocks {
 public:
  // One moment on this replica's two clocks, in microseconds.
  struct Reading {
    int64_t monotonic = 0;
    int64_t wall = 0;
  };

  // Readings older than `fresh_micros` do not count.
  PeerClocks(ReplicaId self, int64_t fresh_micros) : self_(self), fresh_micros_(fresh_micros) {}

  // A message of `peer` that came at `monotonic` says `wall`.
  void Observe(ReplicaId peer, int64_t wall, int64_t monotonic);

  // The median of the fresh clocks of `voters`; of two in the middle, what was last agreed on
  // within these two, and at first the earlier. `now.wall` if a majority was never heard.
  int64_t WallMicros(const std::vector<ReplicaId>& voters, Reading now);

 private:
  struct Heard {
    int64_t offset = 0;  // wall - monotonic
    int64_t monotonic = 0;
  };
  const ReplicaId self_;
  const int64_t fresh_micros_;
  std::map<ReplicaId, Heard> heard_;
  std::optional<int64_t> agreed_offset_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_PEER_CLOCKS_H_
