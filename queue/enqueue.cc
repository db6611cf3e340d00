#include <algorithm>

#include "queue/machine_impl.h"

namespace holdfast {
namespace {

bool IsValid(const JobSpec& spec) {
  return spec.delay >= LogDuration() && spec.lease >= LogDuration() && spec.ttl >= LogDuration() &&
         spec.dedup_key.size() <= kDedupKeyBytesMax && spec.dedup_window >= LogDuration() &&
         spec.dedup_window <= kDedupWindowMax &&
         (!spec.past.has_value() || spec.past->delay >= LogDuration());
}

}  // namespace

bool Machine::Impl::AnswersWithEarlierJob(QueueState* queue, const JobSpec& spec,
                                          ItemOutcome* item) {
  if (queue->dedup == nullptr) return false;
  const DedupTable::Item* earlier = queue->dedup->Find(spec.dedup_key);
  if (earlier == nullptr) return false;
  if (now() < earlier->second.expires) {
    item->job = earlier->second.job;
    item->deduplicated = true;
    return true;
  }
  RemoveDedup(queue, queue->dedup.get(), DedupTable::PlaceOf(earlier->second));
  return false;
}

void Machine::Impl::RememberDedupKey(QueueState* queue, const JobSpec& spec, JobId job) {
  if (queue->dedup == nullptr) queue->dedup = std::make_unique<DedupTable>();
  const bool own = spec.dedup_window != LogDuration();
  const LogTime expires = now() + (own ? spec.dedup_window : queue->record.options.dedup_window);
  const std::string key(spec.dedup_key);
  MarkDedupChanged(queue->record.id, key, nullptr);
  if (!absent_dedups_.empty()) absent_dedups_.erase(DedupKey(queue->record.id, key));
  queue->dedup->Add(key, job, expires);
  ++queue->record.dedup_count;
  LowerDeadline(queue, expires);
}

bool Machine::Impl::DrawId(const JobSpec& spec, JobId* id) {
  uint64_t sequence = globals_.next_sequence;
  if (spec.past.has_value() && spec.past->id != JobId()) {
    const uint64_t kept = spec.past->id.value();
    sequence = kept / options_.shards;
    if (kept >= kJobIdEnd || kept % options_.shards != options_.shard.value() ||
        sequence < globals_.next_sequence) {
      return false;
    }
  }
  *id = JobId(sequence * options_.shards + options_.shard.value());
  globals_.next_sequence = sequence + 1;
  globals_changed_ = true;
  return true;
}

void Machine::Impl::Remember(const JobPast& past, Job* job) const {
  job->created = std::min(past.created, now());
  job->delay = past.delay;
  job->reserves = past.reserves;
  job->timeouts = past.timeouts;
  job->releases = past.releases;
  job->buries = past.buries;
  job->kicks = past.kicks;
}

ItemOutcome Machine::Impl::EnqueueOne(QueueState* queue, const JobSpec& spec) {
  ItemOutcome item;
  if (!IsValid(spec)) {
    item.code = OutcomeCode::kInvalidArgument;
    return item;
  }
  if (!spec.dedup_key.empty() && AnswersWithEarlierJob(queue, spec, &item)) return item;
  const QueueRecord& record = queue->record;
  const QueueOptions& options = record.options;
  if (options.max_jobs > 0 && queue->live_jobs() >= options.max_jobs) {
    item.code = OutcomeCode::kQueueFullJobs;
    return item;
  }
  if (options.max_bytes > 0 && (record.bytes > options.max_bytes ||
                                spec.payload_size_bytes > options.max_bytes - record.bytes)) {
    item.code = OutcomeCode::kQueueFullBytes;
    return item;
  }
  Job job;
  if (!DrawId(spec, &job.id)) {
    item.code = OutcomeCode::kInvalidArgument;
    return item;
  }
  job.queue = record.id;
  job.priority = spec.priority;
  job.created = now();
  const LogDuration ttl = spec.ttl == LogDuration() ? options.ttl : spec.ttl;
  job.expires = ttl == LogDuration() ? LogTime::Never() : now() + ttl;
  job.lease = spec.lease == LogDuration() ? options.default_lease : spec.lease;
  job.delay = spec.delay;
  job.payload_size_bytes = spec.payload_size_bytes;
  job.payload_digest = spec.payload_digest;
  if (spec.past.has_value()) Remember(*spec.past, &job);
  if (spec.buried) {
    job.state = JobState::kBuried;
    job.buried_reason = BuriedReason::kByWorker;
    job.due = now();
  }
  JobNode* node = Create(queue, job);
  if (spec.buried) {
    Link(queue, node);
  } else {
    MakeReadyAt(queue, node, now() + spec.delay);
  }
  if (!spec.dedup_key.empty()) RememberDedupKey(queue, spec, job.id);
  item.job = job.id;
  item.state = node->job.state;
  if (item.state == JobState::kDelayed) item.due = node->job.due;
  return item;
}

Outcome Machine::Impl::Do(const EnqueueCommand& command) {
  if (command.jobs.size() > kItemsPerCommandMax) return Refused(OutcomeCode::kInvalidArgument);
  OutcomeCode code = OutcomeCode::kOk;
  QueueState* queue = EnsureQueue(command.queue, &code);
  if (queue == nullptr) return Refused(code);
  Outcome outcome;
  outcome.items.reserve(command.jobs.size());
  for (const JobSpec& spec : command.jobs) outcome.items.push_back(EnqueueOne(queue, spec));
  NoteIdle(queue);
  Summarise(&outcome);
  return outcome;
}

}  // namespace holdfast
