// StopLimit: an orderly stop that takes too long ends the process all the same.
//
// What was acknowledged is on the disk, so a crash is always safe; what is given up is the last
// flush, and the answers of calls that nobody can give. Without it a defect in any part could keep
// a node that was told to stop from ever ending.
//
// Thread-safety: thread-safe. Ownership: alive from the beginning of the stop to its end.

#ifndef HOLDFAST_SERVER_STOP_LIMIT_H_
#define HOLDFAST_SERVER_STOP_LIMIT_H_

#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace holdfast {

class StopLimit {
 public:
  // If this object still lives `limit` from now the process ends with code 1 and a line in the log.
  explicit StopLimit(absl::Duration limit);
  StopLimit(const StopLimit&) = delete;
  StopLimit& operator=(const StopLimit&) = delete;
  ~StopLimit();

  // What is waited for from now on, for the log. A literal.
  void WaitFor(const char* what) { what_.store(what, std::memory_order_relaxed); }

 private:
  std::atomic<const char*> what_{"the stop to begin"};
  absl::Notification stopped_;
  std::thread thread_;  // last: starts when the rest is made
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_STOP_LIMIT_H_
