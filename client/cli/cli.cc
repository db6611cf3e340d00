#include "client/cli/cli.h"

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/version.h"
#include "client/bench/bench_command.h"
#include "client/cli/context.h"

namespace holdfast {
namespace {

// `serve` and `bench` parse their own arguments; here they only stand in the help.
void AddNamesOnly(CLI::App* app) {
  app->add_subcommand("serve", "Runs a node (holdfast serve --help)");
  app->add_subcommand("bench", "Loads a server and prints rates (holdfast bench --help)");
}

void AddVersion(CLI::App* app, CliContext* context) {
  app->add_subcommand("version", "Prints the version")->callback([context] {
    if (context->json()) {
      context->PrintJson({{"version", kVersion}});
    } else {
      std::printf("holdfast %s\n", kVersion);
    }
  });
}

}  // namespace

int RunCli(int argc, const char* const* argv) {
  if (argc > 1 && std::strcmp(argv[1], "bench") == 0) return RunBenchCommand(argc - 1, argv + 1);
  CliContext context;
  CLI::App app("Holdfast, a replicated job queue", "holdfast");
  app.require_subcommand(1);
  app.fallthrough();
  context.AddFlags(&app);
  AddNamesOnly(&app);
  AddEnqueueCommand(&app, &context);
  AddReserveCommand(&app, &context);
  AddSettleCommands(&app, &context);
  AddWorkCommand(&app, &context);
  AddInspectCommands(&app, &context);
  AddQueueCommands(&app, &context);
  AddVersion(&app, &context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return context.exit_code();
}

}  // namespace holdfast
