#include "server/config/recover_config.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace holdfast {

ParsedRecover ParseRecover(int argc, const char* const* argv) {
  RecoverConfig config;
  bool unsafe = false;
  bool dry_run = false;
  std::string format = "text";
  CLI::App app(
      "After the loss of a majority for good: makes a surviving node, which must not run, the "
      "only\n"
      "member of a new cluster with the jobs that it has. What the lost nodes had acknowledged\n"
      "without it is lost. Choose the survivor by what --dry-run says of each.",
      "holdfast cluster recover");
  app.add_option("--data-dir", config.data_dir, "Where the node keeps its data")
      ->envname("HOLDFAST_DATA_DIR")
      ->capture_default_str();
  CLI::Option* const show =
      app.add_flag("--dry-run", dry_run, "Only say how far the node's copies are");
  app.add_flag("--unsafe", unsafe, "Do it, and lose what only the lost nodes had")->excludes(show);
  app.add_option("--format", format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return {.config = std::nullopt, .exit_code = app.exit(error) == 0 ? 0 : 2};
  }
  if (!unsafe && !dry_run) {
    std::cerr << "jobs may be lost that were acknowledged: see what --dry-run says for each "
                 "surviving node, then give --unsafe for the one that has most\n";
    return {.config = std::nullopt, .exit_code = 2};
  }
  config.action = unsafe ? RecoverConfig::Action::kRecover : RecoverConfig::Action::kShow;
  config.format = format == "json" ? RecoverConfig::Format::kJson : RecoverConfig::Format::kText;
  return {.config = std::move(config), .exit_code = 0};
}

}  // namespace holdfast
