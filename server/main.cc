// The one binary: `holdfast serve` runs a node, everything else is a client command.

#include <cstring>

#include "client/cli/cli.h"
#include "server/config/serve_config.h"
#include "server/serve.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "serve") == 0) {
    const holdfast::ParsedServe parsed = holdfast::ParseServe(argc - 1, argv + 1);
    return parsed.config.has_value() ? holdfast::Serve(*parsed.config) : parsed.exit_code;
  }
  return holdfast::RunCli(argc, argv);
}
