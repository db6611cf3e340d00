#include "server/cluster/clock_offset.h"

#include <cstdlib>

#include "base/check.h"

namespace holdfast {

ClockOffset EstimateOffset(int64_t sent_micros, int64_t round_trip_micros, int64_t told_micros) {
  CHECK_LE(std::abs(sent_micros), kWallMicrosMax);
  CHECK_LE(std::abs(told_micros), kWallMicrosMax);
  CHECK_GE(round_trip_micros, 0);
  const int64_t half = round_trip_micros / 2;
  return {.micros = told_micros - (sent_micros + half),
          .uncertainty_micros = round_trip_micros - half};
}

std::optional<ClocksApart> FindClocksApart(const std::map<NodeId, ClockOffset>& clocks) {
  // The greatest of all that is certain: the one that is ahead at least so much, and the one that
  // is behind at least so much.
  auto ahead = clocks.end();
  auto behind = clocks.end();
  const auto least = [](const ClockOffset& clock) {
    return clock.micros - clock.uncertainty_micros;
  };
  const auto most = [](const ClockOffset& clock) {
    return clock.micros + clock.uncertainty_micros;
  };
  for (auto it = clocks.begin(); it != clocks.end(); ++it) {
    if (ahead == clocks.end() || least(it->second) > least(ahead->second)) ahead = it;
    if (behind == clocks.end() || most(it->second) < most(behind->second)) behind = it;
  }
  if (ahead == clocks.end()) return std::nullopt;
  if (least(ahead->second) - most(behind->second) <= kClocksApartMicros) return std::nullopt;
  return ClocksApart{.behind = behind->first,
                     .ahead = ahead->first,
                     .micros = ahead->second.micros - behind->second.micros};
}

ClockWatch::Change ClockWatch::Observe(NodeId node, const ClockOffset& clock) {
  const int64_t away = std::abs(clock.micros);
  if (away - clock.uncertainty_micros > kClocksApartMicros) {
    return apart_.insert(node).second ? Change::kApart : Change::kNone;
  }
  if (away + clock.uncertainty_micros < kClocksApartMicros * 4 / 5) {
    return apart_.erase(node) > 0 ? Change::kRight : Change::kNone;
  }
  return Change::kNone;
}

}  // namespace holdfast
