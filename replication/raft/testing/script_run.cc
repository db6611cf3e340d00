#include "replication/raft/testing/script_run.h"

#include <cstddef>

#include "replication/raft/testing/interaction_env.h"

namespace holdfast::raft {

std::string ScriptRun::Differences(std::string_view name, const ComparisonOptions& options) const {
  std::string text;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::vector<std::string> lines = Compare(blocks[i].expected, outputs[i], options);
    if (lines.empty()) continue;
    text +=
        std::string(name) + ":" + std::to_string(blocks[i].line) + ": " + blocks[i].command + "\n";
    for (const std::string& line : lines) text += line + "\n";
  }
  return text;
}

ScriptRun RunScript(std::string_view text) {
  ScriptRun run;
  run.blocks = ParseScript(text);
  InteractionEnv env;
  for (const ScriptBlock& block : run.blocks) {
    run.outputs.push_back(block.command.empty() ? block.expected : env.Run(block));
  }
  return run;
}

}  // namespace holdfast::raft
