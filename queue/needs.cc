// Which cold rows a command wants before it can be applied.
//
// Each NeedFor mirrors its command: it may ask for more than the command will use, never for less.
// The argument throughout: every step of a command that takes from the front of a set costs one of
// the command's room, and takes at most one member from each set; so a set of which the first
// room + 1 members are hot still shows its first member afterwards.

#include <algorithm>

#include "queue/expire_room.h"
#include "queue/machine_impl.h"
#include "queue/reserve_room.h"

namespace holdfast {

void Machine::Impl::NeedJob(JobId id, Needs* needs) const {
  if (!IsJobKnown(id)) needs->jobs.push_back(id);
}

void Machine::Impl::NeedLeases(const LeaseRefs& leases, Needs* needs) const {
  for (const LeaseRef& lease : leases) jobs_.Prefetch(lease.job);
  for (const LeaseRef& lease : leases) NeedJob(lease.job, needs);
}

void Machine::Impl::NeedScan(const SetRef& ref, const PagedSet& set, uint64_t wanted,
                             Needs* needs) const {
  if (set.Has(wanted)) return;
  const uint64_t missing = wanted - set.prefix();
  const size_t limit = std::max<uint64_t>(missing, RefillLow());
  const SetKey from = ScanStart(ref, set);
  // A start before the window end may meet one member that is hot already: one more is wanted, or
  // a scan for one would bring nothing new for ever.
  needs->scans.push_back(Needs::Scan{ref, from, limit + (from < set.window_end() ? 1 : 0)});
}

// For CollectQueue(queue, room); returns at most as many jobs and entries as it will take.
size_t Machine::Impl::NeedDue(const QueueState& queue, LogTime now, size_t room,
                              Needs* needs) const {
  constexpr SetKind kKinds[] = {SetKind::kReserved, SetKind::kDelayed, SetKind::kTtl,
                                SetKind::kDedup};
  const size_t scans_before = needs->scans.size();
  size_t due = 0;
  size_t leases = 0;
  for (const SetKind kind : kKinds) {
    const PagedSet* set = queue.FindSet(kind);
    if (set == nullptr) continue;
    if (!set->WindowReachesBeyond(now.micros())) {
      NeedScan(RefOf(queue, kind), *set, room + 1, needs);
    }
    const size_t count = set->CountUpTo(now.micros(), room);
    due += count;
    if (kind == SetKind::kReserved) leases = count;
  }
  due = std::min(due, room);
  if (needs->scans.size() > scans_before) return 0;
  // A job whose lease ends may end by its ttl in the same visit.
  const size_t taken = std::min(room, due + leases);
  for (const SetKind kind : kKinds) {
    const PagedSet* set = queue.FindSet(kind);
    if (set != nullptr) NeedScan(RefOf(queue, kind), *set, taken + 1, needs);
  }
  return due;
}

void Machine::Impl::NeedFor(const EnqueueCommand& command, LogTime now, Needs* needs) const {
  (void)now;
  const QueueState* queue = queues_.Find(command.queue);
  if (queue == nullptr || queue->dedup == nullptr || queue->dedup->order().complete()) return;
  for (const JobSpec& spec : command.jobs) {
    if (spec.dedup_key.empty() || queue->dedup->Find(spec.dedup_key) != nullptr) continue;
    DedupKey key(queue->record.id, spec.dedup_key);
    if (absent_dedups_.contains(key)) continue;
    needs->dedups.push_back(Needs::Dedup{key.first, std::move(key.second)});
  }
}

void Machine::Impl::NeedFor(const ReserveCommand& command, LogTime now, Needs* needs) const {
  if (command.max == 0 || command.max > kItemsPerCommandMax) return;
  if (CheckHolder(command.holder) != OutcomeCode::kOk) return;
  size_t room = ReserveRoom(command.max);
  for (const QueueState* queue : QueuesOf(command)) {
    const QueueRecord& record = queue->record;
    const bool due = record.deadline <= now;
    if (due && room > 0 && queue->live_jobs() > 0) {
      room -= std::min(room, NeedDue(*queue, now, room, needs));
    }
    if (queue->paused(now) || (!due && !UnderReservedCap(*queue))) continue;
    const uint64_t expiring = record.ttl_count > 0 ? ReserveRoom(command.max) : 0;
    NeedScan(RefOf(*queue, SetKind::kReady), queue->ready, command.max + expiring, needs);
  }
}

void Machine::Impl::NeedFor(const KickCommand& command, LogTime now, Needs* needs) const {
  (void)now;
  const QueueState* queue = queues_.Find(command.queue);
  if (queue == nullptr) return;
  const uint64_t buried = queue->record.counts[static_cast<int>(JobState::kBuried)];
  const bool from_buried = command.from == KickFrom::kBuried ||
                           (command.from == KickFrom::kBuriedElseDelayed && buried > 0);
  const SetKind kind = from_buried ? SetKind::kBuried : SetKind::kDelayed;
  const PagedSet* set = queue->FindSet(kind);
  if (set == nullptr) return;
  NeedScan(RefOf(*queue, kind), *set, std::min(command.bound, kKickMax), needs);
}

void Machine::Impl::NeedFor(const ExpireCommand& command, LogTime now, Needs* needs) const {
  const size_t room = ExpireRoom(command.max);
  size_t left = room;
  for (const QueueId id : deadlines_.Due(now, room)) {
    if (left == 0) break;
    const size_t taken = NeedDue(*queues_.Find(id), now, left, needs);
    left -= std::min(left, std::max<size_t>(taken, 1));
  }
  // What is ended by time above may be taken from these sets too; and a job that a closed holder
  // holds may lie in a grave. So each is asked for by itself.
  left = room;
  for (const Holder& holder : holders_.ToCollect(room)) {
    if (left == 0) break;
    const PagedSet* held = holders_.FindSet(holder);
    const SetRef ref{SetKind::kHeld, QueueId(), 0, holder};
    NeedScan(ref, *held, std::min<uint64_t>(held->total(), room), needs);
    left -= std::min<uint64_t>(left, std::max<uint64_t>(held->total(), 1));
  }
  left = room;
  size_t visited = 0;
  for (const auto& [ref, grave] : graves_) {
    if (left == 0 || visited++ == room) break;
    const PagedSet& set = grave.set(ref.kind);
    NeedScan(ref, set, std::min<uint64_t>(set.total(), room), needs);
    if (ref.kind == SetKind::kReserved) continue;
    left -= std::min<uint64_t>(left, set.total());
  }
}

bool Machine::Impl::WillNotExecute(const Command& command, LogTime now) const {
  const RequestIdentity& request = command.request;
  if (request.has_session()) {
    const Outcome* earlier = nullptr;
    return sessions_.Judge(request, now, settings().session_outcomes_max, &earlier) !=
           SessionTable::Verdict::kExecute;
  }
  return request.has_digest() &&
         requests_.Find({request.digest_high, request.digest_low}, now) != nullptr;
}

Needs Machine::Impl::NeedsOf(const Command& command, LogTime now) const {
  Needs needs;
  if (WillNotExecute(command, now)) return needs;
  const auto need = [&](const auto& body) {
    if constexpr (requires { NeedFor(body, now, &needs); }) {
      NeedFor(body, now, &needs);
    } else if constexpr (requires { body.leases; }) {
      NeedLeases(body.leases, &needs);
    } else if constexpr (requires { body.jobs; }) {
      for (const JobId id : body.jobs) NeedJob(id, &needs);
    } else if constexpr (requires { body.job; }) {
      NeedJob(body.job, &needs);
    }
  };
  std::visit(need, command.body);
  return needs;
}

}  // namespace holdfast
