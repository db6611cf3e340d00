#include "tests/sim/engine_run.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/simulated_executor.h"
#include "tests/sim/engine_cluster.h"
#include "tests/sim/ledger.h"
#include "tests/support/checkers.h"

namespace holdfast::sim {
namespace {

constexpr SimTime kProgressWithin{12'000'000};
constexpr SimTime kLookEvery{10'000};
constexpr SimTime kOperateEvery{50'000};
constexpr SimTime kDrainEvery{150'000};
// Log time may fall behind by half of a run, and by as much as all clocks were set back.
constexpr SimTime kLogTimeWithin{8'000'000};
constexpr size_t kHealedEnqueues = 10;
constexpr uint64_t kStepsMax = 5'000'000;

// The world's time is that of the nodes' executors.
class ExecutorTimeline final : public Timeline {
 public:
  explicit ExecutorTimeline(holdfast::EventQueue* events) : world_(events) {}

  SimTime now() const override { return SimTime(world_.MonotonicMicros()); }
  void At(SimTime when, std::function<void()> what) override {
    Task run_at = [this, when, what = std::move(what)] { world_.RunAt(when.count(), what); };
    if (world_.IsCurrent()) return std::move(run_at)();
    world_.Post(std::move(run_at));
  }

 private:
  SimulatedExecutor world_;
};

class EngineRun {
 public:
  EngineRun(const Schedule& schedule, std::FILE* trace)
      : schedule_(schedule),
        timeline_(&events_),
        trace_(trace, &timeline_),
        cluster_(schedule, &events_, &timeline_, &stats_, &trace_) {}

  RunResult Run() {
    for (const Action& action : schedule_.actions) {
      timeline_.At(action.at, [this, &action] { cluster_.Do(action); });
    }
    timeline_.At(schedule_.setup.faults_end, [this] { Heal(); });
    const SimTime end = schedule_.setup.faults_end + kProgressWithin;
    RaftChecker& checker = cluster_.checker();
    while (!done_ && !checker.violation().has_value()) {
      if (++stats_.steps > kStepsMax) checker.Fail("bounded steps", "a run that does not end");
      if (!events_.RunOne() || timeline_.now() > end) {
        checker.Fail("progress",
                     absl::StrCat(cluster_.Unsettled().value_or("jobs are left"), " ",
                                  kProgressWithin.count() / 1000, " ms after everything healed"));
      }
    }
    if (done_) Judge();
    stats_.runs = 1;
    stats_.simulated_micros = static_cast<uint64_t>(timeline_.now().count());
    if (trace_.on() && checker.violation().has_value()) {
      trace_.Line("VIOLATION " + checker.violation()->rule + ": " + checker.violation()->what);
    }
    return {checker.violation(), stats_, Mix(cluster_.hash(), stats_.steps)};
  }

 private:
  void Heal() {
    if (trace_.on()) trace_.Line("*** everything heals");
    cluster_.Heal();
    answered_before_ = cluster_.clients().answered();
    Enqueue();
    Operate();
    Look();
  }

  // Enqueues do not stop until some of them are answered: progress is due under load.
  void Enqueue() {
    if (cluster_.clients().answered() >= answered_before_ + kHealedEnqueues) {
      enqueues_ended_ = true;
      return;
    }
    cluster_.clients().Enqueue();
    timeline_.After(schedule_.setup.heal_write_every, [this] { Enqueue(); });
  }

  void Operate() {
    cluster_.Operate();
    timeline_.After(kOperateEvery, [this] { Operate(); });
  }

  void Look() {
    const bool settled = enqueues_ended_ && !cluster_.Unsettled().has_value();
    if (settled && stats_.heal_micros == 0) {
      const auto span = timeline_.now() - schedule_.setup.faults_end;
      stats_.heal_micros = stats_.heal_micros_max = static_cast<uint64_t>(span.count());
      Drain();
    }
    if (settled && cluster_.clients().drained()) {
      done_ = true;
      return;
    }
    timeline_.After(kLookEvery, [this] { Look(); });
  }

  void Drain() {
    cluster_.clients().Drain();
    timeline_.After(kDrainEvery, [this] { Drain(); });
  }

  void Judge() {
    cluster_.clients().GiveUpAll();
    SimTime within = kLogTimeWithin;
    for (const Action& action : schedule_.actions) {
      if (action.kind == ActionKind::kClocksBack) within += SimTime(action.n * 1000);
    }
    const std::vector<testing::Violation> violations = testing::CheckAll(
        cluster_.clients().history(), {.clock_difference_micros = within.count()});
    if (violations.empty()) return;
    cluster_.checker().Fail(violations[0].rule, testing::Describe(violations, 3));
  }

  const Schedule& schedule_;
  holdfast::EventQueue events_;
  ExecutorTimeline timeline_;
  RunStats stats_;
  Trace trace_;
  EngineCluster cluster_;
  size_t answered_before_ = 0;
  bool enqueues_ended_ = false;
  bool done_ = false;
};

}  // namespace

RunResult RunEngine(const Schedule& schedule, std::FILE* trace) {
  return EngineRun(schedule, trace).Run();
}

}  // namespace holdfast::sim
