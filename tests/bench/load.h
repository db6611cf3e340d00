// Loads a server of the beanstalkd protocol from one thread, and says how fast it was.
//
// A slot is one command that is awaited and then followed by its next: a connection of window 1
// has one command outstanding, one of window 64 has 64 in the pipeline.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_TESTS_BENCH_LOAD_H_
#define HOLDFAST_TESTS_BENCH_LOAD_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace holdfast::testing {

enum class LoadShape : uint8_t {
  kPut = 0,    // put
  kTake = 1,   // reserve, delete; the jobs are there already
  kCycle = 2,  // put, reserve, delete
};

struct LoadOptions {
  uint16_t port = 0;
  LoadShape shape = LoadShape::kPut;
  uint32_t connections = 1;  // [1, 10000]
  uint32_t window = 1;       // [1, 1024] slots of each
  uint64_t jobs = 0;         // no further one is begun after so many, at least 1
  double seconds = 0;        // nor after this time; 0: whatever it takes
  uint32_t body_bytes = 100;
  // 0: everything in the tube "default". Else jobs go round so many tubes: with each put the tube
  // is used, with each reserve watched, with each delete ignored again. REQUIRES: window 1.
  uint32_t tubes = 0;
};

struct LoadResult {
  uint64_t jobs = 0;       // done
  double seconds = 0;      // from the first command to the last reply
  double cpu_seconds = 0;  // of the generator, in that time
};

// Errors: DEADLINE_EXCEEDED if nothing comes back for 60 s; INTERNAL, with the reply, for any but
// the expected one; others of the socket.
absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_BENCH_LOAD_H_
