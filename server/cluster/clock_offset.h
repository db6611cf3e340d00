// How far other nodes' clocks are from this node's, by a request and its answer (F. Cristian,
// "Probabilistic clock synchronization", 1989): the other clock was read at some moment between
// the two, so taking the middle is wrong by half of the time between them at most.
//
//   this node    sent ├──────────┼──────────┤ came
//   the other               wall ┘
//
// Pure. Thread-safety: thread-compatible.

#ifndef HOLDFAST_SERVER_CLUSTER_CLOCK_OFFSET_H_
#define HOLDFAST_SERVER_CLUSTER_CLOCK_OFFSET_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "base/types.h"

namespace holdfast {

// Two clocks that are further apart are warned of.
inline constexpr int64_t kClocksApartMicros = 500'000;
// Times further from 1970 are nobody's clock: in microseconds, some 4,500 years.
inline constexpr int64_t kWallMicrosMax = int64_t{1} << 57;

struct ClockOffset {
  int64_t micros = 0;              // by how much the other clock is ahead; negative: behind
  int64_t uncertainty_micros = 0;  // >= 0: the truth is within it
  bool operator==(const ClockOffset&) const = default;
};

// Of the node that answered `told_micros`, its wall clock. `sent_micros`: this node's when it
// asked. REQUIRES: both within kWallMicrosMax of 0; round_trip_micros >= 0.
ClockOffset EstimateOffset(int64_t sent_micros, int64_t round_trip_micros, int64_t told_micros);

// Two nodes whose clocks are apart.
struct ClocksApart {
  NodeId behind;
  NodeId ahead;
  int64_t micros = 0;  // by how much, as estimated
  bool operator==(const ClocksApart&) const = default;
};
// The two that are furthest apart, if that is certainly more than kClocksApartMicros. `clocks`: by
// how much each is ahead of one and the same clock.
std::optional<ClocksApart> FindClocksApart(const std::map<NodeId, ClockOffset>& clocks);

// Which clocks are apart from this node's: of all that is measured, what is new.
//
// One that is apart is taken to be right again only below 4/5 of the bound, so that one at the
// bound is not told of again and again. Bounds: as many nodes as were observed.
class ClockWatch {
 public:
  enum class Change : uint8_t { kNone, kApart, kRight };
  Change Observe(NodeId node, const ClockOffset& clock);

 private:
  std::set<NodeId> apart_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_CLOCK_OFFSET_H_
