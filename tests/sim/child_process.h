// A child process that runs a function and tells its parent about it in records of one size.
//
// A child that takes too much processor time or memory is ended by the kernel. What it wrote to
// stderr is kept for the parent.
//
// Thread-safety: thread-compatible; the process has one thread.

#ifndef HOLDFAST_TESTS_SIM_CHILD_PROCESS_H_
#define HOLDFAST_TESTS_SIM_CHILD_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "tests/sim/run_result.h"

namespace holdfast::sim {

// What a child tells of one run.
struct RunRecord {
  uint64_t seed = 0;
  uint64_t hash = 0;
  RunStats stats;
  bool violated = false;
  char rule[64] = {};
  char what[512] = {};

  static RunRecord Of(uint64_t seed, const RunResult& result);
  RunResult ToResult() const;
};

class ChildProcess {
 public:
  // `body` runs in the child; it calls `report` as often as it likes. BeforeRun() is to be called
  // there before each run, so that the limit of time is that of one run.
  using Report = std::function<void(const RunRecord&)>;
  explicit ChildProcess(const std::function<void(const Report& report)>& body);
  // Ends the child if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  static void BeforeRun();

  // For poll(): there is a record, or the end.
  int descriptor() const { return records_; }
  // Waits for the next record; nullopt: the child has ended.
  std::optional<RunRecord> Read();
  // REQUIRES: Read() said that it has ended. nullopt: of its own will, successfully.
  std::optional<Violation> HowItEnded();

 private:
  pid_t pid_ = -1;
  int records_ = -1;
  int errors_ = -1;  // a file in memory: its stderr
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_CHILD_PROCESS_H_
