// The tubes that connections of this node use or watch, and how many do. The engine knows nothing
// of it: a tube without jobs is there as long as somebody refers to it here.
//
// Invariant: "default" is always there.
// Thread-safety: thread-safe. Ownership: the table outlives all references.

#ifndef HOLDFAST_SERVER_FRONTEND_BEANSTALK_TUBE_TABLE_H_
#define HOLDFAST_SERVER_FRONTEND_BEANSTALK_TUBE_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "base/string_hash.h"

namespace holdfast::beanstalk {

inline constexpr std::string_view kDefaultTube = "default";

class TubeTable {
 public:
  struct Tube {
    const std::string name;
    const uint64_t order;  // rises from tube to tube
    std::atomic<uint32_t> users{0};
    std::atomic<uint32_t> watchers{0};
    std::atomic<uint32_t> waiters{0};
  };
  // While it is held the tube is there.
  using Ref = std::shared_ptr<Tube>;

  struct Counts {
    uint32_t users = 0;
    uint32_t watchers = 0;
    uint32_t waiters = 0;
  };

  TubeTable();

  // Makes it if need be.
  Ref Get(std::string_view name);
  // nullopt if nobody refers to it.
  std::optional<Counts> Find(std::string_view name) const;
  // In the order in which they came to be; "default" first.
  std::vector<std::string> Names() const;

 private:
  void Drop(const Tube& tube);

  mutable absl::Mutex mutex_;
  uint64_t made_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<std::string, std::weak_ptr<Tube>, StringHash, StringEqual> tubes_
      ABSL_GUARDED_BY(mutex_);
  Ref default_;
};

}  // namespace holdfast::beanstalk

#endif  // HOLDFAST_SERVER_FRONTEND_BEANSTALK_TUBE_TABLE_H_
