// One queue in memory: its record and its ordered sets.
//
// The sets that most queues do not use are made when first needed: a queue with a few ready jobs
// costs the record, its name and about 250 bytes.

#ifndef HOLDFAST_QUEUE_QUEUE_STATE_H_
#define HOLDFAST_QUEUE_QUEUE_STATE_H_

#include <cstdint>
#include <memory>

#include "queue/dedup_table.h"
#include "queue/paged_set.h"
#include "queue/records.h"

namespace holdfast {

struct QueueState {
  static constexpr uint32_t kNotInRing = UINT32_MAX;

  QueueRecord record;
  PagedSet ready;
  PagedSet reserved;
  std::unique_ptr<PagedSet> delayed;
  std::unique_ptr<PagedSet> buried;
  std::unique_ptr<PagedSet> ttl;
  std::unique_ptr<DedupTable> dedup;
  uint64_t record_hash = 0;  // of the record as last drained; 0: not yet
  uint32_t hot_jobs = 0;     // live jobs in memory
  uint32_t ring_place = kNotInRing;
  bool changed = false;     // is in the list of undrained queue changes
  bool wakeup = false;      // is in the list of wake-ups
  bool referenced = false;  // used since the sweep last passed

  // The set of a kind; made if need be. REQUIRES: kReady..kTtl.
  PagedSet& Set(SetKind kind) {
    switch (kind) {
      case SetKind::kReady:
        return ready;
      case SetKind::kReserved:
        return reserved;
      case SetKind::kDelayed:
        return Made(&delayed);
      case SetKind::kBuried:
        return Made(&buried);
      default:
        return Made(&ttl);
    }
  }
  PagedSet& Set(JobState state) { return Set(static_cast<SetKind>(state)); }
  // nullptr if the queue has had no use for it.
  PagedSet* FindSet(SetKind kind) {
    if (kind == SetKind::kReady) return &ready;
    if (kind == SetKind::kReserved) return &reserved;
    if (kind == SetKind::kDelayed) return delayed.get();
    if (kind == SetKind::kBuried) return buried.get();
    if (kind == SetKind::kTtl) return ttl.get();
    if (kind == SetKind::kDedup && dedup != nullptr) return &dedup->order();
    return nullptr;
  }
  const PagedSet* FindSet(SetKind kind) const {
    return const_cast<QueueState*>(this)->FindSet(kind);
  }

  uint64_t live_jobs() const {
    return record.counts[0] + record.counts[1] + record.counts[2] + record.counts[3];
  }
  bool paused(LogTime now) const { return now < record.paused_until; }

 private:
  static PagedSet& Made(std::unique_ptr<PagedSet>* set) {
    if (*set == nullptr) *set = std::make_unique<PagedSet>();
    return **set;
  }
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_QUEUE_STATE_H_
