// A script of commands with the output that each shall have, as etcd-raft's interaction tests are
// written (the "datadriven" form):
//
//   # A comment.
//   command arg key=value key=(value,value)
//   further lines of input
//   ----
//   expected output
//
// Expected output ends with an empty line, or, if it holds empty lines itself, is enclosed in a
// second pair of lines of dashes. Comments and empty lines between blocks are kept as they are.
//
// Pure values; thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::raft {

struct CommandArg {
  std::string key;
  std::vector<std::string> values;  // none: a bare word
};

struct Command {
  std::string name;
  std::vector<CommandArg> args;

  // The values of the first argument `key=...`; nullptr: there is none.
  const CommandArg* Find(std::string_view key) const;
};

// nullopt: no command, or parentheses that do not match.
std::optional<Command> ParseCommand(std::string_view line);
std::optional<uint64_t> ParseNumber(std::string_view text);

struct ScriptBlock {
  std::string before;    // comments and empty lines, with newlines
  size_t line = 0;       // of the command, from 1
  std::string command;   // as written; continued lines are joined; empty: only `before`
  std::string input;     // lines between command and dashes, with newlines
  std::string expected;  // with newlines
};

std::vector<ScriptBlock> ParseScript(std::string_view text);
// The text of a script with `outputs`, one for each block, in the place of what is expected.
std::string RenderScript(const std::vector<ScriptBlock>& blocks,
                         const std::vector<std::string>& outputs);

// The lines of a text, without newlines.
std::vector<std::string> SplitLines(std::string_view text);

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_H_
