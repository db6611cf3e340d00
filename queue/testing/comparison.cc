#include "queue/testing/comparison.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>

#include "base/check.h"
#include "queue/testing/oracle.h"
#include "queue/testing/text.h"

namespace holdfast {
namespace {

constexpr int kExpiresMax = 1'000'000;
// A reserve that meets no more than so many due jobs, and no garbage, ends them all on its way.
constexpr uint64_t kDueMax = 8;
constexpr size_t kCompleteChecksEvery = 40;
constexpr int kShrinkTriesMax = 600;

char run_name[256];

void PrintRunName(int) {
  if (write(STDERR_FILENO, run_name, std::strlen(run_name)) < 0) _exit(1);
}

std::string Both(const std::string& what, const std::string& oracle, const std::string& machine) {
  if (oracle == machine) return "";
  return what + "\n--- oracle\n" + oracle + "\n--- machine\n" + machine + "\n";
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + " ";
  return text;
}

// One machine and one oracle in step.
class OraclePair {
 public:
  explicit OraclePair(const MachineDriver::Options& options)
      : driver_(options), oracle_(options.machine.shard, options.machine.shards) {}

  // Empty if they agree.
  std::string Step(const TimedCommand& timed) {
    const bool expire = std::holds_alternative<ExpireCommand>(timed.command.body);
    const auto* reserve = std::get_if<ReserveCommand>(&timed.command.body);
    const bool many_due = reserve != nullptr && (oracle_.DueFor(*reserve, timed.now) > kDueMax ||
                                                 driver_.machine().HasGarbage());
    if (many_due) {
      const std::string wrong = Step({{{}, ExpireCommand{}}, timed.now});
      if (!wrong.empty()) return wrong;
    }
    const Outcome expected = oracle_.Apply(timed.command, timed.now);
    Outcome outcome = driver_.Apply(timed.command, timed.now);
    if (expire) {
      const std::string wrong = ExpireAll(timed, std::move(outcome));
      return wrong.empty() ? CompareAll(timed.now) : wrong;
    }
    const std::string wrong =
        Both("outcome", OutcomeText(timed.command.body, expected, Detail::kFull),
             OutcomeText(timed.command.body, outcome, Detail::kFull));
    return wrong.empty() ? CompareWakeups() : wrong;
  }

 private:
  std::string ExpireAll(const TimedCommand& timed, Outcome outcome) {
    const uint32_t max = std::get<ExpireCommand>(timed.command.body).max;
    for (int i = 0; i < kExpiresMax; ++i) {
      if (outcome.code != OutcomeCode::kOk) return "expire is refused";
      if (outcome.count > max) return "expire did more than its max";
      if (!outcome.more) return "";
      outcome = driver_.Apply(timed.command, timed.now);
    }
    return "expire never ends";
  }

  std::string CompareWakeups() {
    const std::set<std::string> woken = driver_.TakeWakeups();
    for (const std::string& name : oracle_.TakeWakeups()) {
      if (woken.count(name) == 0) return "queue " + name + " is not woken";
    }
    return "";
  }

  std::string CompareAll(LogTime now) {
    const Machine& machine = driver_.machine();
    std::string wrong = CompareWakeups();
    if (wrong.empty()) {
      wrong = Both("ended leases", EndedLeasesText(oracle_.TakeEndedLeases()),
                   EndedLeasesText(driver_.TakeEndedLeases()));
    }
    if (wrong.empty()) {
      wrong = Both("queues", Join(oracle_.QueueNames()), Join(machine.ListQueues("", 1'000'000)));
    }
    if (wrong.empty()) wrong = CompareQueues();
    if (wrong.empty()) wrong = CompareTotals();
    if (!wrong.empty()) return wrong;
    if (machine.HasGarbage()) return "garbage is left although expire said that no more is due";
    if (machine.NextDeadline() <= now) return "NextDeadline is not after a complete expire";
    if (machine.NextDeadline() > oracle_.NextJobDeadline()) {
      return "NextDeadline is late: " + TimeText(machine.NextDeadline()) + " instead of " +
             TimeText(oracle_.NextJobDeadline());
    }
    return ++complete_expires_ % kCompleteChecksEvery == 0 ? CompareJobs() : "";
  }

  std::string CompareQueues() {
    for (const std::string& name : oracle_.QueueNames()) {
      QueueRecord expected;
      CHECK(oracle_.FindQueue(name, &expected));
      const QueueRecord* queue = driver_.machine().FindQueue(name);
      if (queue == nullptr) return "queue " + name + " is missing";
      const std::string wrong = Both("queue", QueueText(expected), QueueText(*queue));
      if (!wrong.empty()) return wrong;
      if (driver_.machine().FindQueue(queue->id) != queue) return "queue by id is another";
    }
    return "";
  }

