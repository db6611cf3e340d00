// Runs one command stream on several subjects and tells where they part; makes a stream that
// fails as short as it can.
//
// Thread-safety: none; one test at a time.

#ifndef HOLDFAST_QUEUE_TESTING_COMPARISON_H_
#define HOLDFAST_QUEUE_TESTING_COMPARISON_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "queue/testing/machine_driver.h"
#include "queue/testing/random_commands.h"

namespace holdfast {

struct Difference {
  size_t at = 0;     // index of the command in the stream
  std::string what;  // both answers
};

// The machine against an Oracle. An Expire in the stream is repeated until nothing more is due;
// then all that can be seen of the two is compared, now and then every job.
std::optional<Difference> CompareWithOracle(const CommandStream& stream,
                                            const MachineDriver::Options& options);

// Machines against each other: outcomes and state hashes after each command. The first options
// are the yardstick.
std::optional<Difference> CompareMachines(const CommandStream& stream,
                                          const std::vector<MachineDriver::Options>& options);

// A short part of `stream` for which `differs` is still true or ends its process. Each try runs
// in a child process.
CommandStream Shrink(CommandStream stream, const std::function<bool(const CommandStream&)>& differs);
// True if `differs` is true of it or ends its (child) process.
bool DiffersInChild(const CommandStream& stream,
                    const std::function<bool(const CommandStream&)>& differs);

// From here on a failed CHECK also prints `name`, so that a seed is never lost.
void NameRun(const std::string& name);

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_TESTING_COMPARISON_H_
