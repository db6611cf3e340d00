#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {

void Core::Impl::Reset(Term term) {
  if (term_ != term) {
    term_ = term;
    vote_ = ReplicaId();
  }
  leader_ = ReplicaId();
  queued_heartbeats_ = 0;
  election_elapsed_ = 0;
  heartbeat_elapsed_ = 0;
  randomized_election_ticks_ =
      options_.election_ticks + static_cast<uint32_t>(random_.Below(options_.election_ticks));
  transferee_ = ReplicaId();
  const LogIndex last = log_.last();
  for (Peer& peer : tracker_.peers()) {
    peer.Reset(Next(last));
    if (peer.id == options_.id) peer.progress.match = last;
  }
  pending_config_ = LogIndex();
  uncommitted_bytes_ = 0;
  reads_.Clear();
}

void Core::Impl::BecomeFollower(Term term, ReplicaId leader) {
  Reset(term);
  leader_ = leader;
  role_ = Role::kFollower;
  Trace(Options::LogLevel::kInfo, options_.id, " became follower at term ", term_);
}

void Core::Impl::BecomePreCandidate() {
  CHECK(role_ != Role::kLeader);
  // Term and vote stay: the election may never begin.
  tracker_.ResetVotes();
  leader_ = ReplicaId();
  role_ = Role::kPreCandidate;
  Trace(Options::LogLevel::kInfo, options_.id, " became pre-candidate at term ", term_);
}

void Core::Impl::BecomeCandidate() {
  CHECK(role_ != Role::kLeader);
  Reset(Term(term_.value() + 1));
  vote_ = options_.id;
  role_ = Role::kCandidate;
  Trace(Options::LogLevel::kInfo, options_.id, " became candidate at term ", term_);
}

void Core::Impl::BecomeLeader() {
  CHECK(role_ == Role::kCandidate);
  Reset(term_);
  leader_ = options_.id;
  role_ = Role::kLeader;
  if (Peer* self = tracker_.Find(options_.id)) {
    self->BecomeReplicate();
    self->progress.recent_active = true;
  }
  // There may be a change among the entries of earlier terms. They are not searched: the next one
  // waits until all of them are applied, and so until an entry of this term is committed.
  if (!MutantIs(Mutant::kConfigChangeBeforeOwnCommit)) pending_config_ = log_.last();
  CHECK(AppendOwn(Entry{.term = {}, .index = {}, .type = EntryType::kNoOp, .data = nullptr}));
  Trace(Options::LogLevel::kInfo, options_.id, " became leader at term ", term_);
}

void Core::Impl::Campaign() {
  if (stopped_) return;
  Hup(options_.pre_vote ? CampaignKind::kPreElection : CampaignKind::kElection);
}

void Core::Impl::Hup(CampaignKind kind) {
  if (role_ == Role::kLeader) return;
  if (!IsPromotable()) {
    Trace(Options::LogLevel::kWarn, options_.id, " is unpromotable and can not campaign");
    return;
  }
  // A configuration that is committed may already decide who the voters are.
  if (AwaitsConfigChange()) {
    Trace(Options::LogLevel::kWarn, options_.id, " cannot campaign at term ", term_,
          " since there are still pending configuration changes to apply");
    return;
  }
  Trace(Options::LogLevel::kInfo, options_.id, " is starting a new election at term ", term_);
  CampaignAs(kind);
}

bool Core::Impl::IsPromotable() const {
  const Peer* self = tracker_.Find(options_.id);
  return self != nullptr && !self->progress.learner && log_.unstable().snapshot() == nullptr;
}

void Core::Impl::FindConfigChanges() {
  finding_changes_ = log_.FindConfigChanges(options_.committed_bytes_max) != LogRead::kOk;
}

// Whether a change that is known to be committed is not applied, or not all of the log is known.
// If not, the log has at most one change that does not count yet: the majorities of neighbouring
// configurations overlap, those of others need not.
bool Core::Impl::AwaitsConfigChange() {
  FindConfigChanges();
  if (finding_changes_) return true;  // the next timeout asks again
  const std::vector<LogIndex>& changes = log_.config_changes();
  if (changes.empty()) return false;
  // A change is logged when the one before it has been applied, and so is committed: the second
  // in the log says so of the first, also to who has lost the commit index in a crash.
  const bool proves =
      options_.validate_config_changes && !MutantIs(Mutant::kElectionTwoConfigsBehind);
  if (proves && changes.size() > 1) log_.CommitTo(changes[changes.size() - 2]);
  return changes.front() <= log_.commit();
}

void Core::Impl::CampaignAs(CampaignKind kind) {
  MessageType request = MessageType::kVote;
  MessageType response = MessageType::kVoteResponse;
  Term term = Term(term_.value() + 1);
  if (kind == CampaignKind::kPreElection) {
    BecomePreCandidate();
    request = MessageType::kPreVote;
    response = MessageType::kPreVoteResponse;
  } else {
    BecomeCandidate();
  }
  const EntryId last = log_.LastId();
  for (const Peer& peer : tracker_.peers()) {
    if (peer.progress.learner) continue;
    const bool self = peer.id == options_.id;
    // The own vote counts like the others': when it is durable.
    Message message = To(peer.id, self ? response : request);
    message.term = term;
    if (!self) {
      message.index = last.index;
      message.log_term = last.term;
      message.transfer = kind == CampaignKind::kTransfer;
      Trace(Options::LogLevel::kInfo, options_.id, " [logterm: ", last.term,
            ", index: ", last.index, "] sent a vote request to ", peer.id, " at term ", term_);
    }
    Send(std::move(message));
  }
  if (MutantIs(Mutant::kElectionByUnstoredEntries)) {
    std::erase_if(messages_after_write_, [&](const Message& message) {
      return message.to == options_.id && message.type == response;
    });
    CountVote(options_.id, Peer::Vote::kGranted);
  }
}

