// The machine's durable records other than jobs. Plain data; stored form: server/codec/row_codec.

#ifndef HOLDFAST_QUEUE_RECORDS_H_
#define HOLDFAST_QUEUE_RECORDS_H_

#include <cstdint>
#include <string>
#include <variant>

#include "base/types.h"
#include "queue/command.h"
#include "queue/job.h"
#include "queue/outcome.h"
#include "queue/queue_options.h"

namespace holdfast {

struct QueueRecord {
  QueueId id;
  std::string name;
  QueueOptions options;
  bool has_options = false;  // options were put: the queue stays although empty
  LogTime created;
  LogTime paused_until;  // 0: not paused; Never(): until resumed
  LogDuration pause;     // as asked for
  LogTime idle_since;    // when it became empty; unset while it holds jobs
  // Lower bound of the earliest due, expiry or dedup end in any of its sets; Never() if none.
  LogTime deadline = LogTime::Never();
  uint32_t epochs[5] = {};           // by SetKind kReady..kTtl; a purge raises them
  uint64_t counts[kJobStates] = {};  // live jobs by state
  uint64_t urgent = 0;               // ready with priority < 1024
  uint64_t ttl_count = 0;            // members of kTtl
  uint64_t dedup_count = 0;          // entries of kDedup
  uint64_t bytes = 0;                // payload bytes of live jobs
  uint64_t hash_by_state[kJobStates] = {};
  // Totals since the queue came to be.
  uint64_t total_enqueued = 0;
  uint64_t total_deleted = 0;
  uint64_t total_timeouts = 0;
  uint64_t total_pauses = 0;
};

struct DedupRecord {
  QueueId queue;
  std::string key;
  JobId job;
  LogTime expires;
};
struct DedupRef {
  QueueId queue;
  std::string key;
};

// Small rows: one per thing, all in memory.
struct GlobalsKey {};
struct HolderKey {
  Holder holder;
};
struct NodeFloorKey {
  NodeId node;
};
// In the order in which they end: what is new is stored behind all others, and what has ended is a
// run at the front.
struct RequestKey {
  LogTime expires;
  uint64_t digest_high = 0;
  uint64_t digest_low = 0;

  auto operator<=>(const RequestKey&) const = default;
};
struct SessionKey {
  SessionId session;
};
struct SessionOutcomeKey {
  SessionId session;
  uint64_t sequence = 0;
};
// A set whose members all ended at once and wait to be collected.
struct GraveKey {
  SetRef set;
};
struct ClusterRecordKey {};
using SmallRowKey = std::variant<GlobalsKey, HolderKey, NodeFloorKey, RequestKey, SessionKey,
                                 SessionOutcomeKey, GraveKey, ClusterRecordKey>;

struct GlobalsRow {
  uint32_t machine_version = 1;
  uint64_t next_sequence = 1;
  uint64_t next_queue = 1;
  uint64_t next_session = 1;
  LogTime now;
  Settings settings;
};
struct HolderRow {
  uint64_t closed = 0;  // 0: open; else its turn among the closed ones, later ones being larger
  uint64_t held = 0;    // members of its kHeld set
};
struct NodeFloorRow {
  uint64_t lost_incarnation = 0;  // holders of this and earlier incarnations are closed
};
struct RequestRow {
  Outcome outcome;
};
struct SessionRow {
  LogDuration idle_limit;
  LogTime expires;
  uint64_t floor = 0;
};
struct SessionOutcomeRow {
  Outcome outcome;
};
struct GraveRow {
  uint64_t members = 0;  // left to collect
};
struct ClusterRecordRow {
  uint64_t version = 0;  // how often it was changed
  std::string record;
};
using SmallRow = std::variant<GlobalsRow, HolderRow, NodeFloorRow, RequestRow, SessionRow,
                              SessionOutcomeRow, GraveRow, ClusterRecordRow>;

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_RECORDS_H_
