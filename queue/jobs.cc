// A job's moves between the ordered sets, and what follows from each: counts, hashes, deadlines,
// wake-ups, change notes.

#include <utility>

#include "base/check.h"
#include "base/mutant.h"
#include "queue/machine_impl.h"
#include "queue/retry_delay.h"
#include "queue/state_hash.h"

namespace holdfast {
namespace {

constexpr uint32_t kUrgentBelow = 1024;

bool IsUrgent(const Job& job) {
  return job.state == JobState::kReady && job.priority < kUrgentBelow;
}

}  // namespace

QueueState* Machine::Impl::LiveQueue(const Job& job) const {
  QueueState* queue = queues_.Find(job.queue);
  if (queue == nullptr) return nullptr;
  return queue->record.epochs[static_cast<int>(job.state)] == job.epoch ? queue : nullptr;
}

void Machine::Impl::Touch(QueueState* queue) {
  queue->referenced = true;
  if (queue->changed) return;
  queue->changed = true;
  queue_changes_.push_back(queue->record.id);
}

void Machine::Impl::LowerDeadline(QueueState* queue, LogTime deadline) {
  if (deadline >= queue->record.deadline) return;
  Touch(queue);
  deadlines_.Move(queue->record.id, queue->record.deadline, deadline);
  queue->record.deadline = deadline;
}

QueueState* Machine::Impl::EnsureQueue(std::string_view name, OutcomeCode* code) {
  if (QueueState* queue = queues_.Find(name)) return queue;
  *code = OutcomeCode::kOk;
  if (!IsValidQueueName(name)) *code = OutcomeCode::kInvalidArgument;
  if (queues_.size() >= settings().queues_max) *code = OutcomeCode::kTooManyQueues;
  if (*code != OutcomeCode::kOk) return nullptr;
  QueueRecord record;
  record.id = QueueId(globals_.next_queue++);
  globals_changed_ = true;
  record.name = std::string(name);
  record.created = now();
  QueueState* queue = queues_.Insert(record);
  Touch(queue);
  return queue;
}

void Machine::Impl::RemoveQueue(QueueState* queue) {
  CHECK_EQ(queue->live_jobs(), 0u);
  CHECK_EQ(queue->record.dedup_count, 0u);
  Touch(queue);
  queue_hash_ -= queue->record_hash;
  deadlines_.Move(queue->record.id, queue->record.deadline, LogTime::Never());
  CHECK_EQ(queue->hot_jobs, 0u);
  queues_.Remove(queue);
}

bool Machine::Impl::MayLinger(const QueueState& queue) const {
  return queue.live_jobs() == 0 && !queue.record.has_options &&
         queue.record.paused_until == LogTime();
}

void Machine::Impl::NoteIdle(QueueState* queue) {
  if (queue->live_jobs() > 0) return;
  Touch(queue);
  if (queue->record.idle_since == LogTime()) queue->record.idle_since = now();
  if (MayLinger(*queue)) {
    LowerDeadline(queue, queue->record.idle_since + settings().idle_queue_linger);
  }
}

void Machine::Impl::Wake(QueueState* queue) {
  if (queue->wakeup) return;
  queue->wakeup = true;
  wakeups_.push_back(queue->record.id);
}

void Machine::Impl::MarkChanged(JobNode* node) {
  if (node->change != 0) return;
  job_changes_.push_back(JobChange{node->job.id, node, false, PlacesOf(node->job)});
  node->change = static_cast<uint32_t>(job_changes_.size());
}

JobNode* Machine::Impl::Create(QueueState* queue, const Job& job) {
  JobNode* node = jobs_.Insert(job);
  AddHot(queue);
  job_changes_.push_back(JobChange{job.id, node, true, JobPlaces()});
  node->change = static_cast<uint32_t>(job_changes_.size());
  queue->record.bytes += job.payload_size_bytes;
  queue->record.idle_since = LogTime();
  ++queue->record.total_enqueued;
  return node;
}

void Machine::Impl::Unlink(QueueState* queue, JobNode* node) {
  Touch(queue);
  MarkChanged(node);
  const Job& job = node->job;
  const int state = static_cast<int>(job.state);
  const JobPlaces places = PlacesOf(job);
  QueueRecord& record = queue->record;
  PagedSet& set = queue->Set(job.state);
  set.Remove(places.state_key);
  if (!set.complete() && set.refill() == PagedSet::Refill::kNone && !set.Has(RefillLow())) {
    WantRefill(RefOf(*queue, static_cast<SetKind>(state)), &set);
  }
  --record.counts[state];
  --jobs_by_state_[state];
  record.hash_by_state[state] -= HashOf(job);
  if (IsUrgent(job)) {
    --record.urgent;
    --urgent_jobs_;
  }
  if (places.expires != LogTime::Never()) {
    queue->Set(SetKind::kTtl).Remove(SetKey{places.expires.micros(), job.id.value()});
    --record.ttl_count;
  }
  if (job.state == JobState::kReserved) {
    if (!job.holder.none()) holders_.Remove(job.holder, job.id);
    if (record.options.max_reserved > 0) Wake(queue);
  }
}

void Machine::Impl::Link(QueueState* queue, JobNode* node) {
  Touch(queue);
  Job& job = node->job;
  const int state = static_cast<int>(job.state);
  QueueRecord& record = queue->record;
  job.epoch = record.epochs[state];
  const JobPlaces places = PlacesOf(job);
  queue->Set(job.state).Add(places.state_key);
  ++record.counts[state];
  ++jobs_by_state_[state];
  record.hash_by_state[state] += HashOf(job);
  if (IsUrgent(job)) {
    ++record.urgent;
    ++urgent_jobs_;
  }
  if (places.expires != LogTime::Never()) {
    queue->Set(SetKind::kTtl).Add(SetKey{places.expires.micros(), job.id.value()});
    ++record.ttl_count;
    LowerDeadline(queue, places.expires);
  }
  if (job.state == JobState::kReserved && !job.holder.none()) holders_.Add(job.holder, job.id);
  if (job.state == JobState::kReserved || job.state == JobState::kDelayed) {
    LowerDeadline(queue, job.due);
  }
  if (job.state == JobState::kReady) Wake(queue);
  SetUnflushed(node, true);
}

void Machine::Impl::Forget(JobNode* node) {
  CHECK(node->change != 0);
  job_changes_[node->change - 1].node = nullptr;
  // Its row may still be there to be fetched.
  absent_jobs_.insert(node->job.id);
  SetUnflushed(node, false);
  jobs_.Remove(node);
}

void Machine::Impl::Erase(QueueState* queue, JobNode* node) {
  Unlink(queue, node);
  queue->record.bytes -= node->job.payload_size_bytes;
  if (!MutantIs(Mutant::kCountersNotConserved)) ++queue->record.total_deleted;
  RemoveHot(queue, 1);
  Forget(node);
  NoteIdle(queue);
}

void Machine::Impl::EraseDead(JobNode* node) {
  MarkChanged(node);
  const Job& job = node->job;
  const JobPlaces places = PlacesOf(job);
  const SetRef ref{static_cast<SetKind>(job.state), job.queue, job.epoch, Holder()};
  const auto grave = graves_.find(ref);
  CHECK(grave != graves_.end());
  grave->second.jobs.Remove(places.state_key);
  --garbage_jobs_;
  grave_changes_.Mark(ref);
  if (grave->second.jobs.total() == 0) graves_.erase(grave);
  if (QueueState* queue = queues_.Find(job.queue)) {
    Touch(queue);
    queue->record.bytes -= job.payload_size_bytes;
    if (places.expires != LogTime::Never()) {
      queue->Set(SetKind::kTtl).Remove(SetKey{places.expires.micros(), job.id.value()});
      --queue->record.ttl_count;
    }
  }
  if (job.state == JobState::kReserved) {
    if (!job.holder.none()) holders_.Remove(job.holder, job.id);
    ended_leases_.push_back({job.id, job.token, job.holder, EndedLease::Why::kPurged});
  }
  Forget(node);
}

void Machine::Impl::MakeReady(QueueState* queue, JobNode* node) {
  Job& job = node->job;
  job.state = JobState::kReady;
  job.buried_reason = BuriedReason::kNone;
  job.due = LogTime();
  job.holder = Holder();
  job.current_lease = LogDuration();
  Link(queue, node);
}

void Machine::Impl::MakeReadyAt(QueueState* queue, JobNode* node, LogTime due) {
  if (due <= now()) return MakeReady(queue, node);
  Job& job = node->job;
  job.state = JobState::kDelayed;
  job.buried_reason = BuriedReason::kNone;
  job.due = due;
  job.holder = Holder();
  job.current_lease = LogDuration();
  Link(queue, node);
}

void Machine::Impl::Bury(QueueState* queue, JobNode* node, BuriedReason reason) {
  Job& job = node->job;
  job.state = JobState::kBuried;
  job.buried_reason = reason;
  job.due = now();
  job.holder = Holder();
  job.current_lease = LogDuration();
  ++job.buries;
  Link(queue, node);
}

void Machine::Impl::Retry(QueueState* queue, JobNode* node) {
  const RetryPolicy& policy = queue->record.options.retry;
  if (policy.max_attempts > 0 && node->job.failures >= policy.max_attempts) {
    return Bury(queue, node, BuriedReason::kAttemptsExhausted);
  }
  MakeReadyAt(queue, node, now() + RetryDelay(policy, node->job.failures));
}

void Machine::Impl::EndLease(QueueState* queue, JobNode* node) {
  Unlink(queue, node);
  Job& job = node->job;
  ended_leases_.push_back({job.id, job.token, job.holder, EndedLease::Why::kExpired});
  ++job.timeouts;
  ++job.failures;
  ++queue->record.total_timeouts;
  ++timeouts_;
  Retry(queue, node);
}

void Machine::Impl::ReturnFromClosedHolder(QueueState* queue, JobNode* node) {
  Unlink(queue, node);
  const Job& job = node->job;
  ended_leases_.push_back({job.id, job.token, job.holder, EndedLease::Why::kHolderClosed});
  MakeReady(queue, node);
}

void Machine::Impl::ExpireJob(QueueState* queue, JobNode* node) {
  if (queue->record.options.on_expiry == ExpiryAction::kDelete) return Erase(queue, node);
  Unlink(queue, node);
  Bury(queue, node, BuriedReason::kExpired);
}

void Machine::Impl::MarkDedupChanged(QueueId queue, const std::string& key,
                                     const DedupTable::Entry* before) {
  DedupKey place(queue, key);
  if (!dedup_change_places_.emplace(place, dedup_changes_.size()).second) return;
  DedupChange change;
  change.existed = before != nullptr;
  if (before != nullptr) change.before = DedupRecord{queue, key, before->job, before->expires};
  change.key = std::move(place);
  dedup_changes_.push_back(std::move(change));
}

void Machine::Impl::RemoveDedup(QueueState* queue, DedupTable* table, SetKey place) {
  Touch(queue);
  const std::string key = table->At(place).first;
  MarkDedupChanged(queue->record.id, key, &table->At(place).second);
  table->Remove(key);
  absent_dedups_.emplace(queue->record.id, key);
  --queue->record.dedup_count;
}

void Machine::Impl::Bequeath(QueueState* queue, JobState state) {
  Touch(queue);
  const int index = static_cast<int>(state);
  QueueRecord& record = queue->record;
  PagedSet& set = queue->Set(state);
  if (set.total() == 0) return;
  const SetRef ref = RefOf(*queue, static_cast<SetKind>(index));
  garbage_jobs_ += set.total();
  jobs_by_state_[index] -= set.total();
  RemoveHot(queue, set.hot());
  record.total_deleted += set.total();
  record.counts[index] = 0;
  record.hash_by_state[index] = 0;
  if (state == JobState::kReady) urgent_jobs_ -= std::exchange(record.urgent, 0);
  graves_[ref].jobs = std::exchange(set, PagedSet());
  grave_changes_.Mark(ref);
  ++record.epochs[index];
}

}  // namespace holdfast
