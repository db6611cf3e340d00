#include <algorithm>
#include <utility>

#include "base/check.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {

void Core::Impl::ReadIndex(uint64_t context) {
  if (stopped_) return;
  if (role_ == Role::kLeader) {
    HandleReadIndex(options_.id, context);
  } else if (role_ == Role::kFollower && leader_ != ReplicaId()) {
    Message message = To(leader_, MessageType::kReadIndex);
    message.context = context;
    Send(std::move(message));
  }
}

void Core::Impl::HandleReadIndex(ReplicaId from, uint64_t context) {
  const ReadQueue::Read read{.from = from, .context = context, .index = {}};
  // Before that, this leader does not know how far its predecessors had committed.
  if (!committed_in_term() && !MutantIs(Mutant::kReadWithoutOwnCommit)) {
    reads_.Wait(read);
    return;
  }
  AddRead(read);
}

void Core::Impl::AddRead(ReadQueue::Read read) {
  read.index = log_.commit();
  Peer* self = tracker_.Find(options_.id);
  const bool alone = tracker_.IsSingleVoter() && self != nullptr && !self->progress.learner;
  if (alone || MutantIs(Mutant::kReadWithoutQuorum)) {
    Answer(read);
    return;
  }
  reads_.Add(read);
  if (self != nullptr) self->read_ack = reads_.newest();
  // Heartbeats that have not left yet serve this read as well.
  if (queued_heartbeats_ == 0) {
    BroadcastHeartbeat();
    return;
  }
  CHECK_LE(queued_heartbeats_, messages_.size());
  for (size_t i = messages_.size() - queued_heartbeats_; i < messages_.size(); ++i) {
    messages_[i].context = reads_.newest();
  }
}

void Core::Impl::Answer(const ReadQueue::Read& read) {
  if (read.from == options_.id) {
    read_states_.push_back({.context = read.context, .index = read.index});
    return;
  }
  Message response = To(read.from, MessageType::kReadIndexResponse);
  response.index = read.index;
  response.context = read.context;
  Send(std::move(response));
}

void Core::Impl::AnswerConfirmedReads() {
  if (reads_.newest() == 0) return;
  const uint64_t confirmed = tracker_.ConfirmedRead();
  ReadQueue::Read read;
  while (reads_.TakeConfirmed(confirmed, &read)) Answer(read);
}

void Core::Impl::ReleaseWaitingReads() {
  if (!reads_.HasWaiting() || !committed_in_term()) return;
  while (reads_.HasWaiting()) AddRead(reads_.TakeWaiting());
}

}  // namespace holdfast::raft
