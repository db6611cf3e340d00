#include "replication/raft/testing/script.h"

#include <charconv>
#include <utility>

namespace holdfast::raft {
namespace {

constexpr std::string_view kDashes = "----";

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

// The first word; `text` is left with the rest. Parentheses keep a word together. nullopt: they do
// not match.
std::optional<std::string_view> TakeWord(std::string_view* text) {
  *text = Trimmed(*text);
  size_t end = 0;
  bool inside = false;
  for (; end < text->size() && (inside || !IsSpace((*text)[end])); ++end) {
    if ((*text)[end] == '(') inside = true;
    if ((*text)[end] == ')') inside = false;
  }
  if (inside) return std::nullopt;
  const std::string_view word = text->substr(0, end);
  text->remove_prefix(end);
  return word;
}

// "(1,2,3)", "(1 2 3)" or "1"
std::vector<std::string> Values(std::string_view text) {
  if (text.empty() || text.front() != '(' || text.back() != ')') return {std::string(text)};
  std::vector<std::string> values;
  std::string value;
  for (const char c : text.substr(1)) {
    if (c != ',' && c != ')' && !IsSpace(c)) {
      value += c;
    } else if (!value.empty()) {
      values.push_back(std::exchange(value, {}));
    }
  }
  return values;
}

// Hands out the lines of a script in order.
class Lines {
 public:
  explicit Lines(std::string_view text) : lines_(SplitLines(text)) {}
  bool done() const { return next_ == lines_.size(); }
  const std::string& Peek() const { return lines_[next_]; }
  std::string Take() { return lines_[next_++]; }
  // Of the line that Peek() shows.
  size_t number() const { return next_ + 1; }

 private:
  std::vector<std::string> lines_;
  size_t next_ = 0;
};

bool IsOutside(std::string_view line) {
  line = Trimmed(line);
  return line.empty() || line.front() == '#';
}

std::string TakeCommand(Lines* lines) {
  std::string command = lines->Take();
  while (!command.empty() && command.back() == '\\' && !lines->done()) {
    command.pop_back();
    command += lines->Take();
  }
  return command;
}

std::string TakeExpected(Lines* lines) {
  std::string expected;
  const bool enclosed = !lines->done() && lines->Peek() == kDashes;
  if (enclosed) lines->Take();
  while (!lines->done()) {
    const std::string line = lines->Take();
    if (enclosed && line == kDashes && !lines->done() && lines->Peek() == kDashes) {
      lines->Take();
      if (!lines->done() && Trimmed(lines->Peek()).empty()) lines->Take();
      return expected;
    }
    if (!enclosed && Trimmed(line).empty()) return expected;
    expected += line + "\n";
  }
  return expected;
}

std::string Rendered(const ScriptBlock& block, std::string output) {
  std::string text = block.before;
  if (block.command.empty()) return text;
  if (!output.empty() && output.back() != '\n') output += '\n';
  const bool enclosed = output.starts_with("\n") || output.find("\n\n") != std::string::npos;
  text += block.command + "\n" + block.input + std::string(kDashes) + "\n";
  if (enclosed) text += std::string(kDashes) + "\n";
  text += output;
  if (enclosed) text += std::string(kDashes) + "\n" + std::string(kDashes) + "\n";
  return text + "\n";
}

}  // namespace

const CommandArg* Command::Find(std::string_view key) const {
  for (const CommandArg& arg : args) {
    if (arg.key == key && !arg.values.empty()) return &arg;
  }
  return nullptr;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<Command> ParseCommand(std::string_view line) {
  Command command;
  const std::optional<std::string_view> name = TakeWord(&line);
  if (!name.has_value() || name->empty()) return std::nullopt;
  command.name = *name;
  while (!Trimmed(line).empty()) {
    const std::optional<std::string_view> word = TakeWord(&line);
    if (!word.has_value()) return std::nullopt;
    const size_t equals = word->find('=');
    CommandArg arg;
    arg.key = word->substr(0, equals);
    if (equals != std::string_view::npos) arg.values = Values(word->substr(equals + 1));
    command.args.push_back(std::move(arg));
  }
  return command;
}

std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::vector<ScriptBlock> ParseScript(std::string_view text) {
  std::vector<ScriptBlock> blocks;
  Lines lines(text);
  while (!lines.done()) {
    ScriptBlock block;
    while (!lines.done() && IsOutside(lines.Peek())) block.before += lines.Take() + "\n";
    block.line = lines.number();
    if (!lines.done()) block.command = TakeCommand(&lines);
    while (!lines.done() && lines.Peek() != kDashes) block.input += lines.Take() + "\n";
    if (!lines.done()) lines.Take();
    block.expected = TakeExpected(&lines);
    blocks.push_back(std::move(block));
  }
  return blocks;
}

std::string RenderScript(const std::vector<ScriptBlock>& blocks,
                         const std::vector<std::string>& outputs) {
  std::string text;
  for (size_t i = 0; i < blocks.size(); ++i) text += Rendered(blocks[i], outputs[i]);
  while (text.ends_with("\n\n")) text.pop_back();
  return text;
}

}  // namespace holdfast::raft
