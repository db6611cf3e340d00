#include "replication/raft/tracker.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/check.h"
#include "replication/raft/config_changer.h"

namespace holdfast::raft {
namespace {

constexpr size_t kVotersInPlace = 16;

// Calls visit(peer) for each voter; both are ascending.
template <class Visit>
void ForEach(const std::vector<ReplicaId>& voters, const std::vector<Peer>& peers, Visit visit) {
  auto peer = peers.begin();
  for (const ReplicaId id : voters) {
    while (peer->id < id) ++peer;
    visit(*peer);
  }
}

template <class Value>
uint64_t Reached(const std::vector<ReplicaId>& voters, const std::vector<Peer>& peers,
                 Value value) {
  std::array<uint64_t, kVotersInPlace> in_place;
  std::vector<uint64_t> many;
  std::span<uint64_t> reached(in_place.data(), std::min(voters.size(), kVotersInPlace));
  if (voters.size() > kVotersInPlace) {
    many.resize(voters.size());
    reached = many;
  }
  size_t n = 0;
  ForEach(voters, peers, [&](const Peer& peer) { reached[n++] = value(peer); });
  return MajorityReached(reached);
}

template <class Judge>
VoteCount Count(const std::vector<ReplicaId>& voters, const std::vector<Peer>& peers, Judge judge) {
  VoteCount count{.voters = voters.size()};
  ForEach(voters, peers, [&](const Peer& peer) {
    const Peer::Vote vote = judge(peer);
    if (vote == Peer::Vote::kGranted) ++count.granted;
    if (vote == Peer::Vote::kRefused) ++count.refused;
  });
  return count;
}

Peer NewPeer(ReplicaId id, LogIndex last) {
  Peer peer;
  peer.id = id;
  // Probed at the end of the own log. As if just heard of, so that a leader that admits it is not
  // taken for cut off.
  peer.progress.next = std::max(last, LogIndex(1));
  peer.progress.recent_active = true;
  return peer;
}

}  // namespace

void Tracker::Restore(Configuration configuration, LogIndex last) {
  peers_.clear();
  Reconfigure(std::move(configuration), last);
}

void Tracker::Reconfigure(Configuration configuration, LogIndex last) {
  CHECK(IsValid(configuration));
  configuration_ = std::move(configuration);
  std::vector<ReplicaId> ids = configuration_.voters;
  for (const auto* more : {&configuration_.voters_outgoing, &configuration_.learners}) {
    ids.insert(ids.end(), more->begin(), more->end());
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<Peer> peers;
  peers.reserve(ids.size());
  for (const ReplicaId id : ids) {
    Peer* known = Find(id);
    peers.push_back(known != nullptr ? std::move(*known) : NewPeer(id, last));
    peers.back().progress.learner = !IsVoter(configuration_, id);
  }
  peers_ = std::move(peers);
}

const Peer* Tracker::Find(ReplicaId id) const {
  for (const Peer& peer : peers_) {
    if (peer.id == id) return &peer;
  }
  return nullptr;
}

Peer* Tracker::Find(ReplicaId id) {
  return const_cast<Peer*>(static_cast<const Tracker*>(this)->Find(id));
}

LogIndex Tracker::Committed() const {
  const auto stored = [](const Peer& peer) { return peer.progress.match.value(); };
  return LogIndex(std::min(Reached(configuration_.voters, peers_, stored),
                           Reached(configuration_.voters_outgoing, peers_, stored)));
}

uint64_t Tracker::ConfirmedRead() const {
  const auto confirmed = [](const Peer& peer) { return peer.read_ack; };
  return std::min(Reached(configuration_.voters, peers_, confirmed),
                  Reached(configuration_.voters_outgoing, peers_, confirmed));
}

bool Tracker::QuorumActive() const {
  const auto heard = [](const Peer& peer) {
    return peer.progress.recent_active ? Peer::Vote::kGranted : Peer::Vote::kRefused;
  };
  return ResultOf(Count(configuration_.voters, peers_, heard),
                  Count(configuration_.voters_outgoing, peers_, heard)) == VoteResult::kWon;
}

void Tracker::ForgetActivity(ReplicaId self) {
  for (Peer& peer : peers_) {
    if (peer.id != self) peer.progress.recent_active = false;
  }
}

void Tracker::ResetVotes() {
  for (Peer& peer : peers_) peer.vote = Peer::Vote::kNone;
}

void Tracker::RecordVote(ReplicaId id, Peer::Vote vote) {
  Peer* peer = Find(id);
  if (peer != nullptr && peer->vote == Peer::Vote::kNone) peer->vote = vote;
}

VoteResult Tracker::Votes() const {
  const auto vote = [](const Peer& peer) { return peer.vote; };
  return ResultOf(Count(configuration_.voters, peers_, vote),
                  Count(configuration_.voters_outgoing, peers_, vote));
}

}  // namespace holdfast::raft
