// The crash loop: 64 clients use a real server that is killed, or loses power, again and again;
// then everything is drained and the history is judged.

#ifndef HOLDFAST_TESTS_INTEGRATION_CRASH_LOOP_H_
#define HOLDFAST_TESTS_INTEGRATION_CRASH_LOOP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/checkers.h"

namespace holdfast::testing {

enum class CrashMode {
  kKill,      // SIGKILL: the page cache survives
  kPowerCut,  // SIGKILL, then cut back to what was synced; now and then only SIGKILL
  kControl,   // as kPowerCut with the server's syncs ignored: must be found to lose jobs
};

struct CrashLoopOptions {
  std::string binary;     // `holdfast`
  std::string preload;    // libpowercut.so
  std::string directory;  // empty, of the test's own
  std::vector<std::string> server_arguments;
  CrashMode mode = CrashMode::kKill;
  int rounds = 10;
  int producers = 24;
  int workers = 40;
  uint64_t seed = 1;
  // How long a round lasts at most; each lasts a random part of it.
  absl::Duration round_max = absl::Milliseconds(1500);
};

struct CrashLoopReport {
  CrashMode mode = CrashMode::kKill;
  uint64_t seed = 0;
  int rounds = 0;
  int early_kills = 0;  // kills before the server was up
  int cuts = 0;
  uint64_t enqueued = 0;      // jobs whose enqueue was acknowledged
  uint64_t deleted = 0;       // jobs whose delete was acknowledged
  uint64_t acknowledged = 0;  // commands
  uint64_t unknown = 0;       // commands whose answer was lost
  uint64_t repeated = 0;      // requests sent again after a crash
  uint64_t unsynced_writes_cut = 0;
  uint64_t names_cut = 0;
  absl::Duration start_max;  // the slowest start, recovery included
  uint64_t resident_bytes_max = 0;
  std::vector<Violation> violations;

  // How many violations of the rule there are.
  int CountOf(const std::string& rule) const;
  // One line.
  std::string Summary() const;
};

// Errors: what kept the loop from its end: the server did not start, ended by itself, or did not
// drain. Violations are not errors.
absl::StatusOr<CrashLoopReport> RunCrashLoop(const CrashLoopOptions& options);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CRASH_LOOP_H_
