// What a frontend can ask of this node: commands, reserves that wait, and queries, for any queue
// and any job, wherever their shards are.
//
// A frontend turns bytes into a Command or a query, calls one method here, and turns what comes
// back into bytes. It never sees shards, the log or the store.
//
// Answers. `status` not ok: the engine did not do it or does not know:
//   UNAVAILABLE         certainly not executed; try again or elsewhere
//   RESOURCE_EXHAUSTED  certainly not executed: a bound of this node is reached (bytes or commands
//                       in flight); retry after `retry_after`
//   UNKNOWN             the outcome cannot be known (the node is failing)
//   DATA_LOSS           a stored payload or row is damaged; names the job; the node is stopping
// `status` ok: committed and applied; the outcome's code says what came of it.
//
// Threads: every method may be called from any thread and never blocks. `done` is called exactly
// once, from a thread of the engine or from within the call itself; it must not block, and it may
// call the engine again.

#ifndef HOLDFAST_SERVER_ENGINE_ENGINE_H_
#define HOLDFAST_SERVER_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/types.h"
#include "queue/command.h"
#include "queue/job.h"
#include "queue/machine.h"
#include "queue/outcome.h"
#include "queue/records.h"
#include "server/codec/command_codec.h"
#include "server/codec/payload_ref.h"

namespace holdfast {

struct ExecuteResult {
  absl::Status status;
  absl::Duration retry_after;  // with RESOURCE_EXHAUSTED
  Outcome outcome;
  // The payloads of outcome.grants, in their order.
  std::vector<PayloadRef> payloads;
  // The entry of the shard's log that the outcome is as of. 0: not known, or of several shards.
  LogIndex as_of;
};
using ExecuteDone = absl::AnyInvocable<void(ExecuteResult) &&>;

// A reserve that may wait.
struct ReserveRequest {
  std::vector<std::string> queues;  // 1..1000, distinct
  uint32_t max = 1;                 // [1, 1000]
  // How long to wait for the first job; zero: answer at once. It ends with kNothingReady.
  absl::Duration wait;
  Holder holder;      // none(): the lease ends by settling or expiry only
  LogDuration lease;  // 0: each job's own
  // Repeating the same request answers what the first one did (see RequestIdentity); only for
  // requests whose queues are all in one shard, and never parked.
  RequestIdentity request;
};
// Names a reserve that has not been answered yet. 0: none.
using ReserveId = StrongInt<struct ReserveIdTag, uint64_t>;

// `stale`, in each query: answered from this node's replica as it is, whoever leads.

// A job by its id.
struct JobQuery {
  JobId job;
  bool stale = false;
};
// The jobs of one queue in one state, in their set's order, after `after` (exclusive).
// Default-constructed `after`: from the first.
struct JobListQuery {
  std::string queue;
  JobState state = JobState::kReady;
  SetKey after;
  uint32_t limit = 1;  // [1, 1000]
  // Stop before the payloads together exceed this; at least one job is returned. 0: no payloads.
  uint64_t payload_bytes_max = 0;
  bool stale = false;
};
struct QueueQuery {
  std::string queue;
  bool stale = false;
};
// Queues over all shards in byte order of their names, after `after` (exclusive).
struct QueueListQuery {
  std::string after;
  std::string prefix;
  uint32_t limit = 100;  // [1, 1000]
  bool stale = false;
};
// Counts over all shards.
struct TotalsQuery {
  bool stale = false;
};
// How far this node's replica of each shard is.
struct ReplicasQuery {
  static constexpr bool stale = true;
};
// The cluster's record (PutClusterRecordCommand).
struct ClusterRecordQuery {
  bool stale = false;
};
using Query = std::variant<JobQuery, JobListQuery, QueueQuery, QueueListQuery, TotalsQuery,
                           ReplicasQuery, ClusterRecordQuery>;

struct JobView {
  Job job;
  std::string queue;
  PayloadRef payload;  // empty if not asked for
};
struct ReplicaView {
  ShardId shard;
  bool leading = false;
  LogIndex applied;
  uint64_t state_hash = 0;  // Machine::StateHash() there
};
struct QueryResult {
  absl::Status status;
  OutcomeCode code = OutcomeCode::kOk;  // kOk, kJobNotFound, kQueueNotFound
  std::vector<JobView> jobs;
  std::vector<QueueRecord> queues;
  bool more = false;  // lists: there are more after the last one
  SetKey last;        // job lists: pass as `after` for the next page
  Machine::Totals totals;
  std::vector<ReplicaView> replicas;  // by shard
  ClusterRecordRow cluster_record;
  LogTime now;  // the shard's log time at the answer
};
using QueryDone = absl::AnyInvocable<void(QueryResult) &&>;

using LeaseEndedFn = std::function<void(const Machine::EndedLease&)>;

// What becomes of a holder's leases when it closes.
enum class LeasesAtClose : uint8_t {
  kExpire = 0,   // they run on until they are settled or expire
  kRelease = 1,  // they end at once and their jobs are ready again; no failure is counted
};

struct EngineInfo {
  NodeId node;
  DiskId disk;
  std::string cluster_id;
  uint32_t shards = 0;
  uint32_t payload_size_bytes_max = 0;  // bound on one job's encoded payload
  bool serving = false;                 // all shards accept commands
};

class Engine {
 public:
  virtual ~Engine() = default;

  // One enqueue command, encoded by the caller: its payloads are copied once, from the request
  // into the command. `queue` is the one that the encoder was made for.
  virtual void Enqueue(std::string_view queue, EnqueueEncoder command, ExecuteDone done) = 0;

  // Any command but EnqueueCommand and ReserveCommand. Copies what it needs before it returns. A
  // command whose jobs or leases are in several shards is split and its items are put together
  // again in order; then it is atomic per shard only. A failure of one shard fails the whole
  // answer, although other shards may have done their part.
  virtual void Execute(const Command& command, ExecuteDone done) = 0;

  // The jobs granted are leased when `done` runs. A caller that can no longer deliver them says
  // so with a ReturnUndeliveredCommand.
  virtual ReserveId Reserve(ReserveRequest request, ExecuteDone done) = 0;
  // Ends a waiting reserve: `done` is (or was) called with kNothingReady or with jobs granted in
  // the meantime; the latter the engine returns itself, without showing them to `done`, if the
  // cancel reached it first. Unknown ids are ignored.
  virtual void CancelReserve(ReserveId id) = 0;

  // Linearizable, unless the query may be stale.
  virtual void Ask(Query query, QueryDone done) = 0;

  // A holder for one connection or stream. `leases`: what becomes of them if this node is lost;
  // kRelease: then its jobs are ready again, and it goes on if the node does. `ended` is called, on
  // an engine thread, for each of its leases that ends other than by a command on the lease itself
  // (expired, deleted by id, purged); never after CloseHolder has returned. It must not call
  // CloseHolder.
  virtual Holder OpenHolder(LeasesAtClose leases, LeaseEndedFn ended) = 0;
  // kRelease is tried again every second, for a minute, while a bound of the node or the lack of a
  // leader is in its way.
  virtual void CloseHolder(Holder holder, LeasesAtClose leases) = 0;

  virtual EngineInfo Info() const = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_ENGINE_H_
