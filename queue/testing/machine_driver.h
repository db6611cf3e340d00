// Drives a Machine over a MemoryColdStore as a shard does, and can do to it all that a shard
// may: several commands an entry, flushes in flight, refills that come late or never, rows
// fetched ahead, a crash and restart from the last completed flush with the log replayed.
//
// A replay must answer and hash as the first run did, or the process ends.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_TESTING_MACHINE_DRIVER_H_
#define HOLDFAST_QUEUE_TESTING_MACHINE_DRIVER_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/types.h"
#include "queue/machine.h"
#include "queue/testing/memory_cold_store.h"

namespace holdfast {

class MachineDriver {
 public:
  // How often, on average, a thing is done after a command: once in so many; 0: never.
  struct Schedule {
    uint32_t drain = 1;
    uint32_t begin_flush = 0;
    uint32_t complete_flush = 1;
    uint32_t refill_ask = 0;  // WantsRefill, answered at the next refill_answer
    uint32_t refill_answer = 1;
    uint32_t refill_cancel = 0;  // instead of an answer
    uint32_t restart = 0;
    uint32_t fetch_ahead = 0;  // loads before the command's turn in its entry
    uint32_t check_invariants = 16;
  };
  struct Options {
    Machine::Options machine;
    Schedule schedule;
    uint64_t seed = 1;
    size_t scan_visits_max = 1'000'000;  // members a fetch visits for one scan
  };

  explicit MachineDriver(const Options& options);

  // Loads what the command needs, applies it, then does what the schedule says.
  Outcome Apply(const Command& command, LogTime now);

  // What the schedule does at random, on demand.
  void Drain();
  void BeginFlush();     // nothing if one is in flight
  void CompleteFlush();  // nothing if none is in flight
  void Flush();          // both, twice if one was in flight
  void Refill();         // asks and answers until nothing is wanted
  // Crash; then restore and replay. The flush in flight is lost.
  void Restart();

  const Machine& machine() const { return *machine_; }
  const MemoryColdStore& store() const { return store_; }
  // The job wherever it is; false if there is none or it has been ended.
  bool FindJob(JobId id, Job* job) const;
  // All jobs of a state, hot and cold, in the set's order. Drains, and CHECKs that what the
  // machine shows of the set from memory agrees.
  std::vector<Job> Range(QueueId queue, JobState state);

  std::set<std::string> TakeWakeups() { return std::exchange(wakeups_, {}); }
  std::vector<Machine::EndedLease> TakeEndedLeases() { return std::exchange(ended_, {}); }

 private:
  struct Logged {
    Command command;
    LogTime now;
    std::string answer;
    uint64_t hash = 0;
  };

  bool OneIn(uint32_t n) { return n != 0 && prng_.Below(n) == 0; }
  void LoadNeeds(const Command& command, LogTime now);
  Outcome ApplyLoaded(const Command& command, LogTime now);
  void TakeNews();
  void FollowSchedule();
  void FollowRefills();
  void Replay();
  void CheckHot(const SetRef& set, const std::map<SetKey, Job>& members) const;

  const Options options_;
  Prng prng_;
  std::unique_ptr<Machine> machine_;
  MemoryColdStore store_;
  std::vector<Logged> log_;    // from the last completed flush on
  size_t flush_begun_at_ = 0;  // commands of log_ that the flush in flight covers
  std::vector<Needs::Scan> refills_;
  std::set<std::string> wakeups_;
  std::vector<Machine::EndedLease> ended_;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_TESTING_MACHINE_DRIVER_H_
