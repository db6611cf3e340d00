// The queue state machine again, so plain that it can be believed by reading it: one map of jobs,
// one of queues, linear scans, nothing cached, nothing paged. What `Machine` answers is compared
// with what this answers.
//
// It knows no windows, graves or epochs: a purge removes jobs at once, and Expire does all that
// is due whatever its `max`. Compare after expiring until `more` is false. Before a reserve for
// which DueFor is large, expire both.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_TESTING_ORACLE_H_
#define HOLDFAST_QUEUE_TESTING_ORACLE_H_

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/types.h"
#include "queue/command.h"
#include "queue/job.h"
#include "queue/machine.h"
#include "queue/outcome.h"
#include "queue/records.h"

namespace holdfast {

class Oracle {
 public:
  // Ids are `sequence * shards + shard`.
  Oracle(ShardId shard, uint32_t shards) : shard_(shard), shards_(shards) {}

  // REQUIRES: now >= the last now. Bounds of the command itself are checked as the contract says.
  Outcome Apply(const Command& command, LogTime now);

  // nullptr: there is no such job.
  const Job* FindJob(JobId id) const;
  const std::map<JobId, Job>& jobs() const { return jobs_; }
  // Jobs of the queue in one state, in the order of the state's set.
  std::vector<Job> Range(QueueId queue, JobState state) const;
  // By name, with counts and sums made by scanning; epochs and hashes stay 0.
  bool FindQueue(std::string_view name, QueueRecord* record) const;
  std::vector<std::string> QueueNames() const;
  size_t requests() const { return requests_.size(); }
  size_t sessions() const { return sessions_.size(); }

  // Jobs that became ready, by queue name, and queues whose ready jobs became available since
  // the last call: the least that must be woken.
  std::set<std::string> TakeWakeups();
  std::vector<Machine::EndedLease> TakeEndedLeases();
  // At least how many jobs and dedup entries of the command's queues are due at `now`. A machine's
  // reserve ends them first, but not without bound; this oracle's ends them all.
  uint64_t DueFor(const ReserveCommand& command, LogTime now) const;
  // When the next job or pause changes by time alone; Never() if none does.
  LogTime NextJobDeadline() const;

 private:
  struct Session {
    LogDuration idle_limit;
    LogTime expires;
    uint64_t floor = 0;
    std::map<uint64_t, Outcome> outcomes;
  };
  struct Request {
    LogTime expires;
    Outcome outcome;
  };

  Outcome ApplyOnce(const Command& command);
  Outcome ApplySession(const Command& command);
  Outcome ApplyDigest(const Command& command);
  Outcome Execute(const CommandBody& body);

  Outcome Do(const EnqueueCommand& command);
  Outcome Do(const ReserveCommand& command);
  Outcome Do(const ReserveJobCommand& command);
  Outcome Do(const DeleteCommand& command);
  Outcome Do(const DeleteJobCommand& command);
  Outcome Do(const ReleaseCommand& command);
  Outcome Do(const TouchCommand& command);
  Outcome Do(const BuryCommand& command);
  Outcome Do(const ReturnUndeliveredCommand& command);
  Outcome Do(const KickCommand& command);
  Outcome Do(const KickJobsCommand& command);
  Outcome Do(const PauseQueueCommand& command);
  Outcome Do(const PurgeQueueCommand& command);
  Outcome Do(const PutQueueOptionsCommand& command);
  Outcome Do(const DeleteQueueCommand& command);
  Outcome Do(const CloseHolderCommand& command);
  Outcome Do(const NodeLostCommand& command);
  Outcome Do(const ExpireCommand& command);
  Outcome Do(const OpenSessionCommand& command);
  Outcome Do(const CloseSessionCommand& command);
  Outcome Do(const PutSettingsCommand& command);
  Outcome Do(const PutClusterRecordCommand& command);

  ItemOutcome EnqueueOne(const JobSpec& spec, QueueRecord* queue);
  ItemOutcome ReleaseOne(const ReleaseCommand& command, const LeaseRef& lease);
  Grant Lease(Job* job, const Holder& holder, LogDuration lease);
  bool HolderGone(const Holder& holder) const;
  // The job if `lease` is its valid lease; otherwise nullptr and why.
  Job* Leased(const LeaseRef& lease, OutcomeCode* why);
  Job* Find(JobId id);
  QueueRecord* Queue(std::string_view name);
  QueueRecord* QueueOf(const Job& job);
  // nullptr: too many.
  QueueRecord* QueueOrNew(std::string_view name);
  uint64_t Count(QueueId queue, JobState state) const;
  uint64_t CountAll(QueueId queue) const;
  bool IsPaused(const QueueRecord& queue) const { return now_ < queue.paused_until; }
  // Ready jobs can be handed out of it.
  bool IsOpen(const QueueRecord& queue) const;
  Job* BestReady(const std::set<std::string_view>& names);
  void MakeReadyOrDelayed(Job* job, LogDuration delay);
  void Fail(Job* job, const std::optional<LogDuration>& delay);
  void BuryJob(Job* job, BuriedReason reason);
  void KickJob(Job* job);
  void Remove(JobId id);
  void EndLease(const Job& job, Machine::EndedLease::Why why);
  // One step that time or a closed holder makes of a job; false if there is none.
  bool ExpireTimed(Job* job);
  bool TtlEnded(const Job& job) const;
  void ExpireTtl(Job* job);
  // Both for one queue, or all if nullptr; true if anything moved.
  bool ExpireJobs(const QueueRecord* only);
  bool ExpireTtls(const QueueRecord* only);
  // All that is due of one job, which a command names: nullptr if that ended it.
  Job* Refreshed(JobId id);
  void EndPause(QueueRecord* queue);
  // All that is due by time in the queue.
  void ExpireQueue(QueueRecord* queue);
  void ExpireRest();
  void ForgetSessions();
  void UpdateIdle();
  void CollectWakeups(const std::vector<JobId>& ready_before, const std::set<QueueId>& open_before);
  std::vector<JobId> ReadyJobs() const;
  std::set<QueueId> OpenQueues() const;

  const ShardId shard_;
  const uint32_t shards_;
  LogTime now_;
  Settings settings_;
  ClusterRecordRow cluster_record_;
  uint64_t next_sequence_ = 1;
  uint64_t next_queue_ = 1;
  uint64_t next_session_ = 1;
  std::map<JobId, Job> jobs_;
  std::map<std::string, QueueRecord, std::less<>> queues_;
  std::map<std::pair<QueueId, std::string>, DedupRecord> dedups_;
  std::vector<Holder> closed_holders_;  // the longest closed first
  std::map<NodeId, uint64_t> lost_incarnations_;
  std::map<std::pair<uint64_t, uint64_t>, Request> requests_;
  std::map<SessionId, Session> sessions_;
  std::set<QueueId> resumed_;  // by this command, their pauses being over
  std::set<std::string> wakeups_;
  std::vector<Machine::EndedLease> ended_;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_TESTING_ORACLE_H_
