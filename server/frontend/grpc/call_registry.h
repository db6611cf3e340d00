// The calls of a server that may last: reserves that wait and streams. Tells them when the
// server drains.
//
// Thread-safety: thread-safe. Ownership: calls own themselves and leave before they go.

#ifndef HOLDFAST_SERVER_FRONTEND_GRPC_CALL_REGISTRY_H_
#define HOLDFAST_SERVER_FRONTEND_GRPC_CALL_REGISTRY_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace holdfast {

class LastingCall {
 public:
  // The server is about to stop; the call ends by itself as soon as it can, at `deadline` by
  // force. Called at most once, under the registry's lock: must not call Leave.
  virtual void Drain(absl::Time deadline) = 0;

 protected:
  ~LastingCall() = default;
};

class CallRegistry {
 public:
  // False: the server drains already, the call must not begin.
  bool Enter(LastingCall* call) ABSL_LOCKS_EXCLUDED(mutex_);
  void Leave(LastingCall* call) ABSL_LOCKS_EXCLUDED(mutex_);
  void Drain(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex_);

  bool draining() const ABSL_LOCKS_EXCLUDED(mutex_);
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<LastingCall*> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_GRPC_CALL_REGISTRY_H_
