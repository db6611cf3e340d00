#include "base/testing/simulated_executor.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace holdfast {
namespace {

constexpr int64_t kMillion = 1'000'000;
// From here on is never: room for a drift.
constexpr int64_t kFarMicros = INT64_MAX / 4;

}  // namespace

// --- EventQueue.

EventQueue::EventQueue(const Options& options) {
  if (options.shuffle_seed.has_value()) prng_.emplace(*options.shuffle_seed);
}

EventQueue::~EventQueue() { CHECK(executors_.empty()); }

void EventQueue::Add(SimulatedExecutor* executor) { executors_.push_back(executor); }

void EventQueue::Remove(SimulatedExecutor* executor) { std::erase(executors_, executor); }

void EventQueue::RunAs(SimulatedExecutor* executor, Task task) {
  CHECK(current_ == nullptr);
  current_ = executor;
  std::move(task)();
  task = nullptr;  // what it held goes while it is still the executor's turn
  current_ = nullptr;
}

EventQueue::Moment EventQueue::NextDue() const {
  Moment next = kNever;
  for (const SimulatedExecutor* executor : executors_) next = std::min(next, executor->NextDue());
  return next;
}

SimulatedExecutor* EventQueue::Choose() {
  SimulatedExecutor* chosen = nullptr;
  Moment first = kNever;
  uint64_t due = 0;
  for (SimulatedExecutor* executor : executors_) {
    const Moment next = executor->NextDue();
    if (next.first > now_micros_) continue;
    ++due;
    if (prng_.has_value() ? prng_->Below(due) == 0 : next < first) {
      chosen = executor;
      first = next;
    }
  }
  CHECK(chosen != nullptr);
  return chosen;
}

bool EventQueue::RunOne() {
  CHECK(current_ == nullptr);
  const Moment next = NextDue();
  if (next == kNever) return false;
  now_micros_ = std::max(now_micros_, next.first);
  SimulatedExecutor* const executor = Choose();
  RunAs(executor, executor->TakeDue(now_micros_, prng_.has_value() ? &*prng_ : nullptr));
  return true;
}

int64_t EventQueue::RunUntilIdle(int64_t tasks_max) { return RunUntil(now_micros_, tasks_max); }

int64_t EventQueue::RunUntil(int64_t at_micros, int64_t tasks_max) {
  CHECK_GE(at_micros, now_micros_);
  int64_t ran = 0;
  for (; NextDue().first <= at_micros; ++ran) {
    CHECK_LT(ran, tasks_max);
    RunOne();
  }
  now_micros_ = at_micros;
  return ran;
}

// --- SimulatedExecutor.

SimulatedExecutor::SimulatedExecutor(EventQueue* events, const Clock& clock)
    : events_(events), clock_(clock), wall_offset_micros_(clock.wall_start_micros) {
  CHECK_GE(clock.drift_ppm, -kMillion / 2);
  CHECK_LE(clock.drift_ppm, kMillion / 2);
  events_->Add(this);
}

SimulatedExecutor::~SimulatedExecutor() {
  Crash();
  events_->Remove(this);
}

void SimulatedExecutor::Post(Task task) {
  if (crashed_) return;
  posted_.push_back({{events_->now_micros(), events_->NextNumber()}, std::move(task)});
}

void SimulatedExecutor::RunAt(int64_t at_micros, Task task) {
  CHECK(IsCurrent());
  if (crashed_) return;
  timers_.emplace(Moment{SimulatedMicros(at_micros), events_->NextNumber()}, std::move(task));
}

void SimulatedExecutor::Run(Task task) {
  if (!crashed_) events_->RunAs(this, std::move(task));
}

void SimulatedExecutor::Crash() {
  crashed_ = true;
  // What a task held may post as it goes; that is dropped.
  std::deque<Posted>().swap(posted_);
  std::map<Moment, Task>().swap(timers_);
}

// Whole seconds and the rest apart: no product overflows.
int64_t SimulatedExecutor::LocalMicros(int64_t simulated_micros) const {
  return simulated_micros + simulated_micros / kMillion * clock_.drift_ppm +
         simulated_micros % kMillion * clock_.drift_ppm / kMillion;
}

int64_t SimulatedExecutor::SimulatedMicros(int64_t local_micros) const {
  if (local_micros <= 0) return 0;
  if (local_micros >= kFarMicros) return INT64_MAX;
  const int64_t rate = kMillion + clock_.drift_ppm;
  int64_t at = local_micros / rate * kMillion + local_micros % rate * kMillion / rate;
  while (LocalMicros(at) < local_micros) ++at;
  while (at > 0 && LocalMicros(at - 1) >= local_micros) --at;
  return at;
}

SimulatedExecutor::Moment SimulatedExecutor::NextDue() const {
  Moment next = EventQueue::kNever;
  if (paused_) return next;
  if (!posted_.empty()) next = posted_.front().when;
  if (!timers_.empty() && timers_.begin()->first.first != INT64_MAX) {
    next = std::min(next, timers_.begin()->first);
  }
  return next;
}

Task SimulatedExecutor::TakeDue(int64_t now_micros, Prng* prng) {
  auto timer = timers_.begin();
  bool is_timer =
      posted_.empty() || (timer != timers_.end() && timer->first < posted_.front().when);
  if (prng != nullptr) {
    const auto end = timers_.upper_bound({now_micros, UINT64_MAX});
    const uint64_t timers = static_cast<uint64_t>(std::distance(timer, end));
    const uint64_t drawn = prng->Below(timers + (posted_.empty() ? 0 : 1));
    is_timer = drawn < timers;
    if (is_timer) std::advance(timer, drawn);
  }
  Task task;
  if (is_timer) {
    task = std::move(timer->second);
    timers_.erase(timer);
  } else {
    task = std::move(posted_.front().task);
    posted_.pop_front();
  }
  return task;
}

}  // namespace holdfast
