// The open holders of this node (its connections and streams) and whom to tell when one of their
// leases ends.
//
// Thread-safety: thread-safe. A callback runs under no lock of the table, but never after
// Close() of its holder has returned.

#ifndef HOLDFAST_SERVER_ENGINE_HOLDER_REGISTRY_H_
#define HOLDFAST_SERVER_ENGINE_HOLDER_REGISTRY_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "base/types.h"
#include "server/engine/engine.h"

namespace holdfast {

class HolderRegistry {
 public:
  HolderRegistry(NodeId node, uint64_t incarnation) : node_(node), incarnation_(incarnation) {}

  Holder Open(LeaseEndedFn ended);
  void Close(const Holder& holder);
  // Does nothing for a holder that is closed or another node's.
  void Notify(const Machine::EndedLease& lease);

 private:
  struct Listener {
    absl::Mutex mutex;  // held while `ended` runs
    LeaseEndedFn ended ABSL_GUARDED_BY(mutex);
  };

  const NodeId node_;
  const uint64_t incarnation_;
  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, std::shared_ptr<Listener>> listeners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_HOLDER_REGISTRY_H_
