// The inside of Machine; its methods are defined by duty:
//   machine.cc    dispatch, request memory, restore, queries
//   jobs.cc       a job's moves between the sets, and what follows from each
//   enqueue.cc reserve.cc settle.cc kick.cc control.cc    the commands
//   collect.cc    what time, purges and lost holders end, n at a time
//   needs.cc      which cold rows a command wants
//   windows.cc    loading, evicting, refilling
//   changes.cc    what is told to the shell, and the state hash
//   invariants.cc
//
// Rules that hold everywhere: a job is changed only between Unlink() and Link(); a queue's record
// only after Touch(); what decides an outcome is never what happens to be in memory.

#ifndef HOLDFAST_QUEUE_MACHINE_IMPL_H_
#define HOLDFAST_QUEUE_MACHINE_IMPL_H_

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "queue/changed_keys.h"
#include "queue/deadlines.h"
#include "queue/holder_table.h"
#include "queue/job_table.h"
#include "queue/machine.h"
#include "queue/queue_table.h"
#include "queue/request_memory.h"
#include "queue/session_table.h"

namespace holdfast {

class Machine::Impl {
 public:
  explicit Impl(const Options& options);

  void Restore(const QueueRecord& record);
  void Restore(const SmallRowKey& key, const SmallRow& row);

  Needs NeedsOf(const Command& command, LogTime now) const;
  void Load(Loaded loaded);
  std::vector<Needs::Scan> WantsRefill(size_t max);
  void CancelRefills();
  Outcome Apply(const Command& command, LogTime now);

  void DrainChanges(ChangeSink* sink);
  std::vector<std::string> TakeWakeups();
  std::vector<EndedLease> TakeEndedLeases() { return std::exchange(ended_leases_, {}); }
  void Flushed(const std::vector<JobId>& jobs, const std::vector<DedupRef>& dedups);

  LogTime NextDeadline() const;
  bool HasGarbage() const;
  const Job* FindHotJob(JobId id) const;
  bool IsJobKnown(JobId id) const;
  bool IsAlive(const Job& job) const { return LiveQueue(job) != nullptr; }
  const QueueTable& queues() const { return queues_; }
  const PagedSet* FindSet(const SetRef& set) const;
  SetRef StateSet(QueueId queue, JobState state) const;
  std::vector<Job> HotRange(const SetRef& set, SetKey from, size_t limit) const;
  const Job* Front(const SetRef& set, bool* cold) const;
  LogTime now() const { return globals_.now; }
  const Settings& settings() const { return globals_.settings; }
  const ClusterRecordRow& cluster_record() const { return cluster_record_; }
  std::vector<NodeRun> OpenRuns() const { return holders_.OpenRuns(); }
  uint64_t LostIncarnation(NodeId node) const { return holders_.FindFloor(node).lost_incarnation; }
  Totals totals() const;
  uint64_t StateHash() const;
  void CheckInvariants() const;

 private:
  // A set whose members all ended at once.
  struct Grave {
    PagedSet jobs;      // every kind but kDedup
    DedupTable dedups;  // kDedup

    PagedSet& set(SetKind kind) { return kind == SetKind::kDedup ? dedups.order() : jobs; }
    const PagedSet& set(SetKind kind) const {
      return kind == SetKind::kDedup ? dedups.order() : jobs;
    }
  };
  struct JobChange {
    JobId id;
    JobNode* node = nullptr;  // nullptr: gone
    bool created = false;     // since the last drain; `before` counts otherwise
    JobPlaces before;
  };
  using DedupKey = std::pair<QueueId, std::string>;
  struct DedupChange {
    DedupKey key;
    bool existed = false;
    DedupRecord before;
  };
  // --- machine.cc
  Outcome ApplyUnremembered(const Command& command);
  static Outcome Refused(OutcomeCode code);
  // The code of a command whose items have these: theirs if they agree.
  static void Summarise(Outcome* outcome);

  // --- commands; each in the file that its name tells
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

