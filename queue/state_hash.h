// Hashes of the machine's records, to compare replicas with.
//
// They cover what a record means and leave out what may differ between equal states (purge epochs,
// what is in memory), so sums of them do not depend on order or on paging. Fixed for good for one
// machine version. Not for secrets: collisions can be made on purpose.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_QUEUE_STATE_HASH_H_
#define HOLDFAST_QUEUE_STATE_HASH_H_

#include <cstdint>
#include <string_view>

#include "queue/job.h"
#include "queue/outcome.h"
#include "queue/records.h"

namespace holdfast {

// Sums products of pairs of words (each with its own place's constant), so that the parts of a
// record can be worked on at once.
class RecordHash {
 public:
  explicit RecordHash(uint64_t kind) : sum_(kind * kMultiplier) {}

  RecordHash& Add(uint64_t a, uint64_t b) {
    place_ += kPlaceStep;
    sum_ += Fold(a ^ place_, b ^ ~(place_ * kMultiplier));
    return *this;
  }
  RecordHash& Add(std::string_view bytes);
  uint64_t Finish() const { return Fold(sum_ ^ kPlaceStep, kMultiplier ^ (sum_ >> 32)); }

 private:
  static constexpr uint64_t kPlaceStep = 0x9e3779b97f4a7c15;
  static constexpr uint64_t kMultiplier = 0xd6e8feb86659fd93;

  static uint64_t Fold(uint64_t a, uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  uint64_t sum_;
  uint64_t place_ = 0;
};

uint64_t HashOf(const Job& job);
uint64_t HashOf(const QueueRecord& record);
uint64_t HashOf(const DedupRecord& record);
uint64_t HashOf(const Outcome& outcome);
uint64_t HashOf(const GlobalsRow& row);
uint64_t HashOf(const Holder& holder, const HolderRow& row);
uint64_t HashOf(NodeId node, const NodeFloorRow& row);
uint64_t HashOf(const RequestKey& key, const RequestRow& row);
uint64_t HashOf(SessionId session, const SessionRow& row);
uint64_t HashOf(const SessionOutcomeKey& key, const SessionOutcomeRow& row);
uint64_t HashOf(const ClusterRecordRow& row);

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_STATE_HASH_H_
