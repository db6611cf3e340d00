// What a power cut leaves: cuts a directory back to what its process had made durable.
//
// Run it after the tracked process is gone (SIGKILL). By default nothing that was not durable
// survives; with `keep` set, a seeded random part does, as on a disk with a cache: single
// sectors of unsynced writes (so writes are torn), file lengths in between, and names up to a
// random moment. Then the journal is emptied: what is left counts as durable.
//
// Thread-safety: a function without state; nothing else may use the directory meanwhile.

#ifndef HOLDFAST_TESTS_SUPPORT_POWERCUT_RESTORE_H_
#define HOLDFAST_TESTS_SUPPORT_POWERCUT_RESTORE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace holdfast::powercut {

enum class Keep { kNothingUnsynced, kRandomPart };

struct RestoreOptions {
  Keep keep = Keep::kNothingUnsynced;
  uint64_t seed = 1;
};

struct RestoreReport {
  uint64_t files_changed = 0;
  uint64_t writes_undone = 0;  // unsynced changes of contents of which something was undone
  uint64_t writes_kept = 0;    // unsynced changes of which something survived
  uint64_t bytes_undone = 0;
  uint64_t names_undone = 0;
  uint64_t names_kept = 0;
  uint64_t syncs = 0;  // syncs that had made something durable since the last restore

  std::string ToString() const;
};

// Cuts `root` back by the journal in `journal`.
// Errors: FAILED_PRECONDITION when the journal is in use or a file was changed by a call that
// the library does not see; INTERNAL when a system call failed. The directory is then in no
// defined state.
absl::StatusOr<RestoreReport> Restore(const std::string& root, const std::string& journal,
                                      const RestoreOptions& options);

// Flips the switches of a running process (see Control in format.h).
enum class DiskFault { kNone, kNoSpace, kSyncError, kReadOnly };
// `after_calls` calls that would fail still succeed first. Errors: NOT_FOUND without a journal.
absl::Status SetDiskFault(const std::string& journal, DiskFault fault, uint64_t after_calls);
// How many calls were made to fail so far.
absl::StatusOr<uint64_t> InjectedFailures(const std::string& journal);

}  // namespace holdfast::powercut

#endif  // HOLDFAST_TESTS_SUPPORT_POWERCUT_RESTORE_H_