  // --- enqueue.cc
  ItemOutcome EnqueueOne(QueueState* queue, const JobSpec& spec);
  bool AnswersWithEarlierJob(QueueState* queue, const JobSpec& spec, ItemOutcome* item);
  // The next id, or the one that the job keeps; false: it cannot.
  bool DrawId(const JobSpec& spec, JobId* id);
  void Remember(const JobPast& past, Job* job) const;
  void RememberDedupKey(QueueState* queue, const JobSpec& spec, JobId job);

  // --- reserve.cc
  OutcomeCode CheckHolder(const Holder& holder) const;
  bool UnderReservedCap(const QueueState& queue) const;
  Grant Lease(QueueState* queue, JobNode* node, const Holder& holder, LogDuration lease);
  void PrefetchFirst(const PagedSet& ready, size_t count) const;
  // The first ready job that has not expired; expires others on the way. 0: none.
  JobId FirstToLease(QueueState* queue, size_t* room);
  void CollectDue(const std::vector<QueueState*>& queues, size_t* room);
  std::vector<QueueState*> QueuesOf(const ReserveCommand& command) const;

  // --- settle.cc
  template <class Settle>
  Outcome SettleEach(const LeaseRefs& leases, Settle settle);
  OutcomeCode FindLease(const LeaseRef& lease, QueueState** queue, JobNode** node);
  // Brings one job up to the present: ended leases, delays and ttls. The job may end;
  // nullptr if it has.
  JobNode* Refresh(JobNode* node);

  // --- kick.cc
  void KickOne(QueueState* queue, JobNode* node);

  // --- jobs.cc
  QueueState* LiveQueue(const Job& job) const;  // nullptr if the job has ended
  void Touch(QueueState* queue);
  void LowerDeadline(QueueState* queue, LogTime deadline);
  QueueState* EnsureQueue(std::string_view name, OutcomeCode* code);
  void RemoveQueue(QueueState* queue);  // REQUIRES: its sets hold no live job or dedup key
  bool MayLinger(const QueueState& queue) const;
  void NoteIdle(QueueState* queue);
  void Wake(QueueState* queue);
  JobNode* Create(QueueState* queue, const Job& job);
  void Unlink(QueueState* queue, JobNode* node);
  void Link(QueueState* queue, JobNode* node);
  // Deletes a live job; then one that has ended with its set.
  void Erase(QueueState* queue, JobNode* node);
  void EraseDead(JobNode* node);
  void Forget(JobNode* node);
  void MarkChanged(JobNode* node);
  // These four take an unlinked job, give it its new state and link it.
  void MakeReady(QueueState* queue, JobNode* node);
  void MakeReadyAt(QueueState* queue, JobNode* node, LogTime due);
  void Bury(QueueState* queue, JobNode* node, BuriedReason reason);
  // After a failure: ready, delayed or buried by the queue's retry policy.
  void Retry(QueueState* queue, JobNode* node);
  // These take a linked one: its lease has expired; its holder is closed; its ttl has ended.
  void EndLease(QueueState* queue, JobNode* node);
  void ReturnFromClosedHolder(QueueState* queue, JobNode* node);
  void ExpireJob(QueueState* queue, JobNode* node);
  void RemoveDedup(QueueState* queue, DedupTable* table, SetKey place);
  void MarkDedupChanged(QueueId queue, const std::string& key, const DedupTable::Entry* before);
  void Bequeath(QueueState* queue, JobState state);  // its members end, as a grave

  // --- collect.cc
  size_t CollectQueue(QueueState* queue, size_t room);
  size_t CollectJobsDue(QueueState* queue, SetKind kind, size_t room);
  size_t CollectDedups(QueueState* queue, size_t room);
  LogTime ExactDeadline(const QueueState& queue) const;
  size_t CollectTime(size_t room);
  size_t CollectGarbage(size_t room);
  size_t CollectHolder(const Holder& holder, size_t room);
  size_t CollectGrave(const SetRef& ref, size_t room);

