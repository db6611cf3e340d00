// Simulated time and what is due in it.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_TIMELINE_H_
#define HOLDFAST_TESTS_SIM_TIMELINE_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace holdfast::sim {

// A moment since the run began, and a span. Simulated: no clock is ever read.
using SimTime = std::chrono::microseconds;

class Timeline {
 public:
  virtual ~Timeline() = default;
  virtual SimTime now() const = 0;
  // `what` runs at `when`; if that is past, next.
  virtual void At(SimTime when, std::function<void()> what) = 0;
  void After(SimTime span, std::function<void()> what) { At(now() + span, std::move(what)); }
};

// A timeline of its own. What is due at one moment runs in the order in which it was put in.
class HeapTimeline final : public Timeline {
 public:
  SimTime now() const override { return now_; }
  // How many things have run.
  uint64_t steps() const { return steps_; }

  void At(SimTime when, std::function<void()> what) override {
    heap_.push_back({std::max(when, now_), ++sequence_, std::move(what)});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }

  // Runs what is due first, if that is before `end`. Otherwise returns false, and now() is `end`.
  bool RunNext(SimTime end) {
    if (heap_.empty() || heap_.front().when >= end) {
      now_ = std::max(now_, end);
      return false;
    }
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    const Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.when;
    ++steps_;
    event.what();
    return true;
  }

 private:
  struct Event {
    SimTime when;
    uint64_t sequence;
    std::function<void()> what;
  };
  static bool Later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }

  SimTime now_{0};
  uint64_t steps_ = 0;
  uint64_t sequence_ = 0;
  std::vector<Event> heap_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_TIMELINE_H_
