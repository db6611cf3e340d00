// How far a long command is, on standard error: a line that is drawn again and again on a terminal,
// further lines every few seconds anywhere else.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_CLIENT_CLI_PROGRESS_H_
#define HOLDFAST_CLIENT_CLI_PROGRESS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace holdfast {

// "[=====>    ]  50% of 12 jobs imported, 3/s, 2s left", or without a total "6 jobs imported, 3/s".
// `bar`: how wide the bar is; 0: none. REQUIRES: total is 0 or at least done.
std::string ProgressText(uint64_t done, uint64_t total, absl::Duration elapsed,
                         const std::string& what, int bar);

class Progress {
 public:
  // `what`: what is counted, "jobs imported". `total`: 0 if nobody knows.
  explicit Progress(std::string what, uint64_t total = 0);

  // Cheap; draws at most five times a second, or writes a line every five seconds.
  void Show(uint64_t done);
  // Nothing more will be shown: leaves a terminal's line.
  void End();

 private:
  const std::string what_;
  const uint64_t total_;
  const bool terminal_;
  const absl::Time begin_;
  absl::Time shown_;
  bool drawn_ = false;
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_PROGRESS_H_
