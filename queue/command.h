// Commands: everything that can change a shard's state, as the log carries it.
//
// String views point into the buffer that the command was decoded from, which must outlive
// Machine::Apply; the machine copies what it keeps. Their encoding is server/codec's.
//
// Bounds (the frontends refuse more; the machine answers kInvalidArgument): 1000 jobs, leases or
// ids a command; queue name 1..200 bytes; dedup key 1..255 bytes; 1000 queues a reserve.

#ifndef HOLDFAST_QUEUE_COMMAND_H_
#define HOLDFAST_QUEUE_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "absl/container/inlined_vector.h"
#include "base/types.h"
#include "queue/job.h"
#include "queue/queue_options.h"

namespace holdfast {

inline constexpr size_t kItemsPerCommandMax = 1000;
inline constexpr size_t kQueueNameBytesMax = 200;
inline constexpr size_t kDedupKeyBytesMax = 255;
inline constexpr size_t kQueuesPerReserveMax = 1000;

// 1..200 bytes of A-Z a-z 0-9 - + / ; . $ _ ( ) and not starting with '-' (beanstalkd's rule).
bool IsValidQueueName(std::string_view name);

inline constexpr LogDuration kRequestLifetimeMax = LogDuration::Seconds(300);

// Makes a repeated request answer what the first one answered, without doing it again.
// At most one of the two ways is used.
struct RequestIdentity {
  // A session's request: `sequence` rises by one with each new request; outcomes of requests up
  // to and including `floor` will not be asked for again.
  SessionId session;
  uint64_t sequence = 0;
  uint64_t floor = 0;
  // A bare request id, as a 128-bit digest made by the frontend; remembered for `lifetime` of log
  // time from its first execution. Both 0: none.
  uint64_t digest_high = 0;
  uint64_t digest_low = 0;
  LogDuration lifetime = kRequestLifetimeMax;

  bool has_session() const { return session != SessionId(); }
  bool has_digest() const { return (digest_high | digest_low) != 0; }
};

// Ids are below it: whoever holds numbers as doubles holds them exactly.
inline constexpr uint64_t kJobIdEnd = uint64_t{1} << 53;

// What another system, which kept the job until now, knows of it.
struct JobPast {
  // Its id there, which it keeps: of this shard, above all ids drawn so far, below kJobIdEnd; else
  // kInvalidArgument. 0: it gets the next one.
  JobId id;
  LogTime created;    // a time that is still to come counts as this entry's
  LogDuration delay;  // the one last asked for; the spec's is what remains of it
  uint32_t reserves = 0;
  uint32_t timeouts = 0;
  uint32_t releases = 0;
  uint32_t buries = 0;
  uint32_t kicks = 0;

