// Runs scripts of etcd-raft's interaction test language on the core, and prints them with what the
// core does, compares that with what they expect, or writes it into them. See README.md.

#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/testing/choose_mutant.h"
#include "replication/raft/testing/script_run.h"

namespace holdfast::raft {
namespace {

struct Flags {
  std::vector<std::string> files;
  bool check = false;
  bool rewrite = false;
  std::string mutant;
  ComparisonOptions comparison;
};

// Whether the script is what it should be.
bool RunFile(const std::string& file, const Flags& flags) {
  std::ifstream in(file);
  if (!in) {
    std::cerr << file << ": cannot be read\n";
    return false;
  }
  std::ostringstream text;
  text << in.rdbuf();
  const ScriptRun run = RunScript(text.str());
  if (flags.rewrite) {
    std::ofstream out(file);
    out << run.Render();
    return static_cast<bool>(out.flush());
  }
  if (!flags.check) {
    std::cout << run.Render();
    return true;
  }
  const std::string differences = run.Differences(file, flags.comparison);
  std::cout << differences;
  return differences.empty();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Runs Raft scripts on the core.");
  app.add_option("files", flags.files, "Scripts")->required();
  app.add_flag("--check", flags.check, "Print only where output differs from what is expected");
  app.add_flag("--rewrite", flags.rewrite, "Write the output into the files");
  app.add_flag("--ignore-log", flags.comparison.ignore_log,
               "With --check: lines of the log do not count");
  app.add_flag("--ignore-version", flags.comparison.ignore_version,
               "With --check: neither does how etcd-raft's versions print the same");
  app.add_option("--mutant", flags.mutant, "A known defect to switch on (base/mutant.h)");
  CLI11_PARSE(app, argc, argv);
  if (!ChooseMutant(flags.mutant)) return 2;
  bool right = true;
  for (const std::string& file : flags.files) right = RunFile(file, flags) && right;
  return right ? 0 : 1;
}

}  // namespace
}  // namespace holdfast::raft

int main(int argc, char** argv) { return holdfast::raft::Main(argc, argv); }
