// One shard of the queue on this node: takes commands, puts them into the log, applies what is
// committed, and answers.
//
//        Submit, Reserve                                      answers
//              │                                                 ▲
//          Proposer ──entry──▶ ReplicatedLog ──OnCommitted──▶ Applier ──▶ Machine
//              ▲                                                 │
//         WaiterTable ◀────────────── wake-ups ──────────────────┤
//                                                        DirtyOverlay ──Freeze──▶ flusher
//
// Reserves that find nothing wait here, outside the log. Deadlines become Expire commands.
//
// Thread-safety: loop-bound to its executor: every method, unless it says otherwise, and every
// callback. Ownership: what Parts points to outlives it; the executor must have run, or dropped,
// all its tasks before it is destroyed.

#ifndef HOLDFAST_SERVER_ENGINE_SHARD_H_
#define HOLDFAST_SERVER_ENGINE_SHARD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/executor.h"
#include "queue/machine.h"
#include "replication/node/state_machine.h"
#include "replication/replicated_log.h"
#include "server/engine/applier.h"
#include "server/engine/engine.h"
#include "server/engine/holder_registry.h"
#include "server/engine/log_clock.h"
#include "server/engine/overlay/cold_reader.h"
#include "server/engine/overlay/dirty_overlay.h"
#include "server/engine/overlay/flush_batch.h"
#include "server/engine/proposer.h"
#include "server/engine/snapshot/snapshot_pins.h"
#include "server/engine/waiter_table.h"
#include "storage/state_store.h"

namespace holdfast {

// The best jobs that a reserve over some queues of one shard could be given now.
struct Offer {
  struct Head {
    uint32_t priority = 0;
    LogTime created;
    JobId job;
    auto operator<=>(const Head&) const = default;
  };
  std::vector<Head> heads;  // in the order in which they would be handed out; may be empty
};
using OfferDone = absl::AnyInvocable<void(absl::StatusOr<Offer>) &&>;

// Who gives a shard its commands.
// Thread-safety: called on the shard's loop.
class ShardClient {
 public:
  virtual ~ShardClient() = default;
  // The shard takes commands here from now on.
  virtual void OnLeading() = 0;
  // These were not executed and certainly will not be: this replica does not lead (any more).
  virtual void Return(Submission submission) = 0;
  virtual void Return(WaiterPtr waiter) = 0;
};

class Shard final : public StateMachine {
 public:
  struct Options {
    ShardId shard;
    NodeId node;
    uint64_t incarnation = 0;
    Machine::Options machine;
    Proposer::Options proposer;
    size_t waiters_max = 100'000;
    // With more unflushed bytes than this nothing is proposed until a flush has ended.
    uint64_t overlay_bytes_max = 0;
    // kNothing: the log is cut behind what is applied. REQUIRES: no other replicas; the store is
    // empty and stays so.
    Backing backing = Backing::kStore;
    // How long the outcome of what was proposed is waited for when leadership has ended.
    int64_t undecided_micros_max = 10'000'000;
  };
  struct Parts {
    Executor* executor = nullptr;
    Executor* reader = nullptr;  // where blocking reads run
    StateStore* store = nullptr;
    HolderRegistry* holders = nullptr;
    std::atomic<uint64_t>* overlay_bytes = nullptr;  // of all shards of the node
    SnapshotPins* pins = nullptr;
    // Runs a task that writes to the store, on a thread on which no flush runs meanwhile.
    std::function<void(Task)> between_flushes;
    std::function<void(const absl::Status&)> on_fatal;
    std::function<void()> on_dirty;    // overlay_bytes has grown
    std::function<void()> flush_soon;  // somebody waits for what is not flushed yet
    // The cluster's record, at the start and when it is another one. May be empty.
    std::function<void(const ClusterRecordRow&)> on_cluster_record;
    // This node was judged lost; the others are to be told of `holders->lost()`. May be empty.
    std::function<void()> on_lost = nullptr;
  };

  Shard(const Options& options, Parts parts);
  ~Shard() override;

  // Reads back what the last flush left: what the log is to be started from.
  // Errors: DATA_LOSS and others of the store.
  absl::StatusOr<AppliedState> Restore();
  // The log that this shard proposes to; before anything else but Restore.
  void AttachLog(ReplicatedLog* log) { log_ = log; }
  // Without one what cannot be executed is answered UNAVAILABLE.
  void AttachClient(ShardClient* client) { client_ = client; }