  std::string CompareTotals() {
    const Machine::Totals totals = driver_.machine().totals();
    uint64_t counts[kJobStates] = {};
    for (const auto& [id, job] : oracle_.jobs()) ++counts[static_cast<int>(job.state)];
    for (int state = 0; state < kJobStates; ++state) {
      if (counts[state] != totals.jobs_by_state[state]) return "totals of jobs differ";
    }
    if (totals.queues != oracle_.QueueNames().size()) return "total of queues differs";
    if (totals.garbage_jobs != 0) return "garbage jobs are left";
    const auto sizes = [](uint64_t requests, uint64_t sessions) {
      return std::to_string(requests) + " requests " + std::to_string(sessions) + " sessions";
    };
    return Both("totals", sizes(oracle_.requests(), oracle_.sessions()),
                sizes(totals.requests, totals.sessions));
  }

  std::string CompareJobs() {
    for (const std::string& name : oracle_.QueueNames()) {
      const QueueId id = driver_.machine().FindQueue(name)->id;
      for (int state = 0; state < kJobStates; ++state) {
        std::string texts[2];
        for (const Job& job : oracle_.Range(id, static_cast<JobState>(state))) {
          texts[0] += JobText(job, Detail::kFull) + "\n";
        }
        for (const Job& job : driver_.Range(id, static_cast<JobState>(state))) {
          texts[1] += JobText(job, Detail::kFull) + "\n";
        }
        const std::string wrong = Both("jobs of " + name, texts[0], texts[1]);
        if (!wrong.empty()) return wrong;
      }
    }
    for (const auto& [id, job] : oracle_.jobs()) {
      Job found;
      if (!driver_.FindJob(id, &found)) return "job " + std::to_string(id.value()) + " is lost";
    }
    return "";
  }

  MachineDriver driver_;
  Oracle oracle_;
  size_t complete_expires_ = 0;
};

}  // namespace

std::optional<Difference> CompareWithOracle(const CommandStream& stream,
                                            const MachineDriver::Options& options) {
  OraclePair pair(options);
  for (size_t i = 0; i < stream.size(); ++i) {
    std::string wrong = pair.Step(stream[i]);
    if (!wrong.empty()) return Difference{i, std::move(wrong)};
  }
  return std::nullopt;
}

std::optional<Difference> CompareMachines(const CommandStream& stream,
                                          const std::vector<MachineDriver::Options>& options) {
  std::vector<std::unique_ptr<MachineDriver>> drivers;
  for (const MachineDriver::Options& one : options) {
    drivers.push_back(std::make_unique<MachineDriver>(one));
  }
  for (size_t i = 0; i < stream.size(); ++i) {
    std::string yardstick;
    uint64_t hash = 0;
    for (size_t n = 0; n < drivers.size(); ++n) {
      const Outcome outcome = drivers[n]->Apply(stream[i].command, stream[i].now);
      const std::string text = OutcomeText(stream[i].command.body, outcome, Detail::kFull) +
                               "\ncount " + std::to_string(outcome.count) + "\n" +
                               EndedLeasesText(drivers[n]->TakeEndedLeases());
      if (n == 0) {
        yardstick = text;
        hash = drivers[n]->machine().StateHash();
        continue;
      }
      const std::string variant = "variant " + std::to_string(n) + " (as machine) ";
      if (text != yardstick) return Difference{i, Both(variant + "answers", yardstick, text)};
      if (drivers[n]->machine().StateHash() != hash) return Difference{i, variant + "hashes"};
    }
  }
  return std::nullopt;
}

bool DiffersInChild(const CommandStream& stream,
                    const std::function<bool(const CommandStream&)>& differs) {
  std::fflush(nullptr);
  const pid_t child = fork();
  CHECK_GE(child, 0);
  if (child == 0) {
    const int quiet = open("/dev/null", O_WRONLY);
    if (quiet >= 0) dup2(quiet, STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);
    _exit(differs(stream) ? 1 : 0);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

CommandStream Shrink(CommandStream stream,
                     const std::function<bool(const CommandStream&)>& differs) {
  // First the shortest prefix, by bisection; then without this chunk or that one.
  size_t low = 0;
  size_t high = stream.size();
  while (low + 1 < high) {
    const size_t middle = (low + high) / 2;
    const CommandStream prefix(stream.begin(),
                               stream.begin() + static_cast<std::ptrdiff_t>(middle));
    (DiffersInChild(prefix, differs) ? high : low) = middle;
  }
  stream.resize(high);
  int tries = kShrinkTriesMax;
  for (size_t chunk = std::max<size_t>(stream.size() / 2, 1); chunk >= 1; chunk /= 2) {
    for (size_t at = 0; at + chunk <= stream.size() && tries > 0; --tries) {
      CommandStream shorter = stream;
      const auto begin = shorter.begin() + static_cast<std::ptrdiff_t>(at);
      shorter.erase(begin, begin + static_cast<std::ptrdiff_t>(chunk));
      if (DiffersInChild(shorter, differs)) {
        stream = std::move(shorter);
      } else {
        at += chunk;
      }
    }
  }
  return stream;
}

void NameRun(const std::string& name) {
  std::snprintf(run_name, sizeof(run_name), "(in %s)\n", name.c_str());
  std::signal(SIGABRT, PrintRunName);
}

}  // namespace holdfast
