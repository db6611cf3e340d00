// What must hold at any time. Sources: LogCabin's RaftConsensusInvariants; Ongaro 2014, figure 3.2.

#include <algorithm>

#include "base/check.h"
#include "replication/raft/config_changer.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {
namespace {

void CheckPeer(const Peer& peer, LogIndex last) {
  const Progress& progress = peer.progress;
  CHECK_LT(progress.match, progress.next);
  CHECK_LE(progress.match, last);
  switch (progress.state) {
    case ProgressState::kProbe:
      CHECK_EQ(peer.inflights.count(), 0u);
      break;
    case ProgressState::kReplicate:
      CHECK_LE(Previous(progress.next), last);
      if (peer.inflights.count() == 0) break;
      CHECK_GT(peer.inflights.first_last(), progress.match);
      CHECK_LT(peer.inflights.last(), progress.next);
      break;
    case ProgressState::kSnapshot:
      CHECK_NE(progress.pending_snapshot, LogIndex());
      CHECK_EQ(peer.inflights.count(), 0u);
      break;
  }
}

void CheckTracker(const Tracker& tracker) {
  CHECK(IsValid(tracker.configuration()));
  const Peer* before = nullptr;
  for (const Peer& peer : tracker.peers()) {
    if (before != nullptr) CHECK_LT(before->id, peer.id);
    CHECK(IsMember(tracker.configuration(), peer.id));
    CHECK_EQ(peer.progress.learner, !IsVoter(tracker.configuration(), peer.id));
    before = &peer;
  }
  for (const auto* ids : {&tracker.configuration().voters, &tracker.configuration().voters_outgoing,
                          &tracker.configuration().learners}) {
    for (const ReplicaId id : *ids) CHECK(tracker.Find(id) != nullptr);
  }
}

void CheckLog(const RaftLog& log, Term term) {
  CHECK_LE(log.applied(), log.applying());
  CHECK_LE(log.applying(), log.commit());
  CHECK_LE(log.commit(), log.last());
  CHECK_LE(log.first(), Next(log.last()));
  CHECK_LE(log.LastId().term, term);
  const UnstableLog& unstable = log.unstable();
  Term before;
  if (log.TermAt(Previous(unstable.offset()), &before) != LogRead::kOk) before = Term();
  for (LogIndex i = unstable.offset(); i < unstable.end(); i = Next(i)) {
    CHECK_EQ(unstable.at(i).index, i);
    CHECK_LE(before, unstable.at(i).term);
    before = unstable.at(i).term;
  }
}

}  // namespace

void Core::Impl::CheckRole() const {
  switch (role_) {
    case Role::kLeader:
      CHECK_EQ(leader_, options_.id);
      CHECK_EQ(vote_, options_.id);
      CHECK_EQ(log_.LastId().term, term_);  // at least its first entry
      break;
    case Role::kCandidate:
      CHECK_EQ(vote_, options_.id);
      CHECK_EQ(leader_, ReplicaId());
      break;
    case Role::kPreCandidate:
      CHECK_EQ(leader_, ReplicaId());
      break;
    case Role::kFollower:
      CHECK_NE(leader_, options_.id);
      break;
  }
  if (role_ != Role::kLeader) {
    CHECK_EQ(transferee_, ReplicaId());
    CHECK_EQ(reads_.newest(), 0u);
  }
}

void Core::Impl::CheckInvariants() const {
  CheckTracker(tracker_);
  CheckLog(log_, term_);
  CheckRole();
  if (role_ == Role::kLeader) {
    for (const Peer& peer : tracker_.peers()) CheckPeer(peer, log_.last());
    CHECK_LE(pending_config_, log_.last());
    if (transferee_ != ReplicaId()) CHECK(IsVoter(tracker_.configuration(), transferee_));
  }
  // Nothing that was handed out to be stored is ever taken back.
  CHECK_LE(last_hard_state_.term, term_);
  CHECK_LE(last_hard_state_.commit, log_.commit());
  if (last_hard_state_.term == term_ && last_hard_state_.vote != ReplicaId()) {
    CHECK_EQ(last_hard_state_.vote, vote_);
  }
  CHECK_LE(queued_heartbeats_, messages_.size());
}

}  // namespace holdfast::raft
