// The one binary: `holdfast serve` runs a node, everything else is a client command.

#include <cstring>

#include "absl/synchronization/mutex.h"
#include "client/cli/cli.h"
#include "server/config/serve_config.h"
#include "server/serve.h"

int main(int argc, char** argv) {
  // Debian builds Abseil with it on; it costs a twentieth of the server's time. Tests keep it on.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (argc > 1 && std::strcmp(argv[1], "serve") == 0) {
    const holdfast::ParsedServe parsed = holdfast::ParseServe(argc - 1, argv + 1);
    return parsed.config.has_value() ? holdfast::Serve(*parsed.config) : parsed.exit_code;
  }
  return holdfast::RunCli(argc, argv);
}
