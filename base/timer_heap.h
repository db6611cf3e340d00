// Tasks that are to run at moments, earliest first; of one moment, in the order given.
//
// Pure: time is given. Bounds: none of its own.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_BASE_TIMER_HEAP_H_
#define HOLDFAST_BASE_TIMER_HEAP_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/executor.h"

namespace holdfast {

class TimerHeap {
 public:
  void Add(int64_t at_micros, Task task) {
    timers_.push_back({at_micros, made_++, std::move(task)});
    std::push_heap(timers_.begin(), timers_.end(), Later);
  }
  bool empty() const { return timers_.empty(); }
  // REQUIRES: !empty().
  int64_t next_micros() const { return timers_.front().at_micros; }
  // Runs what is due, also what it adds itself.
  void RunDue(int64_t now_micros) {
    while (!timers_.empty() && timers_.front().at_micros <= now_micros) {
      std::pop_heap(timers_.begin(), timers_.end(), Later);
      Task task = std::move(timers_.back().task);
      timers_.pop_back();
      std::move(task)();
    }
  }

 private:
  struct Timer {
    int64_t at_micros;
    uint64_t order;
    Task task;
  };
  static bool Later(const Timer& a, const Timer& b) {
    return a.at_micros != b.at_micros ? a.at_micros > b.at_micros : a.order > b.order;
  }

  std::vector<Timer> timers_;
  uint64_t made_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_TIMER_HEAP_H_
