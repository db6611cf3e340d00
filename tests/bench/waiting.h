// Many connections that wait.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_TESTS_BENCH_WAITING_H_
#define HOLDFAST_TESTS_BENCH_WAITING_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/load_connection.h"

namespace holdfast::testing {

// Connections that the server has accepted.
absl::StatusOr<std::vector<std::unique_ptr<LoadConnection>>> OpenMany(uint16_t port,
                                                                      uint32_t count);

// Lets `count` connections wait in reserve, puts as many jobs in one pipeline, and checks that each
// connection is given exactly one of them, no two the same, and that none is left. The seconds from
// the first put to the last RESERVED. The server must be empty.
// Errors: INTERNAL if not so; DEADLINE_EXCEEDED if one is not woken within 30 s.
absl::StatusOr<double> WakeWaiters(uint16_t port, uint32_t count);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_BENCH_WAITING_H_
