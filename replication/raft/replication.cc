#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {
namespace {

uint64_t DataBytes(const std::vector<Entry>& entries) {
  uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.size_bytes();
  return bytes;
}

}  // namespace

// Puts an entry of the own term at the end of the log. False: too much is uncommitted.
bool Core::Impl::AppendOwn(Entry entry) {
  const uint64_t bytes = entry.size_bytes();
  // One entry may be of any size, and one without data is never refused: a leader needs them.
  if (uncommitted_bytes_ > 0 && bytes > 0 &&
      bytes > options_.uncommitted_bytes_max -
                  std::min(options_.uncommitted_bytes_max, uncommitted_bytes_)) {
    Trace(Options::LogLevel::kWarn, options_.id,
          " appending new entries to log would exceed uncommitted entry size limit; "
          "dropping proposal");
    return false;
  }
  uncommitted_bytes_ += bytes;
  entry.term = term_;
  entry.index = Next(log_.last());
  // What tells this replica, when the entry is durable, to count itself.
  Message stored = To(options_.id, MessageType::kAppendResponse);
  stored.index = entry.index;
  log_.Append(std::move(entry));
  Send(std::move(stored));
  return true;
}

void Core::Impl::HandleAppend(Message message) {
  Message response = To(message.from, MessageType::kAppendResponse);
  if (message.index < log_.commit()) {
    // Old news: everything that is committed here agrees with every leader.
    if (MutantIs(Mutant::kCommitGoesBack)) log_.CommitTo(message.commit);
    response.index = log_.commit();
    Send(std::move(response));
    return;
  }
  const bool empty = message.entries.empty();
  Configuration at_append;
  if (MutantIs(Mutant::kConfigurationAtWrongIndex)) at_append = ConfigurationAfter(message.entries);
  const std::optional<LogIndex> agreed =
      log_.Accept({.term = message.log_term, .index = message.index}, &message.entries);
  if (agreed.has_value()) {
    const LogIndex checked = MutantIs(Mutant::kCommitBeyondChecked) ? log_.last() : *agreed;
    log_.CommitTo(std::min(message.commit, checked));
    if (MutantIs(Mutant::kConfigurationAtWrongIndex)) SwitchTo(at_append);
    // Only what this message has checked: what may follow in the log is perhaps not the leader's.
    response.index = MutantIs(Mutant::kAckUncheckedTail) ? log_.last() : *agreed;
    response.may_wait = empty;
    Send(std::move(response));
    return;
  }
  Trace(Options::LogLevel::kDebug, options_.id, " rejected MsgApp [logterm: ", message.log_term,
        ", index: ", message.index, "] from ", message.from);
  // The leader's log has no term above log_term up to there, so entries here of a later one need
  // not be tried.
  const EntryId guess = log_.AgreementGuess(std::min(message.index, log_.last()), message.log_term);
  response.index = message.index;
  response.reject = true;
  response.reject_hint = guess.index;
  response.log_term = guess.term;
  Send(std::move(response));
}

void Core::Impl::HandleHeartbeat(const Message& message) {
  log_.CommitTo(message.commit);
  Message response = To(message.from, MessageType::kHeartbeatResponse);
  response.context = message.context;
  Send(std::move(response));
}

void Core::Impl::HandleAppendRefused(Peer* peer, const Message& message) {
  LogIndex next_try = message.reject_hint;
  if (message.log_term > Term()) {
    // The follower's log has no term above log_term up to the hint, so entries here of a later one
    // can't be there.
    next_try = log_.AgreementGuess(message.reject_hint, message.log_term).index;
  }
  if (!peer->OnRefused(message.index, next_try)) return;
  if (peer->progress.state == ProgressState::kReplicate) peer->BecomeProbe();
  MaybeSendAppend(peer, WhenEmpty::kSend);
}

void Core::Impl::HandleAppendResponse(Peer* peer, const Message& message) {
  peer->progress.recent_active = true;
  if (message.reject) {
    HandleAppendRefused(peer, message);
    return;
  }
  const bool answers_probe =
      peer->progress.match == message.index && peer->progress.state == ProgressState::kProbe;
  if (!peer->OnStored(message.index) && !answers_probe) return;
  switch (peer->progress.state) {
    case ProgressState::kProbe:
      peer->BecomeReplicate();
      break;
    case ProgressState::kSnapshot:
      // Whichever snapshot it has installed: the log can be used from there on.
      if (Next(peer->progress.match) >= log_.first()) {
        peer->BecomeProbe();
        peer->BecomeReplicate();
      }
      break;
    case ProgressState::kReplicate:
      peer->inflights.FreeUpTo(message.index);
      break;
  }
  const bool self = peer->id == options_.id;
  if (MaybeCommit()) {
    ReleaseWaitingReads();
    BroadcastAppend(WhenEmpty::kSend);
  } else if (!self && peer->CanUseCommit(log_.commit())) {
    MaybeSendAppend(peer, WhenEmpty::kSend);
  }
  if (!self) {
    while (MaybeSendAppend(peer, WhenEmpty::kDoNotSend)) {
    }
  }
  if (peer->id == transferee_ && peer->progress.match == log_.last()) {
    Trace(Options::LogLevel::kInfo, options_.id, " sent MsgTimeoutNow to ", peer->id,
          " after received MsgAppResp");
    Send(To(peer->id, MessageType::kTimeoutNow));
  }
}

