// Which replicas take part in any group of this node, put together from its loops.
//
// Thread-safety: thread-safe.

#ifndef HOLDFAST_SERVER_CLUSTER_REPLICAS_IN_USE_H_
#define HOLDFAST_SERVER_CLUSTER_REPLICAS_IN_USE_H_

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/types.h"

namespace holdfast {

class ReplicasInUse {
 public:
  explicit ReplicasInUse(size_t loops) : of_loop_(loops) {}

  // Those of the groups of one loop, as they are now.
  void Set(size_t loop, std::set<ReplicaId> replicas) {
    absl::MutexLock lock(&mutex_);
    of_loop_[loop] = {.told = true, .replicas = std::move(replicas)};
  }
  // True also while a loop has not told yet.
  bool MayContain(ReplicaId replica) const {
    absl::MutexLock lock(&mutex_);
    return std::any_of(of_loop_.begin(), of_loop_.end(), [replica](const OfLoop& loop) {
      return !loop.told || loop.replicas.contains(replica);
    });
  }

 private:
  struct OfLoop {
    bool told = false;
    std::set<ReplicaId> replicas;
  };
  mutable absl::Mutex mutex_;
  std::vector<OfLoop> of_loop_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CLUSTER_REPLICAS_IN_USE_H_
