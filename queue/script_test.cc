// Runs each script of queue/testdata on an oracle and on machines with ever smaller windows,
// more flushes and restarts; all must print what the script expects.
//
// `bazel run //queue:script_test -- --rewrite` writes what the oracle prints into the scripts
// (the plain machine where a script is for machines only); the diff is then to be reviewed. The
// language is described in queue/testdata/README.md.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "queue/testing/comparison.h"
#include "queue/testing/machine_driver.h"
#include "queue/testing/oracle.h"
#include "queue/testing/text.h"

namespace holdfast {
namespace {

bool rewrite = false;

constexpr size_t kListedMax = 1000;
constexpr int kExpiresMax = 100'000;

// What a script is run on.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Outcome Apply(const Command& command, LogTime now) = 0;
  virtual bool FindQueue(const std::string& name, QueueRecord* queue) = 0;
  virtual bool FindJob(JobId id, Job* job) = 0;
  virtual std::vector<Job> Range(QueueId queue, JobState state) = 0;
  virtual std::vector<std::string> QueueNames() = 0;
  virtual std::vector<Machine::EndedLease> TakeEndedLeases() = 0;
  // Null if it is an oracle.
  virtual MachineDriver* driver() = 0;
};

class OracleSubject final : public Subject {
 public:
  Outcome Apply(const Command& command, LogTime now) override {
    return oracle_.Apply(command, now);
  }
  bool FindQueue(const std::string& name, QueueRecord* queue) override {
    return oracle_.FindQueue(name, queue);
  }
  bool FindJob(JobId id, Job* job) override {
    const Job* found = oracle_.FindJob(id);
    if (found != nullptr) *job = *found;
    return found != nullptr;
  }
  std::vector<Job> Range(QueueId queue, JobState state) override {
    return oracle_.Range(queue, state);
  }
  std::vector<std::string> QueueNames() override { return oracle_.QueueNames(); }
  std::vector<Machine::EndedLease> TakeEndedLeases() override { return oracle_.TakeEndedLeases(); }
  MachineDriver* driver() override { return nullptr; }

 private:
  Oracle oracle_{ShardId(0), 1};
};

class MachineSubject final : public Subject {
 public:
  explicit MachineSubject(const MachineDriver::Options& options) : driver_(options) {}
  Outcome Apply(const Command& command, LogTime now) override {
    return driver_.Apply(command, now);
  }
  bool FindQueue(const std::string& name, QueueRecord* queue) override {
    const QueueRecord* found = driver_.machine().FindQueue(name);
    if (found != nullptr) *queue = *found;
    return found != nullptr;
  }
  bool FindJob(JobId id, Job* job) override { return driver_.FindJob(id, job); }
  std::vector<Job> Range(QueueId queue, JobState state) override {
    return driver_.Range(queue, state);
  }
  std::vector<std::string> QueueNames() override {
    return driver_.machine().ListQueues("", kListedMax);
  }
  std::vector<Machine::EndedLease> TakeEndedLeases() override { return driver_.TakeEndedLeases(); }
  MachineDriver* driver() override { return &driver_; }

 private:
  MachineDriver driver_;
};

// Runs the lines of one script, with its own log time.
class Runner {
 public:
  explicit Runner(Subject* subject) : subject_(subject) {}

  std::string Run(const std::string& line) {
    const std::vector<std::string> words = SplitWords(line);
    if (words.empty()) return "";
    std::string printed;
    if (Time(words) || Store(words) || Query(words, &printed)) return printed;
    std::string error;
    const std::optional<Command> command = ParseCommand(line, &error);
    if (!command.has_value()) return "error: " + error + "\n";
    const Outcome outcome = subject_->Apply(*command, now_);
    printed = OutcomeText(command->body, outcome, Detail::kBrief);
    if (std::holds_alternative<ExpireCommand>(command->body) && subject_->driver() != nullptr) {
      printed += " count=" + std::to_string(outcome.count);
    }
    return printed + "\n";
  }

 private:
  void Settle() {
    for (int i = 0; i < kExpiresMax; ++i) {
      if (!subject_->Apply({{}, ExpireCommand{}}, now_).more) return;
    }
    ADD_FAILURE() << "expire never ends";
  }

  // at +5s | wait 5s | settle
  bool Time(const std::vector<std::string>& words) {
    if (words[0] == "at" && words.size() == 2) {
      const LogTime then = kTestOrigin + *ParseDuration(words[1].substr(1));
      EXPECT_GE(then.micros(), now_.micros()) << "log time never goes back";
      now_ = then;
    } else if (words[0] == "wait" && words.size() == 2) {
      now_ = now_ + *ParseDuration(words[1]);
      Settle();
    } else if (words[0] == "settle") {
      Settle();
    } else {
      return false;
    }
    return true;
  }

  // flush | flush-begin | flush-end | refill | restart
  bool Store(const std::vector<std::string>& words) {
    MachineDriver* driver = subject_->driver();
    const std::string& verb = words[0];
    if (verb != "flush" && verb != "flush-begin" && verb != "flush-end" && verb != "refill" &&
        verb != "restart") {
      return false;
    }
    if (driver == nullptr) return true;
    if (verb == "flush") driver->Flush();
    if (verb == "flush-begin") driver->BeginFlush();
    if (verb == "flush-end") driver->CompleteFlush();
    if (verb == "refill") driver->Refill();
    if (verb == "restart") driver->Restart();
    return true;
  }

