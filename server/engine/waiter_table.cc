#include "server/engine/waiter_table.h"

#include <utility>

#include "base/check.h"

namespace holdfast {

void WaiterTable::Park(WaiterPtr waiter) {
  CHECK(!waiter->parked);
  if (waiter->turn == 0) waiter->turn = ++turns_;
  waiter->parked = true;
  for (const std::string& queue : waiter->request.queues) {
    queues_[queue].insert({waiter->turn, waiter->id});
  }
  deadlines_.insert({waiter->deadline_micros, waiter->id});
  const ReserveId id = waiter->id;
  CHECK(waiters_.emplace(id, std::move(waiter)).second);
}

WaiterPtr WaiterTable::Take(absl::flat_hash_map<ReserveId, WaiterPtr>::iterator it) {
  WaiterPtr waiter = std::move(it->second);
  waiters_.erase(it);
  deadlines_.erase({waiter->deadline_micros, waiter->id});
  for (const std::string& queue : waiter->request.queues) {
    const auto list = queues_.find(queue);
    CHECK(list != queues_.end());
    list->second.erase({waiter->turn, waiter->id});
    if (list->second.empty()) queues_.erase(list);
  }
  waiter->parked = false;
  return waiter;
}

WaiterPtr WaiterTable::TakeFor(std::string_view queue) {
  const auto list = queues_.find(queue);
  if (list == queues_.end()) return nullptr;
  return Take(waiters_.find(list->second.begin()->id));
}

WaiterPtr WaiterTable::TakeForGrant(std::string_view queue) {
  const auto list = queues_.find(queue);
  if (list == queues_.end()) return nullptr;
  for (const Turn& turn : list->second) {
    const auto it = waiters_.find(turn.id);
    if (!it->second->offer_only) return Take(it);
  }
  return nullptr;
}

WaiterPtr WaiterTable::Remove(ReserveId id) {
  const auto it = waiters_.find(id);
  return it == waiters_.end() ? nullptr : Take(it);
}

WaiterPtr WaiterTable::TakeLate(int64_t now_micros) {
  if (deadlines_.empty() || deadlines_.begin()->at_micros > now_micros) return nullptr;
  return Take(waiters_.find(deadlines_.begin()->id));
}

WaiterPtr WaiterTable::TakeAny() { return TakeLate(INT64_MAX); }

std::vector<WaiterPtr> WaiterTable::TakeAllForGrant() {
  std::vector<ReserveId> ids;
  for (const Deadline& deadline : deadlines_) {
    if (!waiters_.find(deadline.id)->second->offer_only) ids.push_back(deadline.id);
  }
  std::vector<WaiterPtr> taken;
  taken.reserve(ids.size());
  for (const ReserveId id : ids) taken.push_back(Remove(id));
  return taken;
}

int64_t WaiterTable::NextDeadlineMicros() const {
  return deadlines_.empty() ? INT64_MAX : deadlines_.begin()->at_micros;
}

}  // namespace holdfast
