// The reserves of one shard that have found nothing and wait for a job, first come first served
// in each queue.
//
//            Park                TakeFor / TakeAny
//   (new) ─────────▶ parked ─────────────────────────▶ (the shard proposes its reserve)
//                      │  ▲                                 │ nothing was ready
//           Remove,    │  └─────────── Park ────────────────┘
//           TakeLate   ▼
//                    (gone)
//
// Bounds: waiters_max waiters; a waiter is listed under each of its queues (1..1000).
// Thread-safety: loop-bound with its shard. Pure: time is given.

#ifndef HOLDFAST_SERVER_ENGINE_WAITER_TABLE_H_
#define HOLDFAST_SERVER_ENGINE_WAITER_TABLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "base/string_hash.h"
#include "server/engine/engine.h"

namespace holdfast {

// One reserve, waiting or in an entry that is on its way. REQUIRES: its queues are distinct.
struct Waiter {
  ReserveId id;
  ReserveRequest request;
  int64_t deadline_micros = 0;  // monotonic; when to answer kNothingReady
  ExecuteDone done;
  bool cancelled = false;
  // Offer instead of grant: `done` is called with kOk and no grants once something is ready.
  bool offer_only = false;
  // Another node's: as Submission::from_peer.
  bool from_peer = false;

  // The table's own: where it stands in each of its queues' lists, and its age there.
  uint64_t turn = 0;
  bool parked = false;
};
using WaiterPtr = std::unique_ptr<Waiter>;

class WaiterTable {
 public:
  // Takes a waiter in. A waiter that was taken out to try and found nothing keeps its turn.
  void Park(WaiterPtr waiter);

  // The longest waiting one of a queue, out of the table; nullptr if there is none.
  WaiterPtr TakeFor(std::string_view queue);
  // The same, but not one that waits for an offer.
  WaiterPtr TakeForGrant(std::string_view queue);
  // That one by its id; nullptr if it is not parked.
  WaiterPtr Remove(ReserveId id);
  // One whose deadline has come; nullptr if there is none.
  WaiterPtr TakeLate(int64_t now_micros);
  WaiterPtr TakeAny();
  // All that wait for a grant, in order of their deadlines.
  std::vector<WaiterPtr> TakeAllForGrant();

  // INT64_MAX if none waits.
  int64_t NextDeadlineMicros() const;
  size_t size() const { return waiters_.size(); }

 private:
  struct Deadline {
    int64_t at_micros;
    ReserveId id;
    auto operator<=>(const Deadline&) const = default;
  };
  struct Turn {
    uint64_t turn;
    ReserveId id;
    auto operator<=>(const Turn&) const = default;
  };
  WaiterPtr Take(absl::flat_hash_map<ReserveId, WaiterPtr>::iterator it);

  absl::flat_hash_map<ReserveId, WaiterPtr> waiters_;
  absl::flat_hash_map<std::string, absl::btree_set<Turn>, StringHash, StringEqual> queues_;
  absl::btree_set<Deadline> deadlines_;
  uint64_t turns_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_WAITER_TABLE_H_
