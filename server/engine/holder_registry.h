// The open holders of this node (its connections and streams) and whom to tell when one of their
// leases ends.
//
// A node that the log calls lost holds nothing any more, and nothing can be leased to the holders
// of that incarnation. If it runs all the same its holders go on under the next one. Those of its
// n-th start are [n << 20, (n + 1) << 20). Holders whose leases outlive the node are of
// kNeverLost + n.
//
// Thread-safety: thread-safe. A callback runs under no lock of the table, but never after
// Close() of its holder has returned. It may itself close its holder, as the last thing that it
// does with what it was opened for.

#ifndef HOLDFAST_SERVER_ENGINE_HOLDER_REGISTRY_H_
#define HOLDFAST_SERVER_ENGINE_HOLDER_REGISTRY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "base/types.h"
#include "server/engine/engine.h"

namespace holdfast {

class HolderRegistry {
 public:
  // `start`: of the node, from 1, another one at each.
  HolderRegistry(NodeId node, uint64_t start)
      : node_(node),
        first_(start << 20),
        outliving_(kNeverLost + start),
        incarnation_(start << 20) {}

  // kExpire: its leases outlive the node.
  Holder Open(LeasesAtClose leases, LeaseEndedFn ended);
  void Close(const Holder& holder);
  // Does nothing for a holder that is closed or another node's.
  void Notify(const Machine::EndedLease& lease);

  // The node's incarnations up to this one are lost, as the log says. True if its holders were of
  // one of them: from now on they are of a later one.
  bool Lose(uint64_t incarnation);
  // The newest incarnation that is lost, or that was before this start.
  uint64_t lost() const { return incarnation_.load(std::memory_order_relaxed) - 1; }
  // As which a holder of this run reserves and closes now. Any other stays as it is.
  Holder Now(const Holder& holder) const;

 private:
  struct Listener {
    absl::Mutex mutex;  // held while `ended` runs
    LeaseEndedFn ended ABSL_GUARDED_BY(mutex);
    bool closed ABSL_GUARDED_BY(mutex) = false;
    std::atomic<std::thread::id> caller{};  // the thread in which `ended` runs
  };
  bool IsOfThisRun(const Holder& holder) const {
    if (holder.node != node_) return false;
    return holder.incarnation >= kNeverLost ? holder.incarnation == outliving_
                                            : holder.incarnation >= first_;
  }

  const NodeId node_;
  const uint64_t first_;
  const uint64_t outliving_;
  std::atomic<uint64_t> incarnation_;  // only rises
  absl::Mutex mutex_;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<uint64_t, std::shared_ptr<Listener>> listeners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_HOLDER_REGISTRY_H_
