#include "replication/raft/peer.h"

#include <algorithm>

#include "base/check.h"
#include "base/mutant.h"

namespace holdfast::raft {
namespace {

void Enter(ProgressState state, Peer* peer) {
  peer->progress.state = state;
  peer->progress.append_paused = false;
  peer->progress.pending_snapshot = LogIndex();
  peer->inflights.Clear();
}

}  // namespace

void Peer::Reset(LogIndex next) {
  const bool learner = progress.learner;
  progress = Progress();
  progress.next = next;
  progress.learner = learner;
  sent_commit = LogIndex();
  read_ack = 0;
  vote = Vote::kNone;
  inflights.Clear();
}

void Peer::BecomeProbe() {
  // A snapshot that has arrived is where to go on from.
  const LogIndex after_snapshot =
      progress.state == ProgressState::kSnapshot ? Next(progress.pending_snapshot) : LogIndex();
  Enter(ProgressState::kProbe, this);
  progress.next = std::max(Next(progress.match), after_snapshot);
  sent_commit = std::min(sent_commit, Previous(progress.next));
}

void Peer::BecomeReplicate() {
  Enter(ProgressState::kReplicate, this);
  progress.next = Next(progress.match);
}

void Peer::BecomeSnapshot(LogIndex index) {
  Enter(ProgressState::kSnapshot, this);
  progress.pending_snapshot = index;
  progress.next = std::max(Next(index), Next(progress.match));
  sent_commit = index;
}

bool Peer::IsPaused() const {
  return progress.state == ProgressState::kSnapshot || progress.append_paused;
}

void Peer::OnSent(uint64_t entries, uint64_t bytes, const Inflights::Limits& limits) {
  CHECK(progress.state != ProgressState::kSnapshot);
  if (progress.state == ProgressState::kProbe) {
    if (entries > 0) progress.append_paused = true;
    return;
  }
  if (entries > 0) {
    progress.next = LogIndex(progress.next.value() + entries);
    inflights.Add(Previous(progress.next), bytes, limits);
  }
  // With a full window, this append is the last one until a heartbeat is answered.
  progress.append_paused = inflights.Full(limits);
}

bool Peer::CanUseCommit(LogIndex commit) const {
  return commit > sent_commit && sent_commit < Previous(progress.next);
}

bool Peer::OnStored(LogIndex index) {
  if (index <= progress.match) return false;
  progress.match = index;
  progress.next = std::max(progress.next, Next(index));
  progress.append_paused = false;
  return true;
}

bool Peer::OnRefused(LogIndex refused, LogIndex hint) {
  if (progress.state == ProgressState::kReplicate) {
    if (refused <= progress.match) return false;
    progress.next = Next(progress.match);
  } else {
    // Others than the one append under way are old.
    if (Previous(progress.next) != refused) return false;
    if (MutantIs(Mutant::kProbeOneByOne)) hint = Previous(refused);
    progress.next = std::max(std::min(refused, Next(hint)), Next(progress.match));
    progress.append_paused = MutantIs(Mutant::kProbeOneByOne);
  }
  sent_commit = std::min(sent_commit, Previous(progress.next));
  return true;
}

Progress Peer::Shown(const Inflights::Limits& limits) const {
  Progress shown = progress;
  shown.inflight_messages = static_cast<uint32_t>(inflights.count());
  shown.inflight_full = inflights.Full(limits);
  return shown;
}

}  // namespace holdfast::raft