// Whether a leader has been heard of so recently that candidates are not listened to.
bool Core::Impl::HearsOnlyLeader() const {
  if (!options_.check_quorum) return false;
  if (MutantIs(Mutant::kStickinessForever)) return term_ != Term();
  return leader_ != ReplicaId() && election_elapsed_ < options_.election_ticks;
}

void Core::Impl::HandleVoteRequest(const Message& message) {
  const bool real = message.type == MessageType::kVote;
  bool may_vote = vote_ == message.from || (vote_ == ReplicaId() && leader_ == ReplicaId()) ||
                  (!real && message.term > term_);
  if (MutantIs(Mutant::kSecondVoteForTransferee)) may_vote |= message.transfer;
  const EntryId last = log_.LastId();
  const EntryId candidate_last{.term = message.log_term, .index = message.index};
  const bool granted = may_vote && candidate_last >= last;
  Trace(Options::LogLevel::kInfo, options_.id, " [logterm: ", last.term, ", index: ", last.index,
        ", vote: ", vote_, granted ? "] cast a vote for " : "] refused a vote to ", message.from,
        " [logterm: ", message.log_term, ", index: ", message.index, "] at term ", term_);
  Message response =
      To(message.from, real ? MessageType::kVoteResponse : MessageType::kPreVoteResponse);
  // The asker's term: its pre-vote is of one that this replica has not begun.
  response.term = granted ? message.term : term_;
  response.reject = !granted;
  if (!granted && !IsPromotable()) TellCommit(&response);
  if (granted && real) {
    election_elapsed_ = 0;
    vote_ = message.from;
  }
  Send(std::move(response));
}

// A replica that is no voter any more, and so never campaigns, may have a longer log than those who
// do not know yet that they can do without its vote: the entry that says so is in their logs, but
// the leader was gone before it told them that it is committed. This replica tells them instead.
void Core::Impl::TellCommit(Message* refusal) const {
  refusal->commit = log_.commit();
  if (log_.TermAt(refusal->commit, &refusal->log_term) != LogRead::kOk) refusal->commit = {};
}

void Core::Impl::LearnCommit(const Message& refusal) {
  if (role_ == Role::kLeader || refusal.commit == LogIndex()) return;
  // The same entry there: the logs agree up to it, whatever the term is by now.
  if (!log_.Has({.term = refusal.log_term, .index = refusal.commit})) return;
  log_.CommitTo(refusal.commit);
}

void Core::Impl::HandleVoteResponse(const Message& message) {
  CountVote(message.from, message.reject ? Peer::Vote::kRefused : Peer::Vote::kGranted);
}

void Core::Impl::CountVote(ReplicaId from, Peer::Vote vote) {
  Trace(Options::LogLevel::kInfo, options_.id, " received a vote",
        vote == Peer::Vote::kGranted ? "" : " rejection", " from ", from, " at term ", term_);
  tracker_.RecordVote(from, vote);
  switch (tracker_.Votes()) {
    case VoteResult::kPending:
      break;
    case VoteResult::kWon:
      if (role_ == Role::kPreCandidate) {
        CampaignAs(CampaignKind::kElection);
      } else {
        BecomeLeader();
        BroadcastAppend(WhenEmpty::kSend);
      }
      break;
    case VoteResult::kLost:
      BecomeFollower(term_, ReplicaId());
      break;
  }
}

void Core::Impl::ForgetLeader() {
  if (role_ != Role::kFollower || leader_ == ReplicaId()) return;
  Trace(Options::LogLevel::kInfo, options_.id, " forgetting leader ", leader_, " at term ", term_);
  leader_ = ReplicaId();
}

bool Core::Impl::IsLeaderSilent() const {
  return role_ == Role::kFollower && leader_ != ReplicaId() &&
         election_elapsed_ >= options_.election_ticks;
}

void Core::Impl::StopLeading() {
  if (MutantIs(Mutant::kLeadAfterFailedWrite)) return;
  stopped_ = true;
  BecomeFollower(term_, ReplicaId());
}

void Core::Impl::Tick() {
  if (stopped_) return;
  fetching_ = false;
  ReleaseIdleMemory();
  if (role_ == Role::kLeader) {
    TickHeartbeat();
  } else {
    TickElection();
  }
}

// What grew under load and is empty now. There are many groups, and few are busy.
void Core::Impl::ReleaseIdleMemory() {
  log_.ReleaseIfEmpty();
  reads_.ReleaseIfEmpty();
  for (Peer& peer : tracker_.peers()) peer.inflights.ReleaseIfEmpty();
}

void Core::Impl::TickElection() {
  ++election_elapsed_;
  if (!IsPromotable() || election_elapsed_ < randomized_election_ticks_) return;
  election_elapsed_ = 0;
  Campaign();
}

void Core::Impl::TickHeartbeat() {
  ++heartbeat_elapsed_;
  ++election_elapsed_;
  if (election_elapsed_ >= options_.election_ticks) {
    election_elapsed_ = 0;
    if (options_.check_quorum) {
      if (!tracker_.QuorumActive()) {
        Trace(Options::LogLevel::kWarn, options_.id,
              " stepped down to follower since quorum is not active");
        BecomeFollower(term_, ReplicaId());
      }
      tracker_.ForgetActivity(options_.id);
    }
    GiveUpTransfer();  // one that took this long has failed
  }
  if (role_ != Role::kLeader || heartbeat_elapsed_ < options_.heartbeat_ticks) return;
  heartbeat_elapsed_ = 0;
  BroadcastHeartbeat();
}

}  // namespace holdfast::raft
