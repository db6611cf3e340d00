#include "tests/sim/core_run.h"

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/sim/core_cluster.h"

namespace holdfast::sim {
namespace {

constexpr SimTime kProgressWithin{10'000'000};
constexpr SimTime kLookEvery{10'000};
constexpr SimTime kOperateEvery{50'000};
constexpr size_t kHealedWrites = 20;
constexpr uint64_t kStepsMax = 5'000'000;

class CoreRun {
 public:
  CoreRun(const Schedule& schedule, std::FILE* trace)
      : schedule_(schedule),
        trace_(trace, &queue_),
        cluster_(schedule, &queue_, &stats_, &trace_) {}

  RunResult Run() {
    for (const Action& action : schedule_.actions) {
      queue_.At(action.at, [this, &action] { cluster_.Do(action); });
    }
    queue_.At(schedule_.setup.faults_end, [this] { Heal(); });
    const SimTime end = schedule_.setup.faults_end + kProgressWithin;
    RaftChecker& checker = cluster_.checker();
    while (!done_ && !checker.violation().has_value()) {
      if (queue_.steps() > kStepsMax) checker.Fail("bounded steps", "a run that does not end");
      if (!queue_.RunNext(end)) {
        checker.Fail("progress",
                     absl::StrCat(cluster_.Unsettled().value_or("writes go on"), " ",
                                  kProgressWithin.count() / 1000, " ms after everything healed"));
      }
    }
    stats_.runs = 1;
    stats_.steps = queue_.steps();
    stats_.simulated_micros = static_cast<uint64_t>(queue_.now().count());
    if (trace_.on() && checker.violation().has_value()) {
      trace_.Line("VIOLATION " + checker.violation()->rule + ": " + checker.violation()->what);
    }
    return {checker.violation(), stats_, Mix(cluster_.hash(), queue_.steps())};
  }

 private:
  void Heal() {
    if (trace_.on()) trace_.Line("*** everything heals");
    cluster_.Heal();
    begun_before_ = cluster_.clients().begun();
    Write();
    Operate();
    Look();
  }

  // Writes do not stop until some of them are acknowledged: progress is due under load.
  void Write() {
    const WriteClients& clients = cluster_.clients();
    size_t acknowledged = 0;
    for (size_t write = begun_before_; write < clients.begun(); ++write) {
      if (clients.acknowledged(static_cast<WriteId>(write))) ++acknowledged;
    }
    if (acknowledged >= kHealedWrites) {
      writes_ended_ = true;
      return;
    }
    cluster_.Write();
    queue_.After(schedule_.setup.heal_write_every, [this] { Write(); });
  }

  void Operate() {
    cluster_.Operate();
    cluster_.ReadEverywhere();
    queue_.After(kOperateEvery, [this] { Operate(); });
  }

  void Look() {
    if (writes_ended_ && !cluster_.Unsettled().has_value()) {
      done_ = true;
      const auto span = queue_.now() - schedule_.setup.faults_end;
      stats_.heal_micros = stats_.heal_micros_max = static_cast<uint64_t>(span.count());
      return;
    }
    queue_.After(kLookEvery, [this] { Look(); });
  }

  const Schedule& schedule_;
  HeapTimeline queue_;
  RunStats stats_;
  Trace trace_;
  CoreCluster cluster_;
  size_t begun_before_ = 0;
  bool writes_ended_ = false;
  bool done_ = false;
};

}  // namespace

RunResult RunCore(const Schedule& schedule, std::FILE* trace) {
  return CoreRun(schedule, trace).Run();
}

}  // namespace holdfast::sim
