#include "replication/node/peer_clocks.h"

#include <algorithm>

#include "base/mutant.h"

namespace holdfast {

void PeerClocks::Observe(ReplicaId peer, int64_t wall, int64_t monotonic) {
  heard_[peer] = {wall - monotonic, monotonic};
}

int64_t PeerClocks::WallMicros(const std::vector<ReplicaId>& voters, Reading now) {
  if (MutantIs(Mutant::kLogTimeFromOwnClock)) return now.wall;
  std::erase_if(heard_, [&](const auto& one) {
    return now.monotonic - one.second.monotonic > fresh_micros_;
  });
  std::vector<int64_t> offsets;
  for (const ReplicaId voter : voters) {
    if (voter == self_) {
      offsets.push_back(now.wall - now.monotonic);
    } else if (const auto found = heard_.find(voter); found != heard_.end()) {
      offsets.push_back(found->second.offset);
    }
  }
  if (offsets.size() > voters.size() / 2) {
    std::sort(offsets.begin(), offsets.end());
    const int64_t lower = offsets[(offsets.size() - 1) / 2];
    const int64_t upper = offsets[offsets.size() / 2];
    agreed_offset_ = std::clamp(agreed_offset_.value_or(lower), lower, upper);
  }
  return agreed_offset_.has_value() ? now.monotonic + *agreed_offset_ : now.wall;
}

}  // namespace holdfast