void Core::Impl::HandleHeartbeatResponse(Peer* peer, const Message& message) {
  peer->progress.recent_active = true;
  peer->progress.append_paused = false;
  // If all that fills the window was lost, this append, empty then, is what finds it out; and a
  // peer that is probed goes back to replicating by its answer.
  if (peer->progress.match < log_.last() || peer->progress.state == ProgressState::kProbe) {
    MaybeSendAppend(peer, WhenEmpty::kSend);
  }
  if (message.context == 0) return;
  peer->read_ack = std::max(peer->read_ack, message.context);
  AnswerConfirmedReads();
}

bool Core::Impl::MaybeSendAppend(Peer* peer, WhenEmpty when_empty) {
  if (peer->IsPaused()) return false;
  Message message = To(peer->id, MessageType::kAppend);
  message.index = Previous(peer->progress.next);
  if (log_.TermAt(message.index, &message.log_term) != LogRead::kOk) {
    return MaybeSendSnapshot(peer);
  }
  // With a full window only an empty append goes.
  const bool full =
      peer->progress.state == ProgressState::kReplicate && peer->inflights.Full(tracker_.limits());
  if (!full && peer->progress.next <= log_.last()) {
    const LogRead read = log_.Read(peer->progress.next, Next(log_.last()),
                                   options_.message_bytes_max, &message.entries);
    if (read == LogRead::kCompacted) return MaybeSendSnapshot(peer);
    if (read != LogRead::kOk) return false;
  }
  if (message.entries.empty() && when_empty == WhenEmpty::kDoNotSend) return false;
  message.commit = log_.commit();
  message.may_wait = message.entries.empty();
  peer->OnSent(message.entries.size(), DataBytes(message.entries), tracker_.limits());
  peer->OnCommitSent(message.commit);
  Send(std::move(message));
  return true;
}

void Core::Impl::BroadcastAppend(WhenEmpty when_empty) {
  for (Peer& peer : tracker_.peers()) {
    if (peer.id != options_.id) MaybeSendAppend(&peer, when_empty);
  }
}

void Core::Impl::BroadcastHeartbeat() {
  const uint64_t newest_read = reads_.newest();
  size_t sent = 0;
  for (Peer& peer : tracker_.peers()) {
    if (peer.id == options_.id) continue;
    Message message = To(peer.id, MessageType::kHeartbeat);
    // Beyond its match, the peer may have other entries than those that are committed.
    message.commit = std::min(peer.progress.match, log_.commit());
    message.context = newest_read;
    peer.OnCommitSent(message.commit);
    Send(std::move(message));
    ++sent;
  }
  queued_heartbeats_ = sent;
}

bool Core::Impl::MaybeCommit() {
  const LogIndex index = tracker_.Committed();
  if (MutantIs(Mutant::kCommitOnlyAtOwnLast)) {
    const Peer* self = tracker_.Find(options_.id);
    if (self != nullptr && index < self->progress.match) return false;
  }
  if (index <= log_.commit() || index > log_.last()) return false;
  Term term;
  if (log_.TermAt(index, &term) != LogRead::kOk) return false;
  // An entry of an earlier term may be replaced even if a majority has it, until one of this term
  // after it is committed (Ongaro 2014, figure 3.7).
  if (term != term_ && !MutantIs(Mutant::kCommitOldTermByCounting)) return false;
  log_.CommitTo(index);
  return true;
}

void Core::Impl::ReportUnreachable(ReplicaId id) {
  Peer* peer = tracker_.Find(id);
  if (role_ != Role::kLeader || peer == nullptr) return;
  // An append was probably lost.
  if (peer->progress.state == ProgressState::kReplicate) peer->BecomeProbe();
  // Or the order to campaign.
  if (transferee_ == id) GiveUpTransfer();
}

void Core::Impl::LogFetched() {
  fetching_ = false;
  if (finding_changes_) FindConfigChanges();
  if (role_ != Role::kLeader) return;
  for (Peer& peer : tracker_.peers()) {
    if (peer.id == options_.id) continue;
    while (MaybeSendAppend(&peer, WhenEmpty::kDoNotSend)) {
    }
  }
}

}  // namespace holdfast::raft
