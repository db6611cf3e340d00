// The disk of a server whose power can be cut: the preload library of tests/support/powercut
// follows what the server has really synced, and a cut undoes the rest.

#ifndef HOLDFAST_TESTS_INTEGRATION_TRACKED_DISK_H_
#define HOLDFAST_TESTS_INTEGRATION_TRACKED_DISK_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "base/prng.h"
#include "tests/support/powercut/restore.h"

namespace holdfast::testing {

// kIgnored: syncs answer success and make nothing durable.
enum class Syncs { kKept, kIgnored };

// Thread-safety: thread-compatible.
class TrackedDisk {
 public:
  // Makes folders below `directory`. `preload`: libpowercut.so.
  TrackedDisk(const std::string& directory, const std::string& preload, Syncs syncs);

  // Where the server's data directory must be.
  const std::string& root() const { return root_; }
  // What the server must be started with.
  std::map<std::string, std::string> Environment() const;

  // After a SIGKILL: takes away what was not synced, or, by `random` and unless syncs are ignored,
  // a part of it as a disk with a cache would.
  absl::StatusOr<powercut::RestoreReport> Cut(Prng* random);

 private:
  const std::string root_;
  const std::string journal_;
  const std::string preload_;
  const Syncs syncs_;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_TRACKED_DISK_H_
