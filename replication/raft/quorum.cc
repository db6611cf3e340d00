#include "replication/raft/quorum.h"

#include <algorithm>
#include <functional>

namespace holdfast::raft {
namespace {

size_t MajorityOf(size_t voters) { return voters / 2 + 1; }

}  // namespace

VoteResult ResultOf(const VoteCount& half) {
  if (half.voters == 0) return VoteResult::kWon;
  const size_t majority = MajorityOf(half.voters);
  if (half.granted >= majority) return VoteResult::kWon;
  return half.voters - half.refused >= majority ? VoteResult::kPending : VoteResult::kLost;
}

VoteResult ResultOf(const VoteCount& incoming, const VoteCount& outgoing) {
  const VoteResult in = ResultOf(incoming);
  const VoteResult out = ResultOf(outgoing);
  if (in == out) return in;
  if (in == VoteResult::kLost || out == VoteResult::kLost) return VoteResult::kLost;
  return VoteResult::kPending;
}

uint64_t MajorityReached(std::span<uint64_t> reached) {
  if (reached.empty()) return UINT64_MAX;
  // The majority-th largest.
  const auto nth = reached.begin() + static_cast<ptrdiff_t>(MajorityOf(reached.size()) - 1);
  std::nth_element(reached.begin(), nth, reached.end(), std::greater<>());
  return *nth;
}

}  // namespace holdfast::raft
