// Runs a command with some bytes on its standard input.

#ifndef HOLDFAST_CLIENT_CLI_CHILD_PROCESS_H_
#define HOLDFAST_CLIENT_CLI_CHILD_PROCESS_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast {

struct ChildResult {
  int exit_code = 0;    // of a process that ended by itself
  int signal = 0;       // that ended it; 0: none
  bool killed = false;  // because `should_end` said so
};

// Runs `command` (looked up in PATH) with `input` on its standard input, `environment` added to
// this process's, and the other descriptors inherited, until it ends. Asks `should_end` some ten
// times a second; when it says yes the process gets SIGTERM, and SIGKILL five seconds later.
// NOT_FOUND if the command cannot be started. A command that does not read its input is fine.
absl::StatusOr<ChildResult> RunChild(
    const std::vector<std::string>& command, std::string_view input,
    const std::vector<std::pair<std::string, std::string>>& environment,
    const std::function<bool()>& should_end);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_CHILD_PROCESS_H_
