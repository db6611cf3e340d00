// The queue state machine of one shard: pure, deterministic, total.
//
// Apply() is the only thing that changes the state. Two machines that applied the same commands
// with the same log times are in the same state (StateHash), whatever was in memory or on disk.
//
// Hot and cold. Every job has a durable row once the shell has flushed it. A job is *hot* when
// its record is in memory. Of each ordered set the machine keeps at least every member before the
// set's window end hot; the tail may be cold, its members known only by their number. A job whose
// latest change is not flushed is always hot. So for every cold job the durable row is the truth.
// Apply() never reads a disk: Needs() says what must be loaded before a command can be applied.
//
// How the shell drives it, for each log entry:
//   for each command: while Needs(command, now) is not empty: fetch those rows, Load() them;
//                     Apply(command, now)
//   DrainChanges(sink): what to store.
// and when a flush of everything drained before some point has become durable: Flushed().
//
// Invariants: CheckInvariants() lists and checks them all.
// Bounds: hot jobs <= Options::hot_jobs_max + unflushed jobs + the windows' minimum of one
// command; work a command is O(log n) in hot jobs, and independent of backlog and queues.
// Thread-safety: thread-compatible; owned by one shard. Reads no clock, draws no randomness,
// iterates no hash map where order could show.

#ifndef HOLDFAST_QUEUE_MACHINE_H_
#define HOLDFAST_QUEUE_MACHINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "queue/command.h"
#include "queue/job.h"
#include "queue/outcome.h"
#include "queue/records.h"

namespace holdfast {

// Cold rows that a command wants. Finding a row absent is an answer too: Load() it as such.
struct Needs {
  struct Scan {
    SetRef set;
    SetKey from;       // inclusive
    size_t limit = 0;  // members wanted
  };
  struct Dedup {
    QueueId queue;
    std::string key;
  };
  std::vector<JobId> jobs;
  std::vector<Dedup> dedups;
  std::vector<Scan> scans;

  bool empty() const { return jobs.empty() && dedups.empty() && scans.empty(); }
};

// What was fetched. The shell leaves out every row whose job (or dedup entry) has a change that
// is not flushed: the machine has that one in memory, or has deleted it.
struct Loaded {
  struct Scan {
    SetRef set;
    SetKey from;
    std::vector<Job> jobs;            // every kind but kDedup; in set order
    std::vector<DedupRecord> dedups;  // kDedup; in set order
    bool exhausted = false;           // the set has no durable member beyond those
    SetKey last;  // the last durable member visited, left out or not; if !exhausted
  };
  struct Dedup {
    QueueId queue;
    std::string key;
    bool found = false;
    DedupRecord record;
  };
  std::vector<Job> jobs;
  std::vector<JobId> absent_jobs;
  std::vector<Dedup> dedups;
  std::vector<Scan> scans;
};

// Receives what an entry changed, each thing once with its latest state.
class ChangeSink {
 public:
  virtual ~ChangeSink() = default;
  // `before`: its places as of the last drain, nullptr if it is new since; `after`: nullptr if it
  // is gone. Never both nullptr (enqueued and deleted within one drain is not reported).
  virtual void JobChanged(JobId id, const JobPlaces* before, const Job* after) = 0;
  // nullptr: gone. Counters and options; written whole.
  virtual void QueueChanged(QueueId id, const QueueRecord* after) = 0;
  virtual void DedupChanged(QueueId queue, std::string_view key, const DedupRecord* before,
                            const DedupRecord* after) = 0;
  // Any other row: globals, holders, node floors, requests, sessions, graves, cluster record.
  virtual void RowChanged(const SmallRowKey& key, const SmallRow* after) = 0;
};

class Machine {
 public:
  struct Options {
    ShardId shard;
    uint32_t shards = 1;            // S: ids are sequence * S + shard
    size_t window_jobs_max = 8192;  // hot members a set aims to keep at most
    size_t window_jobs_low = 1024;  // fewer hot than this, and cold ones: WantsRefill names it
    size_t hot_jobs_max = 400'000;  // over all sets of the shard, flushed jobs only
  };

