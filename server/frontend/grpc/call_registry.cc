#include "server/frontend/grpc/call_registry.h"

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace holdfast {

bool CallRegistry::Enter(LastingCall* call) {
  absl::MutexLock lock(&mutex_);
  if (draining_) return false;
  calls_.insert(call);
  return true;
}

void CallRegistry::Leave(LastingCall* call) {
  absl::MutexLock lock(&mutex_);
  calls_.erase(call);
}

void CallRegistry::Drain(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  if (draining_) return;
  draining_ = true;
  for (LastingCall* call : calls_) call->Drain(deadline);
}

bool CallRegistry::draining() const {
  absl::MutexLock lock(&mutex_);
  return draining_;
}

size_t CallRegistry::size() const {
  absl::MutexLock lock(&mutex_);
  return calls_.size();
}

}  // namespace holdfast
