// Where a command prints to: with a log level and indentation.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_OUTPUT_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_OUTPUT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::raft {

class ScriptOutput {
 public:
  // kNone: nothing at all is printed, the commands' own output included.
  enum class Level : uint8_t { kDebug, kInfo, kWarn, kError, kFatal, kNone };
  // In letters of either case.
  static std::optional<Level> LevelNamed(std::string_view name);

  Level level() const { return level_; }
  void SetLevel(Level level) { level_ = level; }
  bool quiet() const { return level_ == Level::kNone; }

  void Print(std::string_view text);
  // A line with its level before it, unless the level is below the present one.
  void Log(Level level, std::string_view text);
  // What `print` prints gets two spaces before each line, and ends with a newline.
  void Indented(const std::function<void()>& print);
  // Ends the present line, if one is begun.
  void EndLine();
  // Whatever the level is.
  void PrintAlways(std::string_view text) { text_ += text; }

  // What has been printed since the last call.
  std::string Take();

 private:
  Level level_ = Level::kDebug;
  std::string text_;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_SCRIPT_OUTPUT_H_