  explicit Machine(const Options& options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // --- Restore: from the durable rows of one flush point, before anything else. Jobs stay cold.
  void Restore(const QueueRecord& record);
  void Restore(const SmallRowKey& key, const SmallRow& row);

  // --- Commands.
  // What must be loaded before Apply(command, now); empty: nothing.
  Needs NeedsOf(const Command& command, LogTime now) const;
  void Load(Loaded loaded);
  // Cold tails that should be fetched soon, ahead of need: at most `max` scans, each at most once
  // until its rows arrive or `CancelRefills`. Never changes an outcome.
  std::vector<Needs::Scan> WantsRefill(size_t max);
  void CancelRefills();
  // REQUIRES: NeedsOf(command, now).empty(), and now >= the last now.
  Outcome Apply(const Command& command, LogTime now);

  // --- What changed since the last call.
  void DrainChanges(ChangeSink* sink);
  // Queues in which a job may have become available to a waiting reserve since the last call
  // (enqueue, release, expiry, kick, resume, reserved cap freed); each once.
  std::vector<std::string> TakeWakeups();
  // Leases that ended other than by their holder, for cancel notices, since the last call.
  struct EndedLease {
    JobId job;
    LeaseToken token;
    Holder holder;
    enum class Why : uint8_t { kExpired, kDeleted, kPurged, kHolderClosed } why;
  };
  std::vector<EndedLease> TakeEndedLeases();
  // These jobs' latest changes are durable (the shell leaves out those changed since): they may
  // leave memory. Same for dedup entries. Cheap; shrinks windows that are over their size.
  void Flushed(const std::vector<JobId>& jobs, const std::vector<DedupRef>& dedups);

  // --- Queries. Hot state only; the caller loads what is cold.
  // The earliest log time at which an Expire would do something; Never() if none. May be early.
  LogTime NextDeadline() const;
  // True if purged, deleted or lost-holder jobs wait to be collected by Expire at once.
  bool HasGarbage() const;
  const Job* FindHotJob(JobId id) const;
  // True if the job is in memory or known not to exist: no durable row need be read.
  bool IsJobKnown(JobId id) const;
  // False for a job that a purge or a queue's deletion has ended (loaded or hot).
  bool IsAlive(const Job& job) const;
  const QueueRecord* FindQueue(std::string_view name) const;
  const QueueRecord* FindQueue(QueueId id) const;
  // Names in byte order, from the first one > `after`, at most `limit`.
  std::vector<std::string> ListQueues(std::string_view after, size_t limit) const;
  // The set of a queue's state, and its hot members from `from` on, at most `limit`.
  SetRef StateSet(QueueId queue, JobState state) const;
  std::vector<Job> HotRange(const SetRef& set, SetKey from, size_t limit) const;
  bool IsFullyHot(const SetRef& set) const;
  // The first member of the set if it is known from memory alone; nullptr and *cold = true if
  // the head must be loaded first; nullptr and *cold = false if the set is empty.
  const Job* Front(const SetRef& set, bool* cold) const;
  LogTime now() const;  // of the last Apply
  const Settings& settings() const;
  const ClusterRecordRow& cluster_record() const;
  // Of each node that has holders here, of runs that may be lost and are not: the newest run.
  // Ascending.
  std::vector<NodeRun> OpenRuns() const;
  // Holders of this and earlier incarnations of the node are closed; 0: none.
  uint64_t LostIncarnation(NodeId node) const;

  struct Totals {
    uint64_t jobs_by_state[kJobStates] = {};
    uint64_t urgent_jobs = 0;  // ready with priority < 1024
    uint64_t enqueued = 0;     // jobs that ever were; after a kept id all below it count
    uint64_t timeouts = 0;     // leases that expired since this object was made
    uint64_t queues = 0;
    uint64_t hot_jobs = 0;
    uint64_t garbage_jobs = 0;  // ended, not yet collected
    uint64_t holders = 0;
    uint64_t requests = 0;
    uint64_t sessions = 0;

    // The totals of several shards.
    Totals& operator+=(const Totals& other);
  };
  Totals totals() const;

  // Equal iff the states are (with overwhelming likelihood), whatever is hot; cheap.
  uint64_t StateHash() const;
  // CHECKs everything that memory shows; O(hot). For tests and after restores.
  void CheckInvariants() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_MACHINE_H_
