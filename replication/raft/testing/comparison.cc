#include "replication/raft/testing/comparison.h"

#include <algorithm>
#include <cstddef>

#include "replication/raft/testing/script.h"

namespace holdfast::raft {
namespace {

std::string_view WithoutIndent(std::string_view line) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

bool IsLog(std::string_view line) {
  line = WithoutIndent(line);
  for (const std::string_view level : {"DEBUG ", "INFO ", "WARN ", "ERROR ", "FATAL "}) {
    if (line.starts_with(level)) return true;
  }
  return false;
}

// How many brackets the line opens and does not close.
int OpenBrackets(std::string_view line) {
  return static_cast<int>(std::count(line.begin(), line.end(), '[')) -
         static_cast<int>(std::count(line.begin(), line.end(), ']'));
}

// `text` without each `word` and the number that follows it.
std::string WithoutNumber(std::string text, std::string_view word) {
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at)) {
    size_t end = at + word.size();
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    text.erase(at, end - at);
  }
  return text;
}

// Lists that go over several lines, on one: "[a, b]".
std::vector<std::string> Joined(const std::vector<std::string>& lines) {
  std::vector<std::string> joined;
  int open = 0;
  for (const std::string& line : lines) {
    const std::string_view text = WithoutIndent(line);
    const bool snapshot = text.starts_with("Snapshot: ");
    if (joined.empty() || (open == 0 && !snapshot)) {
      joined.push_back(line);
    } else {
      std::string& last = joined.back();
      if (snapshot) {
        last += ' ';
      } else if (!last.ends_with('[') && !text.starts_with(']')) {
        last += ", ";
      }
      last += text;
    }
    open += OpenBrackets(text);
  }
  return joined;
}

std::vector<std::string> Canonical(std::string_view text, const ComparisonOptions& options) {
  std::vector<std::string> lines = SplitLines(text);
  if (options.ignore_log) std::erase_if(lines, IsLog);
  if (options.ignore_version) {
    lines = Joined(lines);
    for (std::string& line : lines) {
      if (line == "ok (quiet)") line = "ok";
      if (line.find("MsgAppResp") != std::string::npos) line = WithoutNumber(line, " Commit:");
      line = WithoutNumber(line, " commit=");
    }
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.empty()) lines = {"ok"};
  return lines;
}

// The lengths of the longest common subsequences of the ends of both: [i][j] of a[i..], b[j..].
std::vector<std::vector<size_t>> CommonEnds(const std::vector<std::string>& a,
                                            const std::vector<std::string>& b) {
  std::vector<std::vector<size_t>> common(a.size() + 1, std::vector<size_t>(b.size() + 1, 0));
  for (size_t i = a.size(); i-- > 0;) {
    for (size_t j = b.size(); j-- > 0;) {
      common[i][j] =
          a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
    }
  }
  return common;
}

}  // namespace

std::vector<std::string> Compare(std::string_view expected, std::string_view printed,
                                 const ComparisonOptions& options) {
  const std::vector<std::string> a = Canonical(expected, options);
  const std::vector<std::string> b = Canonical(printed, options);
  if (a == b) return {};
  const auto common = CommonEnds(a, b);
  std::vector<std::string> lines;
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      ++i;
      ++j;
    } else if (i < a.size() && (j == b.size() || common[i + 1][j] >= common[i][j + 1])) {
      lines.push_back("-" + a[i++]);
    } else {
      lines.push_back("+" + b[j++]);
    }
  }
  return lines;
}

}  // namespace holdfast::raft
