// Runs a whole script on a group of its own.
//
// Pure functions without state.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_RUN_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_RUN_H_

#include <string>
#include <string_view>
#include <vector>

#include "replication/raft/testing/comparison.h"
#include "replication/raft/testing/script.h"

namespace holdfast::raft {

struct ScriptRun {
  std::vector<ScriptBlock> blocks;
  std::vector<std::string> outputs;  // one for each block

  // The script with what was printed in the place of what is expected.
  std::string Render() const { return RenderScript(blocks, outputs); }
  // For each block that differs a line "NAME:LINE: COMMAND" and the lines that differ, each with
  // its newline; empty: none does.
  std::string Differences(std::string_view name, const ComparisonOptions& options) const;
};

ScriptRun RunScript(std::string_view text);

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_RUN_H_
