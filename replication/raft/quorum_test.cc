#include "replication/raft/quorum.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "replication/raft/tracker.h"

namespace holdfast::raft {
namespace {

// The largest index that more than half have, found by trying all.
uint64_t BruteForceReached(const std::vector<uint64_t>& reached) {
  if (reached.empty()) return UINT64_MAX;
  uint64_t best = 0;
  for (const uint64_t index : reached) {
    const auto have = std::count_if(reached.begin(), reached.end(),
                                    [index](uint64_t other) { return other >= index; });
    if (2 * static_cast<size_t>(have) > reached.size()) best = std::max(best, index);
  }
  return best;
}

// What becomes of a vote, found by trying all ways in which those who have not voted may do.
VoteResult BruteForceResult(const VoteCount& count) {
  const size_t missing = count.voters - count.granted - count.refused;
  const auto wins = [&](size_t more) {
    return count.voters == 0 || 2 * (count.granted + more) > count.voters;
  };
  if (wins(0)) return VoteResult::kWon;
  return wins(missing) ? VoteResult::kPending : VoteResult::kLost;
}

TEST(Quorum, ReachedIsWhatMoreThanHalfHave) {
  for (size_t voters = 0; voters <= 6; ++voters) {
    size_t combinations = 1;
    for (size_t i = 0; i < voters; ++i) combinations *= 4;
    for (size_t combination = 0; combination < combinations; ++combination) {
      std::vector<uint64_t> reached;
      for (size_t i = 0, rest = combination; i < voters; ++i, rest /= 4) {
        reached.push_back(rest % 4);
      }
      const uint64_t expected = BruteForceReached(reached);
      ASSERT_EQ(MajorityReached(reached), expected) << voters << " " << combination;
    }
  }
}

TEST(Quorum, VoteEndsWhenNoMissingVoteCanChangeIt) {
  for (size_t voters = 0; voters <= 9; ++voters) {
    for (size_t granted = 0; granted <= voters; ++granted) {
      for (size_t refused = 0; granted + refused <= voters; ++refused) {
        const VoteCount count{.voters = voters, .granted = granted, .refused = refused};
        ASSERT_EQ(ResultOf(count), BruteForceResult(count))
            << voters << " " << granted << " " << refused;
      }
    }
  }
}

TEST(Quorum, JointVoteNeedsBothHalves) {
  const VoteCount won{.voters = 3, .granted = 2, .refused = 0};
  const VoteCount lost{.voters = 3, .granted = 0, .refused = 2};
  const VoteCount open{.voters = 3, .granted = 1, .refused = 1};
  const VoteCount nobody;
  struct Case {
    VoteCount incoming;
    VoteCount outgoing;
    VoteResult result;
  };
  const std::vector<Case> cases{
      {won, won, VoteResult::kWon},         {won, nobody, VoteResult::kWon},
      {nobody, won, VoteResult::kWon},      {won, open, VoteResult::kPending},
      {open, won, VoteResult::kPending},    {open, open, VoteResult::kPending},
      {open, nobody, VoteResult::kPending}, {won, lost, VoteResult::kLost},
      {lost, open, VoteResult::kLost},      {lost, nobody, VoteResult::kLost},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(ResultOf(cases[i].incoming, cases[i].outgoing), cases[i].result) << i;
  }
}

std::vector<ReplicaId> Members(unsigned bits) {
  std::vector<ReplicaId> ids;
  for (unsigned i = 0; i < 4; ++i) {
    if ((bits >> i & 1) != 0) ids.push_back(ReplicaId(i + 1));
  }
  return ids;
}

// Every joint configuration of up to four replicas, with every match of 0 to 2: an index is
// committed iff each half that has voters has a majority at or beyond it.
TEST(Quorum, TrackedCommitIsTheLargestIndexThatBothHalvesHave) {
  for (unsigned incoming = 1; incoming < 16; ++incoming) {
    for (unsigned outgoing = 0; outgoing < 16; ++outgoing) {
      for (unsigned matches = 0; matches < 81; ++matches) {
        Tracker tracker({});
        Configuration configuration;
        configuration.voters = Members(incoming);
        configuration.voters_outgoing = Members(outgoing);
        tracker.Restore(configuration, LogIndex(2));
        std::vector<uint64_t> match(5);
        for (unsigned id = 1, rest = matches; id <= 4; ++id, rest /= 3) match[id] = rest % 3;
        for (Peer& peer : tracker.peers()) {
          peer.progress.match = LogIndex(match[peer.id.value()]);
        }
        std::vector<uint64_t> in;
        std::vector<uint64_t> out;
        for (const ReplicaId id : configuration.voters) in.push_back(match[id.value()]);
        for (const ReplicaId id : configuration.voters_outgoing) out.push_back(match[id.value()]);
        ASSERT_EQ(tracker.Committed().value(),
                  std::min(BruteForceReached(in), BruteForceReached(out)))
            << incoming << " " << outgoing << " " << matches;
      }
    }
  }
}

TEST(Quorum, MoreVotersThanFitInPlaceAreCountedToo) {
  Tracker tracker({});
  Configuration configuration;
  for (uint64_t id = 1; id <= 21; ++id) configuration.voters.push_back(ReplicaId(id));
  tracker.Restore(configuration, LogIndex(100));
  for (Peer& peer : tracker.peers()) peer.progress.match = LogIndex(peer.id.value());
  EXPECT_EQ(tracker.Committed(), LogIndex(11));
}

TEST(Quorum, LearnersDoNotCount) {
  Tracker tracker({});
  Configuration configuration;
  configuration.voters = Members(0b0011);
  configuration.learners = Members(0b1100);
  tracker.Restore(configuration, LogIndex(9));
  for (Peer& peer : tracker.peers()) {
    peer.progress.match = LogIndex(peer.progress.learner ? 9 : peer.id.value());
    peer.progress.recent_active = peer.progress.learner;
  }
  EXPECT_EQ(tracker.Committed(), LogIndex(1));
  EXPECT_FALSE(tracker.QuorumActive());
}

}  // namespace
}  // namespace holdfast::raft
