#include "server/engine/holder_registry.h"

#include <utility>

namespace holdfast {

Holder HolderRegistry::Open(LeasesAtClose leases, LeaseEndedFn ended) {
  auto listener = std::make_shared<Listener>();
  {
    absl::MutexLock lock(&listener->mutex);
    listener->ended = std::move(ended);
  }
  absl::MutexLock lock(&mutex_);
  const uint64_t n = ++last_;
  listeners_.emplace(n, std::move(listener));
  const uint64_t incarnation =
      leases == LeasesAtClose::kExpire ? outliving_ : incarnation_.load(std::memory_order_relaxed);
  return {.node = node_, .incarnation = incarnation, .n = n};
}

bool HolderRegistry::Lose(uint64_t incarnation) {
  uint64_t now = incarnation_.load(std::memory_order_relaxed);
  while (now <= incarnation) {
    if (incarnation_.compare_exchange_weak(now, incarnation + 1)) return true;
  }
  return false;
}

Holder HolderRegistry::Now(const Holder& holder) const {
  if (!IsOfThisRun(holder) || holder.incarnation >= kNeverLost) return holder;
  return {
      .node = node_, .incarnation = incarnation_.load(std::memory_order_relaxed), .n = holder.n};
}

void HolderRegistry::Close(const Holder& holder) {
  std::shared_ptr<Listener> listener;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = listeners_.find(holder.n);
    if (!IsOfThisRun(holder) || it == listeners_.end()) return;
    listener = std::move(it->second);
    listeners_.erase(it);
  }
  if (listener->caller.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
    // From within `ended`, which must outlive its own call.
    listener->mutex.AssertHeld();
    listener->closed = true;
    return;
  }
  absl::MutexLock lock(&listener->mutex);
  listener->closed = true;
  listener->ended = nullptr;
}

void HolderRegistry::Notify(const Machine::EndedLease& lease) {
  if (!IsOfThisRun(lease.holder)) return;
  std::shared_ptr<Listener> listener;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = listeners_.find(lease.holder.n);
    if (it == listeners_.end()) return;
    listener = it->second;
  }
  absl::MutexLock lock(&listener->mutex);
  if (listener->closed || listener->ended == nullptr) return;
  listener->caller.store(std::this_thread::get_id(), std::memory_order_relaxed);
  listener->ended(lease);
  listener->caller.store(std::thread::id(), std::memory_order_relaxed);
}

}  // namespace holdfast
