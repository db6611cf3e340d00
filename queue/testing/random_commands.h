// Random command streams from a seed, over few queues, keys and holders so that they collide.
//
// A stream is made against an Oracle, so that most leases it names are real ones; some are
// stale, foreign or never were. Log time stands still, creeps or jumps over deadlines; times
// are multiples of 100 ms, so that a deadline is often met exactly.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_QUEUE_TESTING_RANDOM_COMMANDS_H_
#define HOLDFAST_QUEUE_TESTING_RANDOM_COMMANDS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "queue/command.h"

namespace holdfast {

struct TimedCommand {
  Command command;
  LogTime now;
};
using CommandStream = std::vector<TimedCommand>;

enum class Expiring {
  // An Expire after each command and each step of log time: nothing due is ever left undone.
  kPromptly,
  // Now and then: commands meet jobs whose time is over but that still wait for Expire.
  kLazily,
};

// The same arguments give the same stream. `length` counts commands other than prompt Expires.
CommandStream RandomStream(uint64_t seed, size_t length, Expiring expiring);

// The stream as a script: "at" lines for log time, one command a line.
std::string StreamText(const CommandStream& stream);

// [first, last] from the environment variable HOLDFAST_SEEDS ("7" or "A..B"), else
// [1, default_count].
std::pair<uint64_t, uint64_t> SeedRange(uint64_t default_count);

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_TESTING_RANDOM_COMMANDS_H_
