#include <utility>

#include "base/check.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {
namespace {

bool IsLocal(MessageType type) {
  switch (type) {
    case MessageType::kHup:
    case MessageType::kBeat:
    case MessageType::kUnreachable:
    case MessageType::kSnapshotStatus:
    case MessageType::kCheckQuorum:
    case MessageType::kForgetLeader:
      return true;
    default:
      return false;
  }
}

bool IsResponse(MessageType type) {
  switch (type) {
    case MessageType::kAppendResponse:
    case MessageType::kVoteResponse:
    case MessageType::kHeartbeatResponse:
    case MessageType::kReadIndexResponse:
    case MessageType::kPreVoteResponse:
      return true;
    default:
      return false;
  }
}

bool IsVoteResponse(MessageType type) {
  return type == MessageType::kVoteResponse || type == MessageType::kPreVoteResponse;
}

bool IsOfLeader(MessageType type) {
  return type == MessageType::kAppend || type == MessageType::kHeartbeat ||
         type == MessageType::kSnapshot;
}

bool IsVoteRequest(MessageType type) {
  return type == MessageType::kVote || type == MessageType::kPreVote;
}

}  // namespace

Message Core::Impl::To(ReplicaId to, MessageType type) const {
  Message message;
  message.type = type;
  message.to = to;
  return message;
}

void Core::Impl::Send(Message message) {
  if (message.from == ReplicaId()) message.from = options_.id;
  switch (message.type) {
    case MessageType::kVote:
    case MessageType::kPreVote:
    case MessageType::kVoteResponse:
    case MessageType::kPreVoteResponse:
      CHECK_NE(message.term, Term());  // their term is not always the own one
      break;
    case MessageType::kPropose:
    case MessageType::kReadIndex:
      break;  // as if they had been asked for at the leader
    default:
      message.term = term_;
  }
  switch (message.type) {
    case MessageType::kAppendResponse:
    case MessageType::kVoteResponse:
    case MessageType::kPreVoteResponse:
      // They speak of terms, votes and entries that a crash before the write would undo.
      messages_after_write_.push_back(std::move(message));
      return;
    default:
      CHECK_NE(message.to, options_.id);
      if (messages_.empty()) messages_.reserve(messages_expected_);
      messages_.push_back(std::move(message));
      queued_heartbeats_ = 0;
  }
}

void Core::Impl::Step(Message message) {
  if (stopped_ || IsLocal(message.type)) return;
  if (IsResponse(message.type) && tracker_.Find(message.from) == nullptr) return;
  if (IsVoteResponse(message.type) && message.reject) LearnCommit(message);
  if (!StepTerm(message)) return;
  if (IsVoteRequest(message.type)) {
    HandleVoteRequest(message);
    return;
  }
  switch (role_) {
    case Role::kLeader:
      StepLeader(std::move(message));
      break;
    case Role::kCandidate:
    case Role::kPreCandidate:
      StepCandidate(std::move(message));
      break;
    case Role::kFollower:
      StepFollower(std::move(message));
      break;
  }
}

bool Core::Impl::StepTerm(const Message& message) {
  if (message.term == Term() || message.term == term_) return true;
  if (message.term < term_) {
    StepLowerTerm(message);
    return false;
  }
  if (IsVoteRequest(message.type) && !message.transfer && HearsOnlyLeader()) {
    Trace(Options::LogLevel::kInfo, options_.id, " ignored a vote request of ", message.from,
          " at term ", term_, ": it has heard of leader ", leader_);
    return false;
  }
  StepHigherTerm(message);
  return true;
}

void Core::Impl::StepHigherTerm(const Message& message) {
  // A pre-vote asks about a term that may never begin; so does the answer that grants it.
  if (message.type == MessageType::kPreVote) return;
  if (message.type == MessageType::kPreVoteResponse && !message.reject) return;
  Trace(Options::LogLevel::kInfo, options_.id, " [term: ", term_,
        "] received a message with higher term from ", message.from, " [term: ", message.term, "]");
  BecomeFollower(message.term, IsOfLeader(message.type) ? message.from : ReplicaId());
}

void Core::Impl::StepLowerTerm(const Message& message) {
  const bool may_be_stuck = options_.check_quorum || options_.pre_vote;
  if (may_be_stuck &&
      (message.type == MessageType::kHeartbeat || message.type == MessageType::kAppend)) {
    // A leader of an earlier term: perhaps an old message, perhaps this replica got ahead of the
    // others while it was cut off. They ignore its votes, so it must tell its term in this way.
    Send(To(message.from, MessageType::kAppendResponse));
  } else if (message.type == MessageType::kPreVote) {
    // A candidate of an earlier term would else ask for ever.
    Message response = To(message.from, MessageType::kPreVoteResponse);
    response.term = term_;
    response.reject = true;
    Send(std::move(response));
  } else {
    Trace(Options::LogLevel::kInfo, options_.id, " [term: ", term_,
          "] ignored a message with lower term from ", message.from, " [term: ", message.term, "]");
  }
}

void Core::Impl::StepLeader(Message message) {
  switch (message.type) {
    case MessageType::kPropose:
      for (Entry& entry : message.entries) ProposeAsLeader(std::move(entry), nullptr);
      return;
    case MessageType::kReadIndex:
      HandleReadIndex(message.from, message.context);
      return;
    default:
      break;
  }
  Peer* peer = tracker_.Find(message.from);
  if (peer == nullptr) return;
  switch (message.type) {
    case MessageType::kAppendResponse:
      HandleAppendResponse(peer, message);
      break;
    case MessageType::kHeartbeatResponse:
      HandleHeartbeatResponse(peer, message);
      break;
    case MessageType::kTransferLeader:
      HandleTransfer(peer);
      break;
    default:
      break;
  }
}

void Core::Impl::StepCandidate(Message message) {
  const MessageType response_of_role =
      role_ == Role::kPreCandidate ? MessageType::kPreVoteResponse : MessageType::kVoteResponse;
  if (IsOfLeader(message.type)) {
    BecomeFollower(message.term, message.from);
    StepFollower(std::move(message));
  } else if (message.type == response_of_role) {
    HandleVoteResponse(message);
  }
}

void Core::Impl::StepFollower(Message message) {
  if (IsOfLeader(message.type)) {
    election_elapsed_ = 0;
    leader_ = message.from;
  }
  switch (message.type) {
    case MessageType::kAppend:
      HandleAppend(std::move(message));
      break;
    case MessageType::kHeartbeat:
      HandleHeartbeat(message);
      break;
    case MessageType::kSnapshot:
      HandleSnapshot(message);
      break;
    case MessageType::kTimeoutNow:
      Trace(Options::LogLevel::kInfo, options_.id, " [term ", term_,
            "] received MsgTimeoutNow from ", message.from,
            " and starts an election to get leadership.");
      // The leader asks for it, so nobody is cut off: without a pre-vote.
      Hup(CampaignKind::kTransfer);
      break;
    case MessageType::kReadIndexResponse:
      read_states_.push_back({.context = message.context, .index = message.index});
      break;
    default:
      break;  // what a peer asks of the leader is not passed on again: it could go in a circle
  }
}

}  // namespace holdfast::raft
