#include "replication/raft/testing/script_output.h"

#include <array>
#include <cctype>
#include <cstddef>
#include <utility>

#include "replication/raft/testing/script.h"

namespace holdfast::raft {
namespace {

constexpr std::array<std::string_view, 6> kLevelNames = {"DEBUG", "INFO",  "WARN",
                                                         "ERROR", "FATAL", "NONE"};

bool EqualButForCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::toupper(static_cast<unsigned char>(a[i])) != b[i]) return false;
  }
  return true;
}

}  // namespace

std::optional<ScriptOutput::Level> ScriptOutput::LevelNamed(std::string_view name) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (EqualButForCase(name, kLevelNames[i])) return static_cast<Level>(i);
  }
  return std::nullopt;
}

void ScriptOutput::Print(std::string_view text) {
  if (!quiet()) text_ += text;
}

void ScriptOutput::Log(Level level, std::string_view text) {
  if (level < level_) return;
  text_ += kLevelNames[static_cast<size_t>(level)];
  text_ += ' ';
  text_ += text;
  if (!text.ends_with('\n')) text_ += '\n';
}

void ScriptOutput::Indented(const std::function<void()>& print) {
  std::string outer = std::exchange(text_, {});
  print();
  for (const std::string& line : SplitLines(text_)) outer += "  " + line + "\n";
  text_ = std::move(outer);
}

void ScriptOutput::EndLine() {
  if (!text_.empty() && text_.back() != '\n') text_ += '\n';
}

std::string ScriptOutput::Take() { return std::exchange(text_, {}); }

}  // namespace holdfast::raft
