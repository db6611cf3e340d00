#include "tests/sim/shrink.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::sim {
namespace {

class Shrinker {
 public:
  Shrinker(Schedule schedule, const std::function<bool()>& give_up,
           const std::function<bool(const Schedule&)>& fails)
      : schedule_(std::move(schedule)), give_up_(give_up), fails_(fails) {}

  Schedule Shrink() {
    Calm();
    FewerActions();
    Calm();
    return std::move(schedule_);
  }

 private:
  // Keeps `smaller` if it fails too.
  bool Keep(Schedule smaller) {
    if (give_up_() || !fails_(smaller)) return false;
    schedule_ = std::move(smaller);
    return true;
  }

  void Try(const std::function<void(Setup*)>& change) {
    Schedule calmer = schedule_;
    change(&calmer.setup);
    Keep(std::move(calmer));
  }

  void Calm() {
    Try([](Setup* setup) { setup->late_duplicate_per_1000 = 0; });
    Try([](Setup* setup) { setup->duplicate_per_1000 = 0; });
    Try([](Setup* setup) { setup->loss_per_1000 = 0; });
    Try([](Setup* setup) { setup->shorter_per_1000 = 0; });
    Try([](Setup* setup) { setup->reorder = false; });
    Try([](Setup* setup) { setup->lost_minority = 0; });
    Try([](Setup* setup) { setup->delay_max = SimTime(500); });
    Try([](Setup* setup) { setup->cached_entries = 1'000; });
    Try([](Setup* setup) {
      std::fill(setup->drift_per_1000.begin(), setup->drift_per_1000.end(), 0);
    });
    // Healing begins soon after the last action.
    if (schedule_.actions.empty()) return;
    const SimTime last = schedule_.actions.back().at + SimTime(500'000);
    Try([last](Setup* setup) { setup->faults_end = std::min(setup->faults_end, last); });
  }

  // Leaves out chunks, from halves of it all down to single actions.
  void FewerActions() {
    size_t chunk = std::max<size_t>(1, schedule_.actions.size() / 2);
    while (!give_up_() && !schedule_.actions.empty()) {
      bool smaller = false;
      for (size_t at = 0; at < schedule_.actions.size() && !give_up_();) {
        Schedule without = schedule_;
        const auto begin = without.actions.begin() + static_cast<std::ptrdiff_t>(at);
        const size_t count = std::min(chunk, without.actions.size() - at);
        without.actions.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
        if (Keep(std::move(without))) {
          smaller = true;
        } else {
          at += chunk;
        }
      }
      if (chunk == 1 && !smaller) return;
      chunk = std::max<size_t>(1, chunk / 2);
    }
  }

  Schedule schedule_;
  const std::function<bool()>& give_up_;
  const std::function<bool(const Schedule&)>& fails_;
};

}  // namespace

Schedule Shrink(Schedule schedule, const std::function<bool()>& give_up,
                const std::function<bool(const Schedule&)>& fails) {
  return Shrinker(std::move(schedule), give_up, fails).Shrink();
}

}  // namespace holdfast::sim
