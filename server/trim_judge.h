// Decides when memory that was freed is given back to the system (malloc_trim(3)): when much has
// gone and little changes any more. An allocator keeps what was freed as long as anything lies
// above it, so a backlog that is worked off would leave the process as large as it was.
//
// Pure: it is told, about every second, how much is held.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_SERVER_TRIM_JUDGE_H_
#define HOLDFAST_SERVER_TRIM_JUDGE_H_

#include <algorithm>
#include <cstdint>

namespace holdfast {

class TrimJudge {
 public:
  static constexpr uint64_t kWorthBytes = 16 << 20;
  static constexpr uint64_t kStillBytes = 1 << 20;

  // Notes that `bytes` are held; true: now is the time. It is told once of what has gone.
  bool Note(uint64_t bytes) {
    const uint64_t change = std::max(bytes, last_) - std::min(bytes, last_);
    last_ = bytes;
    most_ = std::max(most_, bytes);
    if (change >= kStillBytes || most_ - bytes < kWorthBytes) return false;
    most_ = bytes;
    return true;
  }

 private:
  uint64_t last_ = 0;
  uint64_t most_ = 0;  // since the last time
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_TRIM_JUDGE_H_