  // stats QUEUE | job ID | jobs QUEUE | queues | ended | wakeups | totals
  bool Query(const std::vector<std::string>& words, std::string* printed) {
    const std::string& verb = words[0];
    if ((verb == "stats" || verb == "jobs") && words.size() == 2) {
      QueueRecord queue;
      if (!subject_->FindQueue(words[1], &queue)) {
        *printed = "no such queue\n";
      } else {
        *printed = verb == "stats" ? QueueText(queue) + "\n" : Jobs(queue.id);
      }
    } else if (verb == "job" && words.size() >= 2) {
      const bool full = words.size() == 3 && words[2] == "full";
      Job job;
      const JobId id(std::strtoull(words[1].c_str(), nullptr, 10));
      const bool found = subject_->FindJob(id, &job);
      *printed =
          found ? JobText(job, full ? Detail::kFull : Detail::kBrief) + "\n" : "no such job\n";
    } else if (verb == "queues") {
      for (const std::string& name : subject_->QueueNames()) *printed += name + "\n";
    } else if (verb == "ended") {
      *printed = EndedLeasesText(subject_->TakeEndedLeases());
    } else if (verb == "wakeups" && subject_->driver() != nullptr) {
      for (const std::string& name : subject_->driver()->TakeWakeups()) *printed += name + "\n";
    } else if (verb == "totals" && subject_->driver() != nullptr) {
      *printed = Totals(subject_->driver()->machine());
    } else {
      return false;
    }
    return true;
  }

  std::string Jobs(QueueId queue) {
    std::string text;
    for (int state = 0; state < kJobStates; ++state) {
      for (const Job& job : subject_->Range(queue, static_cast<JobState>(state))) {
        text += JobText(job, Detail::kBrief) + "\n";
      }
    }
    return text;
  }

  std::string Totals(const Machine& machine) {
    const Machine::Totals totals = machine.totals();
    std::ostringstream out;
    for (int state = 0; state < kJobStates; ++state) {
      out << StateText(static_cast<JobState>(state)) << "=" << totals.jobs_by_state[state] << " ";
    }
    out << "urgent=" << totals.urgent_jobs << " enqueued=" << totals.enqueued
        << " queues=" << totals.queues << " garbage=" << totals.garbage_jobs
        << " requests=" << totals.requests << " sessions=" << totals.sessions
        << (machine.HasGarbage() ? " has garbage" : "") << "\n";
    return out.str();
  }

  Subject* const subject_;
  LogTime now_ = kTestOrigin;
};

// The text of a script as it would be if `subject` were right. Blocks of commands end with a
// line "----", expected output with an empty line.
std::string RunScript(const std::string& script, Subject* subject) {
  std::istringstream in(script);
  Runner runner(subject);
  std::string out;
  std::string printed;
  bool expected = false;
  for (std::string line; std::getline(in, line);) {
    if (expected) {
      expected = !line.empty();
      if (!expected) out += "\n";
      continue;
    }
    out += line + "\n";
    if (line == "----") {
      out += std::exchange(printed, {});
      expected = true;
    } else if (!line.empty() && line[0] != '#') {
      printed += runner.Run(line);
    }
  }
  return out;
}

MachineDriver::Options PlainOptions() { return MachineDriver::Options(); }

MachineDriver::Options SmallWindows(size_t window) {
  MachineDriver::Options options;
  options.machine.window_jobs_max = window;
  options.machine.window_jobs_low = window / 2;
  options.machine.hot_jobs_max = window;
  options.schedule.begin_flush = 1;
  options.schedule.complete_flush = 1;
  options.schedule.check_invariants = 1;
  return options;
}

MachineDriver::Options RestartingOptions() {
  MachineDriver::Options options = SmallWindows(2);
  options.schedule.begin_flush = 3;
  options.schedule.complete_flush = 3;
  options.schedule.restart = 1;
  options.schedule.refill_ask = 2;
  return options;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> ScriptNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("queue/testdata")) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Script : public testing::TestWithParam<std::string> {};

TEST_P(Script, PrintsWhatIsExpected) {
  const std::string file = "queue/testdata/" + GetParam() + ".txt";
  NameRun(file);
  const std::string script = ReadFile(file);
  ASSERT_FALSE(script.empty());
  const bool machine_only = script.rfind("# machine only", 0) == 0;
  MachineSubject plain(PlainOptions());
  std::string wanted = script;
  if (rewrite) {
    OracleSubject oracle;
    wanted = machine_only ? RunScript(script, &plain) : RunScript(script, &oracle);
    const char* const workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
    ASSERT_NE(workspace, nullptr) << "--rewrite works under `bazel run` only";
    std::ofstream(std::filesystem::path(workspace) / file) << wanted;
  } else {
    EXPECT_EQ(RunScript(script, &plain), wanted) << "on a plain machine";
  }
  for (const size_t window : {1, 2, 4}) {
    MachineSubject small(SmallWindows(window));
    EXPECT_EQ(RunScript(script, &small), wanted) << "with windows of " << window;
  }
  MachineSubject restarting(RestartingOptions());
  EXPECT_EQ(RunScript(script, &restarting), wanted) << "with restarts";
  if (machine_only) return;
  OracleSubject oracle;
  EXPECT_EQ(RunScript(script, &oracle), wanted) << "on the oracle";
}

INSTANTIATE_TEST_SUITE_P(Testdata, Script, testing::ValuesIn(ScriptNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) holdfast::rewrite |= std::string(argv[i]) == "--rewrite";
  return RUN_ALL_TESTS();
}
