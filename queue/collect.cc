// What time, purges, deletions and lost holders end, a bounded number of jobs at a time.
//
// The order in which things are collected follows from the state alone: queues by (deadline, id),
// sets by kind and then place, closed holders and graves by their names.

#include <algorithm>

#include "base/check.h"
#include "base/mutant.h"
#include "queue/expire_room.h"
#include "queue/machine_impl.h"

namespace holdfast {

size_t Machine::Impl::CollectJobsDue(QueueState* queue, SetKind kind, size_t room) {
  PagedSet* set = queue->FindSet(kind);
  if (set == nullptr) return 0;
  size_t done = 0;
  for (; done < room; ++done) {
    const SetKey* first = set->First();
    if (first == nullptr) CHECK(!set->HeadUnknown());
    const uint64_t early = MutantIs(Mutant::kExpiryBeforeTime) ? 200'000 : 0;
    if (first == nullptr || first->key > now().micros() + early) break;
    JobNode* node = jobs_.Find(JobId(first->id));
    if (kind == SetKind::kReserved) {
      if (holders_.IsClosed(node->job.holder)) {
        ReturnFromClosedHolder(queue, node);
      } else {
        EndLease(queue, node);
      }
    } else if (kind == SetKind::kDelayed) {
      Unlink(queue, node);
      MakeReady(queue, node);
    } else if (LiveQueue(node->job) == nullptr) {
      EraseDead(node);
    } else {
      ExpireJob(queue, node);
    }
  }
  return done;
}

size_t Machine::Impl::CollectDedups(QueueState* queue, size_t room) {
  DedupTable* table = queue->dedup.get();
  if (table == nullptr) return 0;
  size_t done = 0;
  for (; done < room; ++done) {
    const SetKey* first = table->order().First();
    if (first == nullptr) CHECK(!table->order().HeadUnknown());
    if (first == nullptr || first->key > now().micros()) break;
    RemoveDedup(queue, table, *first);
  }
  return done;
}

LogTime Machine::Impl::ExactDeadline(const QueueState& queue) const {
  LogTime deadline = LogTime::Never();
  for (const SetKind kind :
       {SetKind::kReserved, SetKind::kDelayed, SetKind::kTtl, SetKind::kDedup}) {
    const PagedSet* set = queue.FindSet(kind);
    if (set == nullptr) continue;
    CHECK(!set->HeadUnknown());
    if (const SetKey* first = set->First()) {
      deadline = std::min(deadline, LogTime::FromMicros(first->key));
    }
  }
  if (queue.record.paused_until != LogTime()) {
    deadline = std::min(deadline, queue.record.paused_until);
  }
  if (MayLinger(queue)) {
    // Dedup keys that are still remembered keep an idle queue; its end is looked at after theirs.
    const LogTime idle = queue.record.idle_since + settings().idle_queue_linger;
    if (queue.record.dedup_count == 0 || idle > now()) deadline = std::min(deadline, idle);
  }
  return deadline;
}

// Returns how much room it took; afterwards either the room is used up or nothing of the queue is
// due, and the deadline is exact.
size_t Machine::Impl::CollectQueue(QueueState* queue, size_t room) {
  size_t done = CollectJobsDue(queue, SetKind::kReserved, room);
  done += CollectJobsDue(queue, SetKind::kDelayed, room - done);
  done += CollectJobsDue(queue, SetKind::kTtl, room - done);
  done += CollectDedups(queue, room - done);
  QueueRecord& record = queue->record;
  Touch(queue);
  if (record.paused_until != LogTime() && record.paused_until <= now()) {
    record.paused_until = LogTime();
    record.pause = LogDuration();
    Wake(queue);
  }
  if (record.counts[static_cast<int>(JobState::kReady)] > 0 && done > 0) Wake(queue);
  const LogTime deadline = ExactDeadline(*queue);
  deadlines_.Move(record.id, record.deadline, deadline);
  record.deadline = deadline;
  return done;
}

size_t Machine::Impl::CollectTime(size_t room) {
  size_t done = 0;
  size_t visits = 0;
  while (done + visits < room) {
    const std::vector<QueueId> due = deadlines_.Due(now(), 1);
    if (due.empty()) break;
    QueueState* queue = queues_.Find(due.front());
    const size_t collected = CollectQueue(queue, room - done - visits);
    done += collected;
    const bool idle = MayLinger(*queue) && queue->record.dedup_count == 0 &&
                      queue->record.idle_since + settings().idle_queue_linger <= now();
    if (idle) {
      RemoveQueue(queue);
      if (collected == 0) ++done;
    } else if (collected == 0) {
      ++visits;  // an early deadline was corrected
    }
  }
  if (done + visits < room) done += requests_.Collect(now(), room - done - visits);
  if (done + visits < room) done += sessions_.Collect(now(), room - done - visits);
  return done;
}

size_t Machine::Impl::CollectHolder(const Holder& holder, size_t room) {
  size_t done = 0;
  while (done < room) {
    const PagedSet* held = holders_.FindSet(holder);
    if (held == nullptr || held->total() == 0) break;
    CHECK(held->First() != nullptr);
    JobNode* node = jobs_.Find(JobId(held->First()->id));
    if (QueueState* queue = LiveQueue(node->job)) {
      ReturnFromClosedHolder(queue, node);
    } else {
      EraseDead(node);
    }
    ++done;
  }
  const PagedSet* held = holders_.FindSet(holder);
  if (done < room && held != nullptr && held->total() == 0 && holders_.IsLost(holder)) {
    holders_.Drop(holder);
    ++done;
  }
  return done;
}

size_t Machine::Impl::CollectGrave(const SetRef& ref, size_t room) {
  size_t done = 0;
  for (; done < room; ++done) {
    const auto it = graves_.find(ref);
    if (it == graves_.end()) break;
    PagedSet& set = it->second.set(ref.kind);
    CHECK(set.First() != nullptr);
    const SetKey first = *set.First();
    if (ref.kind != SetKind::kDedup) {
      EraseDead(jobs_.Find(JobId(first.id)));
      continue;
    }
    DedupTable& table = it->second.dedups;
    const std::string key = table.At(first).first;
    MarkDedupChanged(ref.queue, key, &table.At(first).second);
    table.Remove(key);
    absent_dedups_.emplace(ref.queue, key);
    grave_changes_.Mark(ref);
    if (set.total() == 0) graves_.erase(it);
  }
  return done;
}

size_t Machine::Impl::CollectGarbage(size_t room) {
  size_t done = 0;
  Holder holder;
  while (done < room && holders_.FirstToCollect(&holder)) {
    done += CollectHolder(holder, room - done);
  }
  while (done < room && !graves_.empty()) {
    const SetRef ref = graves_.begin()->first;
    done += CollectGrave(ref, room - done);
  }
  return done;
}

Outcome Machine::Impl::Do(const ExpireCommand& command) {
  if (command.max == 0) return Refused(OutcomeCode::kInvalidArgument);
  const size_t room = ExpireRoom(command.max);
  const size_t kept_for_garbage = HasGarbage() ? room / 2 : 0;
  const size_t ended = CollectTime(room - kept_for_garbage);
  Outcome outcome;
  outcome.count = ended + CollectGarbage(room - std::min(room, ended));
  outcome.more = HasGarbage() || NextDeadline() <= now();
  return outcome;
}

}  // namespace holdfast
