#include "tests/sim/seed_pool.h"

#include <poll.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "base/check.h"
#include "tests/sim/child_process.h"
#include "tests/sim/run.h"

namespace holdfast::sim {
namespace {

// One process that runs every `stride`-th seed from `next` on.
class Worker {
 public:
  Worker(const Profile& profile, uint64_t next, uint64_t last, uint64_t stride)
      : profile_(profile), next_(next), last_(last), stride_(stride) {
    Begin();
  }

  bool running() const { return child_ != nullptr; }
  int descriptor() const { return child_->descriptor(); }

  // Takes what the process has to say: the result of seed `*seed`, or nullopt: it has no more.
  std::optional<RunResult> Take(uint64_t* seed) {
    const std::optional<RunRecord> record = child_->Read();
    *seed = next_;
    if (record.has_value()) {
      CHECK_EQ(record->seed, next_);
      next_ += stride_;
      return record->ToResult();
    }
    const std::optional<Violation> how = child_->HowItEnded();
    child_.reset();
    if (!how.has_value()) return std::nullopt;
    // The seed that it was at has ended it; another process goes on after that.
    next_ += stride_;
    Begin();
    RunResult result;
    result.violation = how;
    result.stats.runs = 1;
    return result;
  }

 private:
  void Begin() {
    if (next_ > last_) return;
    child_ = std::make_unique<ChildProcess>([this](const ChildProcess::Report& report) {
      for (uint64_t seed = next_; seed <= last_; seed += stride_) {
        ChildProcess::BeforeRun();
        report(RunRecord::Of(seed, Run(DrawSchedule(profile_, seed), nullptr)));
      }
    });
  }

  const Profile& profile_;
  uint64_t next_;
  const uint64_t last_;
  const uint64_t stride_;
  std::unique_ptr<ChildProcess> child_;
};

}  // namespace

bool ParseSeeds(const char* text, SeedRange* seeds) {
  char* end = nullptr;
  seeds->first = seeds->last = std::strtoull(text, &end, 10);
  if (end == text) return false;
  if (end[0] == '.' && end[1] == '.') {
    const char* const from = end + 2;
    seeds->last = std::strtoull(from, &end, 10);
    if (end == from) return false;
  }
  return *end == '\0' && seeds->first <= seeds->last;
}

void RunSeeds(const Profile& profile, SeedRange seeds, unsigned jobs,
              const std::function<bool(uint64_t seed, const RunResult& result)>& on_run) {
  std::vector<std::unique_ptr<Worker>> workers;
  for (unsigned i = 0; i < jobs; ++i) {
    workers.push_back(std::make_unique<Worker>(profile, seeds.first + i, seeds.last, jobs));
  }
  while (true) {
    std::vector<pollfd> waits;
    std::vector<Worker*> waiting;
    for (const auto& worker : workers) {
      if (!worker->running()) continue;
      waits.push_back({worker->descriptor(), POLLIN, 0});
      waiting.push_back(worker.get());
    }
    if (waits.empty()) return;
    poll(waits.data(), waits.size(), -1);
    for (size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].revents == 0) continue;
      uint64_t seed = 0;
      const std::optional<RunResult> result = waiting[i]->Take(&seed);
      if (result.has_value() && !on_run(seed, *result)) return;
    }
  }
}

}  // namespace holdfast::sim
