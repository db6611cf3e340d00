#include <algorithm>

#include "base/check.h"
#include "base/mutant.h"
#include "queue/machine_impl.h"
#include "queue/reserve_room.h"

namespace holdfast {

OutcomeCode Machine::Impl::CheckHolder(const Holder& holder) const {
  const bool closed = holders_.IsClosed(holder) && !MutantIs(Mutant::kHolderForgotten);
  return closed ? OutcomeCode::kHolderGone : OutcomeCode::kOk;
}

bool Machine::Impl::UnderReservedCap(const QueueState& queue) const {
  const uint64_t cap = queue.record.options.max_reserved;
  return cap == 0 || queue.record.counts[static_cast<int>(JobState::kReserved)] < cap;
}

Grant Machine::Impl::Lease(QueueState* queue, JobNode* node, const Holder& holder,
                           LogDuration lease) {
  Unlink(queue, node);
  Job& job = node->job;
  job.state = JobState::kReserved;
  job.buried_reason = BuriedReason::kNone;
  job.token = LeaseToken(job.token.value() + 1);
  ++job.attempts;
  ++job.reserves;
  job.holder = holder.none() ? Holder() : holder;
  job.current_lease = lease == LogDuration() ? job.lease : lease;
  job.due = now() + job.current_lease;
  Link(queue, node);
  return Grant{job, queue->record.name};
}

std::vector<QueueState*> Machine::Impl::QueuesOf(const ReserveCommand& command) const {
  std::vector<QueueState*> queues;
  queues.reserve(command.queues.size());
  for (const std::string_view name : command.queues) {
    if (QueueState* queue = queues_.Find(name)) queues.push_back(queue);
  }
  if (queues.size() > 1) {
    // By id, so that a name given twice counts once; the order given says nothing.
    std::sort(queues.begin(), queues.end(),
              [](const QueueState* a, const QueueState* b) { return a->record.id < b->record.id; });
    queues.erase(std::unique(queues.begin(), queues.end()), queues.end());
  }
  return queues;
}

void Machine::Impl::PrefetchFirst(const PagedSet& ready, size_t count) const {
  for (auto it = ready.tree().begin(); it != ready.tree().end() && count > 0; ++it, --count) {
    jobs_.Prefetch(JobId(it->id));
  }
}

JobId Machine::Impl::FirstToLease(QueueState* queue, size_t* room) {
  while (const SetKey* first = queue->ready.First()) {
    const JobId id(first->id);
    JobNode* node = jobs_.Find(id);
    if (node->job.expires > now()) return id;
    if (*room == 0) return JobId();
    --*room;
    ExpireJob(queue, node);
  }
  CHECK(!queue->ready.HeadUnknown());
  return JobId();
}

Outcome Machine::Impl::Do(const ReserveCommand& command) {
  if (command.queues.size() > kQueuesPerReserveMax || command.max == 0 ||
      command.max > kItemsPerCommandMax || command.lease < LogDuration()) {
    return Refused(OutcomeCode::kInvalidArgument);
  }
  const OutcomeCode holder = CheckHolder(command.holder);
  if (holder != OutcomeCode::kOk) return Refused(holder);
  size_t room = ReserveRoom(command.max);
  const std::vector<QueueState*> named = QueuesOf(command);
  // First what is due by now in these queues, within bounds: an ended lease, delay or pause must
  // not hide a job.
  struct Source {
    SetKey first;
    QueueState* queue;
  };
  const size_t prefetched = command.max / std::max<size_t>(named.size(), 1);
  std::vector<Source> sources;  // a heap, smallest first on top
  const auto later = [](const Source& a, const Source& b) { return b.first < a.first; };
  for (QueueState* queue : named) {
    if (queue->record.deadline <= now() && room > 0 && queue->live_jobs() > 0) {
      room -= std::min(room, CollectQueue(queue, room));
    }
    if (queue->paused(now()) || !UnderReservedCap(*queue)) continue;
    if (prefetched > 1) PrefetchFirst(queue->ready, prefetched);
    const JobId first = FirstToLease(queue, &room);
    if (first == JobId()) continue;
    sources.push_back({*queue->ready.First(), queue});
    std::push_heap(sources.begin(), sources.end(), later);
  }
  Outcome outcome;
  outcome.grants.reserve(sources.empty() ? 0 : std::min<size_t>(command.max, 64));
  while (!sources.empty() && outcome.grants.size() < command.max) {
    std::pop_heap(sources.begin(), sources.end(), later);
    QueueState* queue = sources.back().queue;
    JobNode* node = jobs_.Find(JobId(sources.back().first.id));
    sources.pop_back();
    outcome.grants.push_back(Lease(queue, node, command.holder, command.lease));
    if (outcome.grants.size() == command.max || !UnderReservedCap(*queue)) continue;
    if (FirstToLease(queue, &room) == JobId()) continue;
    sources.push_back({*queue->ready.First(), queue});
    std::push_heap(sources.begin(), sources.end(), later);
  }
  if (outcome.grants.empty()) outcome.code = OutcomeCode::kNothingReady;
  return outcome;
}

Outcome Machine::Impl::Do(const ReserveJobCommand& command) {
  if (command.lease < LogDuration()) return Refused(OutcomeCode::kInvalidArgument);
  const OutcomeCode holder = CheckHolder(command.holder);
  if (holder != OutcomeCode::kOk) return Refused(holder);
  JobNode* node = Refresh(jobs_.Find(command.job));
  if (node == nullptr) return Refused(OutcomeCode::kJobNotFound);
  QueueState* queue = LiveQueue(node->job);
  if (node->job.state == JobState::kReserved) return Refused(OutcomeCode::kReserved);
  if (!UnderReservedCap(*queue)) return Refused(OutcomeCode::kReservedCap);
  Outcome outcome;
  outcome.grants.push_back(Lease(queue, node, command.holder, command.lease));
  return outcome;
}

}  // namespace holdfast
