#include "base/check.h"
#include "queue/machine_impl.h"
#include "queue/state_hash.h"

namespace holdfast {

// (1) A job in memory is a hot member of exactly the sets that its record says, and its id is one
// that was drawn. (2) An unflushed or undrained job is in the list that says so.
void Machine::Impl::CheckJob(const JobNode& node) const {
  const Job& job = node.job;
  CHECK_EQ(job.id.value() % options_.shards, options_.shard.value());
  CHECK_LT(job.id.value() / options_.shards, globals_.next_sequence);
  const JobPlaces places = PlacesOf(job);
  const SetRef ref{static_cast<SetKind>(job.state), job.queue, job.epoch, Holder()};
  const PagedSet* set = FindSet(ref);
  CHECK(set != nullptr);
  CHECK(set->tree().contains(places.state_key));
  const QueueState* queue = queues_.Find(job.queue);
  if (queue != nullptr && places.expires != LogTime::Never()) {
    CHECK(queue->ttl->tree().contains(SetKey{places.expires.micros(), job.id.value()}));
  }
  if (!places.holder.none()) {
    const PagedSet* held = holders_.FindSet(places.holder);
    CHECK(held != nullptr);
    CHECK(held->tree().contains(SetKey{0, job.id.value()}));
  }
  CHECK_EQ(job.state == JobState::kReserved, job.current_lease > LogDuration());
  CHECK_EQ(job.state == JobState::kBuried, job.buried_reason != BuriedReason::kNone);
  if (job.state != JobState::kReserved) CHECK(job.holder == Holder());
  if (node.change != 0) {
    const JobChange& change = job_changes_[node.change - 1];
    CHECK(change.node == &node);
    CHECK_EQ(change.id, job.id);
  }
}

// (3) A queue's counts are those of its sets. (4) What it says of its jobs (hashes, urgent ones)
// is their sum, where all of them are in memory. (5) Its deadline is a lower bound, and in the
// order of deadlines. (6) A queue is idle since a moment iff it holds no job.
void Machine::Impl::CheckQueue(const QueueState& queue) const {
  const QueueRecord& record = queue.record;
  size_t hot = 0;
  for (int state = 0; state < kJobStates; ++state) {
    const PagedSet* set = queue.FindSet(static_cast<SetKind>(state));
    CHECK_EQ(set == nullptr ? 0 : set->total(), record.counts[state]);
    if (set == nullptr) continue;
    set->CheckInvariants();
    hot += set->hot();
    uint64_t hash = 0;
    uint64_t urgent = 0;
    for (const SetKey& key : set->tree()) {
      const JobNode* node = jobs_.Find(JobId(key.id));
      CHECK(node != nullptr);
      CHECK_EQ(node->job.state, static_cast<JobState>(state));
      CHECK_EQ(node->job.epoch, record.epochs[state]);
      CHECK_EQ(node->job.queue, record.id);
      hash += HashOf(node->job);
      if (node->job.priority < 1024) ++urgent;
    }
    if (!set->complete()) continue;
    CHECK_EQ(hash, record.hash_by_state[state]);
    if (state == static_cast<int>(JobState::kReady)) CHECK_EQ(urgent, record.urgent);
  }
  CHECK_EQ(hot, size_t{queue.hot_jobs});
  CHECK_EQ(queue.ttl == nullptr ? 0 : queue.ttl->total(), record.ttl_count);
  CHECK_EQ(queue.dedup == nullptr ? 0 : queue.dedup->order().total(), record.dedup_count);
  for (const SetKind kind :
       {SetKind::kReserved, SetKind::kDelayed, SetKind::kTtl, SetKind::kDedup}) {
    const PagedSet* set = queue.FindSet(kind);
    if (set == nullptr) continue;
    set->CheckInvariants();
    if (const SetKey* first = set->First()) CHECK_LE(record.deadline.micros(), first->key);
  }
  if (record.paused_until != LogTime()) CHECK_LE(record.deadline, record.paused_until);
  CHECK_EQ(queue.live_jobs() == 0, record.idle_since != LogTime());
  if (!queue.changed) CHECK_EQ(queue.record_hash, HashOf(record));
}

void Machine::Impl::CheckInvariants() const {
  size_t unflushed = 0;
  jobs_.ForEach([&](const JobNode& node) {
    CheckJob(node);
    unflushed += node.unflushed ? 1 : 0;
  });
  CHECK_EQ(unflushed, unflushed_jobs_);
  uint64_t jobs[kJobStates] = {};
  size_t with_deadline = 0;
  size_t with_hot_jobs = 0;
  uint64_t hash = 0;
  uint64_t urgent = 0;
  queues_.ForEach([&](const QueueState& queue) {
    CheckQueue(queue);
    urgent += queue.record.urgent;
    for (int state = 0; state < kJobStates; ++state) jobs[state] += queue.record.counts[state];
    with_deadline += queue.record.deadline != LogTime::Never() ? 1 : 0;
    with_hot_jobs += queue.hot_jobs > 0 ? 1 : 0;
    hash += queue.record_hash;
  });
  for (int state = 0; state < kJobStates; ++state) CHECK_EQ(jobs[state], jobs_by_state_[state]);
  CHECK_EQ(urgent, urgent_jobs_);
  CHECK_EQ(with_deadline, deadlines_.size());
  CHECK_EQ(with_hot_jobs, ring_.size());
  CHECK_EQ(hash, queue_hash_);
  // (7) A grave has members, none of them alive.
  uint64_t garbage = 0;
  for (const auto& [ref, grave] : graves_) {
    const PagedSet& set = grave.set(ref.kind);
    CHECK_GT(set.total(), 0u);
    set.CheckInvariants();
    if (ref.kind == SetKind::kDedup) continue;
    garbage += set.total();
    for (const SetKey& key : set.tree()) {
      const JobNode* node = jobs_.Find(JobId(key.id));
      CHECK(node != nullptr);
      CHECK(LiveQueue(node->job) == nullptr);
    }
  }
  CHECK_EQ(garbage, garbage_jobs_);
  holders_.CheckInvariants();
}

}  // namespace holdfast
