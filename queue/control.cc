// Commands about queues, holders, sessions, settings and the cluster's record.

#include "base/check.h"
#include "queue/machine_impl.h"

namespace holdfast {
namespace {

bool AreValid(const QueueOptions& options) {
  const LogDuration none;
  return options.default_lease > none && options.retry.backoff_min >= none &&
         options.retry.backoff_max >= none && options.retry.multiplier_percent >= 100 &&
         options.retry.multiplier_percent <= 1000 && options.ttl >= none &&
         options.dedup_window > none && options.dedup_window <= kDedupWindowMax &&
         options.on_expiry <= ExpiryAction::kDelete;
}

QueueOptions Merged(QueueOptions options, const QueueOptions& update, uint32_t fields) {
  if (fields & kFieldDefaultLease) options.default_lease = update.default_lease;
  if (fields & kFieldRetry) options.retry = update.retry;
  if (fields & kFieldTtl) options.ttl = update.ttl;
  if (fields & kFieldOnExpiry) options.on_expiry = update.on_expiry;
  if (fields & kFieldMaxJobs) options.max_jobs = update.max_jobs;
  if (fields & kFieldMaxBytes) options.max_bytes = update.max_bytes;
  if (fields & kFieldMaxReserved) options.max_reserved = update.max_reserved;
  if (fields & kFieldDedupWindow) options.dedup_window = update.dedup_window;
  return options;
}

}  // namespace

Outcome Machine::Impl::Do(const PauseQueueCommand& command) {
  if (command.duration < LogDuration()) return Refused(OutcomeCode::kInvalidArgument);
  OutcomeCode code = OutcomeCode::kQueueNotFound;
  QueueState* queue = command.existence == Existence::kCreate ? EnsureQueue(command.queue, &code)
                                                              : queues_.Find(command.queue);
  if (queue == nullptr) return Refused(code);
  Touch(queue);
  ++queue->record.total_pauses;
  queue->record.pause = command.duration;
  if (command.duration == LogDuration()) {
    queue->record.paused_until = LogTime();
    Wake(queue);
  } else {
    queue->record.paused_until = now() + command.duration;
    LowerDeadline(queue, queue->record.paused_until);
  }
  NoteIdle(queue);
  return Outcome();
}

Outcome Machine::Impl::Do(const PurgeQueueCommand& command) {
  if (command.states > 0xf) return Refused(OutcomeCode::kInvalidArgument);
  QueueState* queue = queues_.Find(command.queue);
  if (queue == nullptr) return Refused(OutcomeCode::kQueueNotFound);
  Outcome outcome;
  for (int state = 0; state < kJobStates; ++state) {
    if ((command.states & (1u << state)) == 0) continue;
    outcome.count += queue->record.counts[state];
    Bequeath(queue, static_cast<JobState>(state));
  }
  // Leases that ended make room under the reserved cap.
  if (queue->live_jobs() > 0) Wake(queue);
  NoteIdle(queue);
  return outcome;
}

Outcome Machine::Impl::Do(const PutQueueOptionsCommand& command) {
  if ((command.fields & ~kAllQueueOptionFields) != 0) {
    return Refused(OutcomeCode::kInvalidArgument);
  }
  const QueueState* existing = queues_.Find(command.queue);
  const QueueOptions base = existing == nullptr ? QueueOptions() : existing->record.options;
  const QueueOptions merged = Merged(base, command.options, command.fields);
  if (!AreValid(merged)) return Refused(OutcomeCode::kInvalidArgument);
  OutcomeCode code = OutcomeCode::kOk;
  QueueState* queue = EnsureQueue(command.queue, &code);
  if (queue == nullptr) return Refused(code);
  Touch(queue);
  queue->record.options = merged;
  queue->record.has_options = true;
  Wake(queue);  // the reserved cap may have risen
  NoteIdle(queue);
  return Outcome();
}

Outcome Machine::Impl::Do(const DeleteQueueCommand& command) {
  QueueState* queue = queues_.Find(command.queue);
  if (queue == nullptr) return Refused(OutcomeCode::kQueueNotFound);
  Outcome outcome;
  outcome.count = queue->live_jobs();
  for (int state = 0; state < kJobStates; ++state) {
    Bequeath(queue, static_cast<JobState>(state));
  }
  if (queue->record.dedup_count > 0) {
    const SetRef ref = RefOf(*queue, SetKind::kDedup);
    graves_[ref].dedups = std::move(*queue->dedup);
    grave_changes_.Mark(ref);
    queue->record.dedup_count = 0;
  }
  RemoveQueue(queue);
  return outcome;
}

Outcome Machine::Impl::Do(const CloseHolderCommand& command) {
  if (command.holder.none()) return Refused(OutcomeCode::kInvalidArgument);
  holders_.Close(command.holder);
  return Outcome();
}

Outcome Machine::Impl::Do(const NodeLostCommand& command) {
  if (command.node == NodeId() || command.incarnation >= kNeverLost) {
    return Refused(OutcomeCode::kInvalidArgument);
  }
  holders_.LoseNode(command.node, command.incarnation);
  return Outcome();
}

Outcome Machine::Impl::Do(const OpenSessionCommand& command) {
  if (command.idle_limit < LogDuration::Seconds(1) ||
      command.idle_limit > LogDuration::Seconds(3600)) {
    return Refused(OutcomeCode::kInvalidArgument);
  }
  sessions_.Collect(now(), 2);
  if (sessions_.size() >= settings().sessions_max) {
    return Refused(OutcomeCode::kSessionTableFull);
  }
  Outcome outcome;
  outcome.session = SessionId(globals_.next_session++);
  globals_changed_ = true;
  sessions_.Open(outcome.session, command.idle_limit, now());
  return outcome;
}

Outcome Machine::Impl::Do(const CloseSessionCommand& command) {
  const bool closed = sessions_.Close(command.session, now());
  return closed ? Outcome() : Refused(OutcomeCode::kSessionExpired);
}

Outcome Machine::Impl::Do(const PutSettingsCommand& command) {
  if (command.settings.idle_queue_linger < LogDuration()) {
    return Refused(OutcomeCode::kInvalidArgument);
  }
  globals_.settings = command.settings;
  globals_changed_ = true;
  return Outcome();
}

Outcome Machine::Impl::Do(const PutClusterRecordCommand& command) {
  if (command.record.size() > kClusterRecordBytesMax) {
    return Refused(OutcomeCode::kInvalidArgument);
  }
  Outcome outcome;
  if (command.version != cluster_record_.version) {
    outcome.code = OutcomeCode::kRecordChanged;
  } else if (command.record != cluster_record_.record) {
    ++cluster_record_.version;
    cluster_record_.record = std::string(command.record);
    cluster_record_changed_ = true;
  }
  outcome.count = cluster_record_.version;
  return outcome;
}

}  // namespace holdfast
