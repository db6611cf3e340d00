#include <utility>

#include "replication/raft/config_changer.h"
#include "replication/raft/configuration.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {

Configuration Core::Impl::ApplyConfigChange(const ConfigChange& change) {
  const ChangedConfiguration changed = ApplyChange(tracker_.configuration(), change);
  if (changed.fault != ChangeFault::kNone) {
    Trace(Options::LogLevel::kError, options_.id,
          " did not apply a configuration change: ", Describe(changed.fault));
    return tracker_.configuration();
  }
  SwitchTo(changed.configuration);
  return tracker_.configuration();
}

void Core::Impl::SwitchTo(const Configuration& configuration) {
  tracker_.Reconfigure(configuration, log_.last());
  Trace(Options::LogLevel::kInfo, options_.id, " switched to another configuration");
  const Peer* self = tracker_.Find(options_.id);
  const bool votes = self != nullptr && !self->progress.learner;
  if (role_ != Role::kLeader) {
    // Elected after all, by votes that are under way, it would lead for good and refuse everything.
    if (!votes && role_ != Role::kFollower) BecomeFollower(term_, ReplicaId());
    return;
  }
  if (!votes) {
    if (options_.step_down_on_removal) BecomeFollower(term_, ReplicaId());
    return;
  }
  // Fewer voters may be needed now for what is stored already.
  if (MaybeCommit()) {
    ReleaseWaitingReads();
    BroadcastAppend(WhenEmpty::kSend);
  } else {
    BroadcastAppend(WhenEmpty::kDoNotSend);  // new ones need not wait for the next proposal
  }
  AnswerConfirmedReads();
  if (transferee_ != ReplicaId() && !IsVoter(configuration, transferee_)) {
    transferee_ = ReplicaId();
  }
}

void Core::Impl::MaybeLeaveJoint() {
  if (role_ != Role::kLeader || !tracker_.configuration().auto_leave) return;
  if (log_.applied() < pending_config_) return;
  // Without data, so never refused for its size; during a transfer it is refused and tried again.
  if (ProposeConfigChange(ConfigChange(), nullptr) == ProposeResult::kOk) {
    Trace(Options::LogLevel::kInfo, "initiating automatic transition out of joint configuration");
  }
}

Configuration Core::Impl::ConfigurationAfter(const std::vector<Entry>& entries) const {
  Configuration configuration = tracker_.configuration();
  for (const Entry& entry : entries) {
    if (entry.type != EntryType::kConfiguration) continue;
    const auto change =
        DecodeConfigChange(entry.data == nullptr ? std::string_view() : *entry.data);
    if (change.has_value()) configuration = ApplyChange(configuration, *change).configuration;
  }
  return configuration;
}

}  // namespace holdfast::raft
