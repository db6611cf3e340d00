#include <utility>

#include "replication/raft/config_changer.h"
#include "replication/raft/configuration.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {

ProposeResult Core::Impl::Propose(EntryType type, std::shared_ptr<const std::string> data,
                                  EntryId* where) {
  if (stopped_) return ProposeResult::kNotLeader;
  Entry entry{.term = {}, .index = {}, .type = type, .data = std::move(data)};
  if (role_ == Role::kLeader) return ProposeAsLeader(std::move(entry), where);
  const bool can_forward = options_.forward_proposals && role_ == Role::kFollower;
  if (!can_forward || leader_ == ReplicaId()) {
    Trace(Options::LogLevel::kInfo, options_.id, " is not the leader at term ", term_,
          "; dropping proposal");
    return ProposeResult::kNotLeader;
  }
  Message message = To(leader_, MessageType::kPropose);
  message.entries.push_back(std::move(entry));
  Send(std::move(message));
  return ProposeResult::kOk;
}

ProposeResult Core::Impl::ProposeConfigChange(const ConfigChange& change, EntryId* where) {
  std::string bytes = EncodeConfigChange(change);
  std::shared_ptr<const std::string> data;
  if (!bytes.empty()) data = std::make_shared<const std::string>(std::move(bytes));
  return Propose(EntryType::kConfiguration, std::move(data), where);
}

// Whether the change may be logged now. The check is of the present configuration, which may lag
// the log; ApplyConfigChange checks again.
bool Core::Impl::AdmitsChange(const Entry& entry) const {
  if (!options_.validate_config_changes) return true;
  if (pending_config_ > log_.applied()) return false;
  const auto change = DecodeConfigChange(entry.data == nullptr ? std::string_view() : *entry.data);
  return change.has_value() &&
         ApplyChange(tracker_.configuration(), *change).fault == ChangeFault::kNone;
}

ProposeResult Core::Impl::ProposeAsLeader(Entry entry, EntryId* where) {
  if (tracker_.Find(options_.id) == nullptr) return ProposeResult::kRemoved;
  if (transferee_ != ReplicaId()) {
    Trace(Options::LogLevel::kDebug, options_.id, " [term ", term_, "] transfer leadership to ",
          transferee_, " is in progress; dropping proposal");
    return ProposeResult::kTransferring;
  }
  ProposeResult result = ProposeResult::kOk;
  bool changes_members = entry.type == EntryType::kConfiguration;
  if (changes_members && !AdmitsChange(entry)) {
    Trace(Options::LogLevel::kInfo, options_.id, " ignoring conf change: pending up to ",
          pending_config_, ", applied ", log_.applied(), ", or it does not fit");
    entry.type = EntryType::kNoOp;
    entry.data = nullptr;
    changes_members = false;
    result = ProposeResult::kConfigPending;
  }
  Configuration at_append;
  if (MutantIs(Mutant::kConfigurationAtWrongIndex)) at_append = ConfigurationAfter({entry});
  if (!AppendOwn(std::move(entry))) return ProposeResult::kTooMuch;
  if (changes_members) pending_config_ = log_.last();
  if (MutantIs(Mutant::kConfigurationAtWrongIndex)) SwitchTo(at_append);
  if (where != nullptr) *where = {.term = term_, .index = log_.last()};
  if (role_ == Role::kLeader) BroadcastAppend(WhenEmpty::kSend);
  return result;
}

void Core::Impl::TransferLeadership(ReplicaId to) {
  if (stopped_) return;
  if (role_ == Role::kLeader) {
    if (Peer* peer = tracker_.Find(to)) HandleTransfer(peer);
  } else if (role_ == Role::kFollower && leader_ != ReplicaId()) {
    Message message = To(leader_, MessageType::kTransferLeader);
    message.from = to;
    Send(std::move(message));
  }
}

void Core::Impl::HandleTransfer(Peer* peer) {
  if (peer->progress.learner || peer->id == options_.id) {
    Trace(Options::LogLevel::kDebug, peer->id, " is a learner or the leader. Ignored transfer");
    return;
  }
  if (transferee_ == peer->id) {
    Trace(Options::LogLevel::kInfo, options_.id, " [term ", term_, "] transfer leadership to ",
          peer->id, " is in progress, ignores request to same node");
    return;
  }
  Trace(Options::LogLevel::kInfo, options_.id, " [term ", term_,
        "] starts to transfer leadership to ", peer->id);
  // It has one election timeout from here on.
  election_elapsed_ = 0;
  transferee_ = peer->id;
  if (peer->progress.match == log_.last()) {
    Send(To(peer->id, MessageType::kTimeoutNow));
  } else {
    MaybeSendAppend(peer, WhenEmpty::kSend);
  }
}

void Core::Impl::GiveUpTransfer() {
  if (transferee_ == ReplicaId()) return;
  transferee_ = ReplicaId();
  MaybeLeaveJoint();
}

}  // namespace holdfast::raft
