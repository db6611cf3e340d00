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
// this process's (and replacing what has the same name there), and standard output and error
// inherited, until it ends. It runs in a process group of its own, so that a Ctrl-C at a terminal
// does not reach it, and with default signal handling. Asks `should_end` some ten times a second;
// when it says yes the group gets SIGTERM, and SIGKILL five seconds later.
//
// A command that does not read its input is fine. REQUIRES: SIGPIPE is ignored and SIGCHLD is not.
// Errors: NOT_FOUND if there is no such command or it is not executable; RESOURCE_EXHAUSTED if
// this machine has no room for it; INTERNAL if how it ended cannot be learnt.
absl::StatusOr<ChildResult> RunChild(
    const std::vector<std::string>& command, std::string_view input,
    const std::vector<std::pair<std::string, std::string>>& environment,
    const std::function<bool()>& should_end);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_CHILD_PROCESS_H_
