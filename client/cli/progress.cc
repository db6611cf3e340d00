#include "client/cli/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/check.h"

namespace holdfast {
namespace {

constexpr absl::Duration kDrawEvery = absl::Milliseconds(200);
constexpr absl::Duration kWriteEvery = absl::Seconds(5);
constexpr int kBarWidth = 24;

}  // namespace

std::string ProgressText(uint64_t done, uint64_t total, absl::Duration elapsed,
                         const std::string& what, int bar) {
  CHECK(total == 0 || done <= total);
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const std::string tail = absl::StrFormat(", %.0f/s", rate);
  if (total == 0) return absl::StrCat(done, " ", what, tail);
  const double part = static_cast<double>(done) / static_cast<double>(total);
  std::string text;
  if (bar > 0) {
    const int filled = static_cast<int>(part * bar);
    const std::string head = filled < bar ? ">" : "";
    text = absl::StrCat("[", std::string(static_cast<size_t>(filled), '='), head);
    text.append(static_cast<size_t>(bar) + 1 - text.size(), ' ').append("] ");
  }
  absl::StrAppendFormat(&text, "%3.0f%% of %d %s%s", 100 * part, total, what, tail);
  if (rate > 0 && done < total) {
    const double left = static_cast<double>(total - done) / rate;
    absl::StrAppend(&text, ", ",
                    absl::FormatDuration(absl::Ceil(absl::Seconds(left), absl::Seconds(1))),
                    " left");
  }
  return text;
}

Progress::Progress(std::string what, uint64_t total)
    : what_(std::move(what)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) != 0),
      begin_(absl::Now()),
      shown_(begin_) {}

void Progress::Show(uint64_t done) {
  const absl::Time now = absl::Now();
  if (now - shown_ < (terminal_ ? kDrawEvery : kWriteEvery)) return;
  shown_ = now;
  const std::string text =
      ProgressText(done, total_, now - begin_, what_, terminal_ ? kBarWidth : 0);
  drawn_ = terminal_;
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
  std::fprintf(stderr, "\r%s\x1b[K", text.c_str());  // what a longer one left is wiped
}

void Progress::End() {
  if (std::exchange(drawn_, false)) std::fprintf(stderr, "\n");
}

}  // namespace holdfast