  // --- needs.cc
  void NeedJob(JobId id, Needs* needs) const;
  void NeedLeases(const LeaseRefs& leases, Needs* needs) const;
  void NeedScan(const SetRef& ref, const PagedSet& set, uint64_t wanted, Needs* needs) const;
  size_t NeedDue(const QueueState& queue, LogTime now, size_t room, Needs* needs) const;
  void NeedFor(const EnqueueCommand& command, LogTime now, Needs* needs) const;
  void NeedFor(const ReserveCommand& command, LogTime now, Needs* needs) const;
  void NeedFor(const KickCommand& command, LogTime now, Needs* needs) const;
  void NeedFor(const ExpireCommand& command, LogTime now, Needs* needs) const;
  bool WillNotExecute(const Command& command, LogTime now) const;
  SetRef RefOf(const QueueState& queue, SetKind kind) const;

  // --- windows.cc
  size_t WindowCap() const;  // how many members a window may have, for now
  size_t RefillLow() const;  // fewer than this before the window end: refill
  PagedSet* FindMutableSet(const SetRef& set) { return const_cast<PagedSet*>(FindSet(set)); }
  DedupTable* FindDedups(QueueId queue) const;
  void LoadJob(const Job& job);
  void LoadDedup(const DedupRecord& record);
  void LoadScan(const Loaded::Scan& scan);
  void WantRefill(const SetRef& ref, PagedSet* set);
  SetKey ScanStart(const SetRef& ref, const PagedSet& set) const;
  bool TryEvict(JobNode* node);
  void EvictBeyondWindow(PagedSet* set);
  void ShrinkQueue(QueueState* queue, size_t cap);
  void ShrinkDedups(QueueId id, DedupTable* table, size_t cap);
  bool TryEvictDedup(QueueId queue, DedupTable* table, std::string_view key);
  void Sweep(size_t steps);
  void EvictLoose();
  void AddHot(QueueState* queue);
  void RemoveHot(QueueState* queue, size_t jobs);
  void SetUnflushed(JobNode* node, bool unflushed);

  // --- changes.cc
  void DrainJobs(ChangeSink* sink);
  void DrainQueues(ChangeSink* sink);
  void DrainDedups(ChangeSink* sink);
  void DrainRows(ChangeSink* sink);
  bool FindGrave(const SetRef& ref, SmallRow* row) const;

  // --- invariants.cc
  void CheckJob(const JobNode& node) const;
  void CheckQueue(const QueueState& queue) const;

  const Options options_;
  GlobalsRow globals_;
  bool globals_changed_ = false;
  ClusterRecordRow cluster_record_;
  bool cluster_record_changed_ = false;
  QueueTable queues_;
  Deadlines deadlines_;
  JobTable jobs_;
  HolderTable holders_;
  RequestMemory requests_;
  SessionTable sessions_;
  absl::btree_map<SetRef, Grave> graves_;
  uint64_t garbage_jobs_ = 0;  // members of the graves of the four states
  uint64_t jobs_by_state_[kJobStates] = {};
  uint64_t urgent_jobs_ = 0;  // the sum over the queues
  uint64_t timeouts_ = 0;

  // Undrained.
  std::vector<JobChange> job_changes_;
  std::vector<QueueId> queue_changes_;
  std::vector<DedupChange> dedup_changes_;
  absl::flat_hash_map<DedupKey, size_t> dedup_change_places_;
  ChangedKeys<SetRef> grave_changes_;
  std::vector<QueueId> wakeups_;
  std::vector<EndedLease> ended_leases_;
  uint64_t queue_hash_ = 0;  // sum of record_hash over the queues

  // Paging; nothing here shows in an outcome.
  size_t unflushed_jobs_ = 0;
  // Known not to exist: found absent, or deleted (at least all deleted since the last drain).
  absl::flat_hash_set<JobId> absent_jobs_;
  absl::flat_hash_set<DedupKey> absent_dedups_;
  std::vector<JobId> loose_jobs_;  // loaded by id, beyond the windows; evicted when unused
  std::vector<std::pair<QueueId, std::string>> loose_dedups_;
  std::vector<SetRef> refills_wanted_;
  std::vector<Needs::Scan> refills_under_way_;
  std::vector<QueueState*> ring_;  // queues with hot jobs, for the sweep
  size_t hand_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_MACHINE_IMPL_H_
