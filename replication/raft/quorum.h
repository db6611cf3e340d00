// What a majority says.
//
// A joint configuration has two halves; it says only what both say. A half without voters agrees
// with anything, so that a configuration that is not joint is a joint one with an empty half.
//
// Pure functions without state. Nothing is allocated for up to 16 voters.

#ifndef HOLDFAST_REPLICATION_RAFT_QUORUM_H_
#define HOLDFAST_REPLICATION_RAFT_QUORUM_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast::raft {

enum class VoteResult : uint8_t {
  kPending,  // neither is certain yet
  kLost,     // a majority has refused
  kWon,      // a majority has granted
};

// How the voters of one half have voted. `granted + refused <= voters`.
struct VoteCount {
  size_t voters = 0;
  size_t granted = 0;
  size_t refused = 0;
};

VoteResult ResultOf(const VoteCount& half);
VoteResult ResultOf(const VoteCount& incoming, const VoteCount& outgoing);

// The largest value that a majority has reached; UINT64_MAX when there are no values. `reached` is
// one value a voter, and is reordered.
uint64_t MajorityReached(std::span<uint64_t> reached);

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_QUORUM_H_
