#include "tests/sim/run.h"

#include "base/check.h"
#include "tests/sim/child_process.h"
#include "tests/sim/core_run.h"
#include "tests/sim/engine_run.h"
#include "tests/sim/profile.h"

namespace holdfast::sim {

RunResult Run(const Schedule& schedule, std::FILE* trace) {
  const Profile* const profile = FindProfile(schedule.profile);
  CHECK(profile != nullptr);
  return profile->layer == Layer::kCore ? RunCore(schedule, trace) : RunEngine(schedule, trace);
}

RunResult RunApart(const Schedule& schedule, std::FILE* trace) {
  ChildProcess child([&schedule, trace](const ChildProcess::Report& report) {
    ChildProcess::BeforeRun();
    const RunResult result = Run(schedule, trace);
    if (trace != nullptr) std::fflush(trace);
    report(RunRecord::Of(schedule.seed, result));
  });
  const std::optional<RunRecord> record = child.Read();
  if (record.has_value()) return record->ToResult();
  RunResult result;
  result.violation = child.HowItEnded();
  if (!result.violation.has_value()) result.violation = Violation{"crash", "it ended early"};
  return result;
}

}  // namespace holdfast::sim
