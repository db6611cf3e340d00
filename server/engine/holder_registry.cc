#include "server/engine/holder_registry.h"

#include <utility>

namespace holdfast {

Holder HolderRegistry::Open(LeaseEndedFn ended) {
  auto listener = std::make_shared<Listener>();
  {
    absl::MutexLock lock(&listener->mutex);
    listener->ended = std::move(ended);
  }
  absl::MutexLock lock(&mutex_);
  const uint64_t n = ++last_;
  listeners_.emplace(n, std::move(listener));
  return {.node = node_, .incarnation = incarnation_, .n = n};
}

void HolderRegistry::Close(const Holder& holder) {
  std::shared_ptr<Listener> listener;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = listeners_.find(holder.n);
    const bool ours = holder.node == node_ && holder.incarnation == incarnation_;
    if (!ours || it == listeners_.end()) return;
    listener = std::move(it->second);
    listeners_.erase(it);
  }
  absl::MutexLock lock(&listener->mutex);
  listener->ended = nullptr;
}

void HolderRegistry::Notify(const Machine::EndedLease& lease) {
  if (lease.holder.node != node_ || lease.holder.incarnation != incarnation_) return;
  std::shared_ptr<Listener> listener;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = listeners_.find(lease.holder.n);
    if (it == listeners_.end()) return;
    listener = it->second;
  }
  absl::MutexLock lock(&listener->mutex);
  if (listener->ended != nullptr) listener->ended(lease);
}

}  // namespace holdfast