  auto operator<=>(const JobPast&) const = default;
};

struct JobSpec {
  uint32_t priority = 0;
  LogDuration delay;           // 0: ready at once
  LogDuration lease;           // 0: the queue's default
  LogDuration ttl;             // 0: the queue's; Max(): none
  std::string_view dedup_key;  // empty: none
  uint32_t payload_size_bytes = 0;
  uint64_t payload_digest = 0;
  LogDuration dedup_window = {};  // of this job's key; 0: the queue's; at most kDedupWindowMax
  bool buried = false;            // it begins buried (kByWorker); its delay is remembered only
  std::optional<JobPast> past = std::nullopt;
};

struct LeaseRef {
  JobId job;
  LeaseToken token;
};
using LeaseRefs = absl::InlinedVector<LeaseRef, 1>;

// Jobs get ids in the order given. All of one command are for one queue. Each job is accepted or
// refused on its own (caps, invalid fields).
struct EnqueueCommand {
  std::string_view queue;
  absl::InlinedVector<JobSpec, 1> jobs;
};

// Leases up to `max` jobs, smallest (priority, id) first over all `queues` that are not paused
// and under their reserved cap. None there: kNothingReady.
struct ReserveCommand {
  absl::InlinedVector<std::string_view, 1> queues;
  uint32_t max = 1;
  Holder holder;
  LogDuration lease;  // 0: each job's own
};

// Leases one job by id: ready, delayed or buried, in any queue, paused or not.
struct ReserveJobCommand {
  JobId job;
  Holder holder;
  LogDuration lease;
};

struct DeleteCommand {
  LeaseRefs leases;
};

enum class ReservedJobs : uint8_t { kRefuse = 0, kCancel = 1 };

// Deletes by id without a lease. A reserved job is refused (kReserved) or its lease cancelled.
struct DeleteJobCommand {
  absl::InlinedVector<JobId, 1> jobs;
  ReservedJobs reserved = ReservedJobs::kRefuse;
};

enum class ReleaseMode : uint8_t {
  kReturn = 0,  // no failure: ready after `delay` (0 if none given)
  kFail = 1,    // counts a failure: the retry policy decides, `delay` overrides its backoff
};

struct ReleaseCommand {
  LeaseRefs leases;
  ReleaseMode mode = ReleaseMode::kReturn;
  std::optional<uint32_t> priority;  // none: unchanged
  std::optional<LogDuration> delay;
};

// The lease starts anew at this entry's log time, for `lease` (0: as long as it was granted for).
struct TouchCommand {
  LeaseRefs leases;
  LogDuration lease;
};

struct BuryCommand {
  LeaseRefs leases;
  std::optional<uint32_t> priority;
};

// A grant that could not be delivered: as if it had never been, but for the token.
struct ReturnUndeliveredCommand {
  LeaseRefs leases;
};

enum class KickFrom : uint8_t {
  kBuriedElseDelayed = 0,  // beanstalkd: only buried ones if there are any, else delayed
  kBuried = 1,
  kDelayed = 2,
};

// Makes up to `bound` (capped at kKickMax a command; the outcome's count tells) jobs ready,
// oldest buried or soonest due first.
struct KickCommand {
  std::string_view queue;
  uint32_t bound = 0;
  KickFrom from = KickFrom::kBuriedElseDelayed;
};
inline constexpr uint32_t kKickMax = 1000;

struct KickJobsCommand {
  absl::InlinedVector<JobId, 1> jobs;
};

enum class Existence : uint8_t { kRequire = 0, kCreate = 1 };

// Nothing is handed out of the queue until `duration` has passed (Max(): until resumed).
// Duration 0 resumes.
struct PauseQueueCommand {
  std::string_view queue;
  LogDuration duration;
  Existence existence = Existence::kRequire;
};

// Ends every job in the given states (bit n = JobState n) at once; the jobs are collected later.
// A lease on a purged job is invalid from here on.
struct PurgeQueueCommand {
  std::string_view queue;
  uint8_t states = 0xf;
};

// Creates the queue if need be and sets the options named by `fields` (QueueOptionField bits).
struct PutQueueOptionsCommand {
  std::string_view queue;
  QueueOptions options;
  uint32_t fields = kAllQueueOptionFields;
};

// Purges all states and forgets options and counters.
struct DeleteQueueCommand {
  std::string_view queue;
};

// The holder is gone: its leases end at once, without a failure, timeout or release counted; its
// jobs become ready, in order, as they are collected. A later reserve for it is refused while it
// is among the last kClosedHoldersMax closed ones, which is long after any that was on its way.
struct CloseHolderCommand {
  Holder holder;
};
inline constexpr size_t kClosedHoldersMax = 4096;

// Closes every holder of the node's incarnations up to and including `incarnation`.
// REQUIRES: incarnation < kNeverLost, else kInvalidArgument.
struct NodeLostCommand {
  NodeId node;
  uint64_t incarnation = 0;
};

// Ends what is due by this entry's log time, and collects what purges, deletes and lost holders
// left: at most `max` jobs or entries in all. The outcome's count tells how many; `more` in it
// whether there is more to do at once.
struct ExpireCommand {
  uint32_t max = 1000;
};

struct OpenSessionCommand {
  LogDuration idle_limit = LogDuration::Seconds(60);  // [1 s, 1 h]; ends the session when unused
};
struct CloseSessionCommand {
  SessionId session;
};

// Cluster settings that can change an outcome.
struct Settings {
  uint64_t requests_max = 1'000'000;  // remembered bare request ids in this shard
  uint64_t sessions_max = 10'000;
  uint64_t session_outcomes_max = 4096;  // remembered outcomes a session
  uint64_t queues_max = 10'000'000;
  // How long an empty, unpaused queue without options stays. A queue that is idle when this is
  // made shorter still stays as long as it was to stay before.
  LogDuration idle_queue_linger = LogDuration::Seconds(60);

  auto operator<=>(const Settings&) const = default;
};
struct PutSettingsCommand {
  Settings settings;
};

// A record that whoever drives the machine keeps in it, for all replicas to agree on; what it says
// is opaque. Replaced whole, and only if it is still of the version that the writer knows: else
// kRecordChanged, and nothing happens. The outcome's count is the version there is then.
struct PutClusterRecordCommand {
  uint64_t version = 0;     // 0: there is none
  std::string_view record;  // the same bytes as there are: the version stays
};
inline constexpr size_t kClusterRecordBytesMax = 64 << 10;

using CommandBody =
    std::variant<EnqueueCommand, ReserveCommand, ReserveJobCommand, DeleteCommand, DeleteJobCommand,
                 ReleaseCommand, TouchCommand, BuryCommand, ReturnUndeliveredCommand, KickCommand,
                 KickJobsCommand, PauseQueueCommand, PurgeQueueCommand, PutQueueOptionsCommand,
                 DeleteQueueCommand, CloseHolderCommand, NodeLostCommand, ExpireCommand,
                 OpenSessionCommand, CloseSessionCommand, PutSettingsCommand,
                 PutClusterRecordCommand>;

struct Command {
  RequestIdentity request;
  CommandBody body;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_COMMAND_H_