  // --- Only where the shard leads; elsewhere they are given back to the client.
  void Submit(Submission submission);
  void Reserve(WaiterPtr waiter);

  // False: a reserve of these queues would find nothing ready, as far as this replica knows.
  bool MayFindJob(absl::Span<const std::string_view> queues) const;
  // That nothing is ready, once it is certain that this replica still leads.
  void AnswerNothingReady(ExecuteDone done);

  // Where the shard leads: what is held by the nodes of which `is_lost` says so is held by nobody
  // any more, and their holders can be leased nothing. May be repeated; costs nothing where
  // they hold nothing. Never this node.
  void LoseNodes(absl::FunctionRef<bool(NodeId)> is_lost);

  // --- On every replica.
  // Calls `ask` when this replica has applied all that was committed before: it may be asked then,
  // and the answer is linearizable. Errors: of ReplicatedLog::ReadBarrier.
  void AfterBarrier(absl::AnyInvocable<void(const absl::Status&) &&> ask);
  // As which a holder of this node reserves now; HolderRegistry::Now.
  Holder Now(const Holder& holder) const { return parts_.holders->Now(holder); }
  // Calls the waiter's `done` with kOk and no grants when this replica knows of a job for it.
  void WaitForOffer(WaiterPtr waiter);
  void CancelReserve(ReserveId id);
  // What could be reserved now; at most `max` heads. Never waits for a job.
  void AskOffer(std::vector<std::string> queues, uint32_t max, OfferDone done);
  void Ask(Query query, QueryDone done);
  // Calls `done` when the entry is applied, at once if it is, or when the node ends.
  void AfterApplied(LogIndex index, absl::AnyInvocable<void() &&> done);
  // Ends all waiting reserves with kNothingReady and lets no more wait.
  void Drain();
  // The node ends: answers everything, what is not known with UNKNOWN, now and from now on.
  void Stop();

  // --- Flushing.
  struct Frozen {
    std::shared_ptr<const Generation> generation;
    AppliedRow applied;
  };
  // Freezes what the store does not have, as soon as no entry is half applied, and calls `done`;
  // with no generation if there is nothing, or before Restore. REQUIRES: the one before was
  // Flushed().
  void Freeze(absl::AnyInvocable<void(Frozen) &&> done);
  // The last frozen generation is in the store. Gives what should be freed on another thread.
  std::shared_ptr<const Generation> Flushed();
  // Something of other shards was flushed: old snapshots must not be held on to, nor the place in
  // the log that entries from before take.
  void OthersFlushed();

  // --- StateMachine.
  void OnAppended(absl::Span<const raft::Entry> entries) override;
  void OnCommitted(absl::Span<const raft::Entry> entries) override;
  void OnLeaderStart(Term term) override;
  void OnLeaderStop(const absl::Status& why) override;
  void Pin(absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const PinnedState>>) &&> done)
      override;
  absl::StatusOr<std::shared_ptr<StagedState>> Stage(
      const raft::SnapshotDescriptor& snapshot) override;
  void Install(const raft::SnapshotDescriptor& snapshot, std::shared_ptr<StagedState> staged,
               absl::AnyInvocable<void(const absl::Status&) &&> done) override;

  bool leading() const { return leading_; }
  const Machine& machine() const { return *machine_; }
  const AppliedRow& applied() const { return applier_->applied(); }

 private:
  LogClock::Reading Clocks() const {
    return {parts_.executor->MonotonicMicros(), log_->WallMicros()};
  }
  // Arranges for Pump() to run after the tasks that are queued now, so that what they submit
  // goes into one entry.
  void SchedulePump();
  void Pump();
  void RetryLater();
  void ProposeDeadlines(LogTime now);
  void SetTimer();
  void OnApplied(Applier::Applied applied);
  // `result.payloads`: empty where they are in the store.
  void Answer(Proposer::Slot slot, ExecuteResult result);
  void AnswerReserve(WaiterPtr waiter, ExecuteResult result);
  // Of the grants of a repeated request: those whose leases are known to have ended, and those
  // whose jobs were found to be gone, without a payload.
  void DropEnded(ExecuteResult* result) const;
  static void DropGone(ExecuteResult* result);
  // Calls `done`, or has DeliverCold read the payloads that are missing and call it.
  void Deliver(ExecuteResult result, ExecuteDone done);
  void DeliverCold();
  // Payloads that are in the store, and where they are wanted.
  struct ColdPayloads {
    std::vector<PayloadQuery> queries;
    std::vector<PayloadRef*> places;

