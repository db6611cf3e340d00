#include "client/cli/cli.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/version.h"
#include "client/bench/bench_command.h"
#include "client/cli/context.h"

namespace holdfast {
namespace {

// `serve` and `bench` parse their own arguments; here they only stand in the help.
void AddNamesOnly(CLI::App* app, CliContext* context) {
  const auto add = [app, context](const char* name, const char* help) {
    app->add_subcommand(name, help)->callback([context, name] {
      context->Misuse(absl::InvalidArgumentError(absl::StrCat(
          "'", name, "' comes first, its flags after it: holdfast ", name, " --help")));
    });
  };
  add("serve", "Runs a node (holdfast serve --help)");
  add("beanstalkd", "Stands in for beanstalkd, with its flags (holdfast beanstalkd -h)");
  add("bench", "Loads a server and prints rates (holdfast bench --help)");
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

// The command's name: the first argument that is not a global flag or its value. argc: none.
int CommandAt(int argc, const char* const* argv) {
  int at = 1;
  while (at < argc && argv[at][0] == '-') {
    const bool takes_next = std::strncmp(argv[at], "--", 2) == 0 &&
                            std::strchr(argv[at], '=') == nullptr &&
                            std::strcmp(argv[at], "--help") != 0;
    at += takes_next ? 2 : 1;
  }
  return std::min(at, argc);
}

bool IsCommand(CLI::App& app, const std::string& name) {
  const std::vector<CLI::App*> commands = app.get_subcommands(nullptr);
  return std::any_of(commands.begin(), commands.end(),
                     [&name](const CLI::App* command) { return command->check_name(name); });
}

// `holdfast work QUEUE... -- COMMAND...`: cuts the command off, which is not ours to parse.
int CutCommand(int argc, const char* const* argv, CliContext* context) {
  const int name = CommandAt(argc, argv);
  if (name == argc || std::strcmp(argv[name], "work") != 0) return argc;
  for (int i = name + 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--") != 0) continue;
    context->set_command({argv + i + 1, argv + argc});
    return i;
  }
  return argc;
}

}  // namespace

int RunCli(int argc, const char* const* argv) {
  if (argc > 1 && std::strcmp(argv[1], "bench") == 0) return RunBenchCommand(argc - 1, argv + 1);
  CliContext context;
  CLI::App app("Holdfast, a replicated job queue", "holdfast");
  app.require_subcommand(1);
  app.fallthrough();
  context.AddFlags(&app);
  AddNamesOnly(&app, &context);
  AddEnqueueCommand(&app, &context);
  AddReserveCommand(&app, &context);
  AddSettleCommands(&app, &context);
  AddWorkCommand(&app, &context);
  AddInspectCommands(&app, &context);
  AddQueueCommands(&app, &context);
  AddImportCommand(&app, &context);
  AddClusterCommands(&app, &context);
  AddVersion(&app, &context);
  const int name = CommandAt(argc, argv);
  if (name < argc && !IsCommand(app, argv[name])) {
    context.Misuse(absl::InvalidArgumentError(
        absl::StrCat("there is no command '", argv[name], "'; see holdfast --help")));
    return context.exit_code();
  }
  try {
    app.parse(CutCommand(argc, argv, &context), argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return context.exit_code();
}

}  // namespace holdfast