    void Add(const Job& job, PayloadRef* place, bool may_be_gone = false) {
      queries.push_back({job.id, job.payload_size_bytes, job.payload_digest, may_be_gone});
      places.push_back(place);
    }
  };
  // Puts them there and calls `done` with how it went: at once if they are few and in memory, else
  // off the loop. REQUIRES: the places stay.
  void ReadCold(ColdPayloads cold, absl::AnyInvocable<void(const absl::Status&) &&> done);
  absl::Status PutPayloads(absl::StatusOr<std::vector<PayloadRef>> payloads,
                           const ColdPayloads& cold) const;
  void Park(WaiterPtr waiter);
  void Refuse(std::vector<Proposer::Slot> slots, const absl::Status& why);
  void Refuse(std::vector<Proposer::InFlight> entries, const absl::Status& why);
  // These are certainly not executed.
  void GiveBack(Submission submission, const absl::Status& why);
  void GiveBack(WaiterPtr waiter, const absl::Status& why);
  void GiveBack(Proposer::Pending pending, const absl::Status& why);
  void GiveBack(Proposer::InFlight entry, const absl::Status& why);
  void AwaitDecisions();
  void Wake();
  void AnswerDeleteAtOnce(Submission* submission) const;
  void EndLateWaiters();
  bool MayFindJob(std::string_view queue) const;
  bool MayFindJob(const ReserveRequest& request) const;
  Offer OfferNow(const std::vector<std::string>& queues, uint32_t max) const;
  void ReturnUndelivered(const Outcome& outcome);
  void StoreChanged();
  void AccountOverlay();
  // Cuts the log, now and then, where nothing is kept.
  void CutUnkeptLog();
  void TellClusterRecord();
  void FollowOwnLoss();

  // The store has another replica's rows in the place of this shard's (shard_snapshots.cc).
  absl::Status BeginAnew();

  // --- Queries (shard_queries.cc).
  void RunBarriers();
  void AnswerQuery(const JobQuery& query, QueryDone done);
  void AnswerQuery(const JobListQuery& query, QueryDone done);
  void AnswerQuery(const QueueQuery& query, QueryDone done);
  void AnswerQuery(const QueueListQuery& query, QueryDone done);
  void AnswerQuery(const TotalsQuery& query, QueryDone done);
  void AnswerQuery(const ReplicasQuery& query, QueryDone done);
  void AnswerQuery(const ClusterRecordQuery& query, QueryDone done);
  void ListDurable(JobListQuery query, SetRef set, QueryDone done);
  void FinishList(const JobListQuery& query, std::vector<Job> jobs, bool more, QueryDone done);
  void AddPayloads(QueryResult result, uint64_t payload_bytes_max, QueryDone done);
  QueryResult ResultNow();

  const Options options_;
  const Parts parts_;
  std::optional<Machine> machine_;
  DirtyOverlay overlay_;
  WaiterTable waiters_;
  Proposer proposer_;
  std::unique_ptr<Applier> applier_;
  ReplicatedLog* log_ = nullptr;
  ShardClient* client_ = nullptr;
  LogClock clock_;

  bool installing_ = false;
  bool leading_ = false;
  bool draining_ = false;
  bool stopped_ = false;
  absl::Status not_leading_ = absl::UnavailableError("the shard is starting");
  bool pump_scheduled_ = false;
  bool retry_scheduled_ = false;
  bool expire_in_flight_ = false;
  LogPosition expire_position_;
  int64_t timer_micros_ = INT64_MAX;  // the earliest timer that is set
  LogIndex committed_;                // delivered, applied or waiting to be
  LogIndex configured_;               // the last change of the members among them
  LogIndex flushed_;
  LogIndex frozen_;
  absl::AnyInvocable<void(Frozen) &&> freeze_;  // waits for the end of an entry
  uint64_t accounted_bytes_ = 0;
  uint64_t told_record_ = 0;  // its version
  struct ColdAnswer {
    ExecuteResult result;
    ExecuteDone done;
  };
  std::vector<ColdAnswer> cold_answers_;  // of the entry that is being answered
  // What waits until an index is applied.
  std::multimap<LogIndex, absl::AnyInvocable<void(const absl::Status&) &&>> barriers_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_SHARD_H_
