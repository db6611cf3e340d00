// The job record and the words it is made of: what the machine knows of a job.
//
// The machine never sees a body: body, attributes and dedup key travel as an opaque *payload*
// under the job's id; the record carries only the payload's length and digest.

#ifndef HOLDFAST_QUEUE_JOB_H_
#define HOLDFAST_QUEUE_JOB_H_

#include <cstdint>

#include "base/types.h"

namespace holdfast {

enum class JobState : uint8_t {
  kReady = 0,     // may be handed out; ordered by (priority, id)
  kDelayed = 1,   // becomes ready at `due`; ordered by (due, id)
  kReserved = 2,  // leased until `due`; ordered by (due, id)
  kBuried = 3,    // set aside at `due` until kicked or deleted; ordered by (due, id)
};
inline constexpr int kJobStates = 4;

enum class BuriedReason : uint8_t {
  kNone = 0,
  kByWorker = 1,           // a worker said bury
  kAttemptsExhausted = 2,  // the queue's retry policy ran out
  kExpired = 3,            // its ttl ended and the queue keeps expired jobs
};

// Who holds a lease on behalf of whom: one connection or stream of one run of a node.
// Never reused. node 0: no holder (a unary reserve; the lease ends by settling or expiry only).
struct Holder {
  NodeId node;
  uint64_t incarnation = 0;  // rises with each start of the node, and when it was judged lost
  uint64_t n = 0;            // rises with each holder of an incarnation

  bool none() const { return node == NodeId(); }
  auto operator<=>(const Holder&) const = default;
};
// Incarnations from this one on are never lost: for holders whose leases outlive their node.
inline constexpr uint64_t kNeverLost = uint64_t{1} << 62;
// A node, and which incarnation of it.
struct NodeRun {
  NodeId node;
  uint64_t incarnation = 0;
  auto operator<=>(const NodeRun&) const = default;
};

// Plain data, trivially copyable; its stored form is server/codec/row_codec.h.
struct Job {
  JobId id;
  QueueId queue;
  JobState state = JobState::kReady;
  BuriedReason buried_reason = BuriedReason::kNone;
  uint32_t priority = 0;
  // The purge epoch of its state's set when it entered the set: an older epoch than the
  // queue's is a job that a purge has ended and that only waits to be collected.
  uint32_t epoch = 0;
  LogTime due;            // meaning by state, above; unset when ready
  LogTime created;        // log time of its enqueue
  LogTime expires;        // end of its ttl; Never() without one
  LogDuration lease;      // how long a reserve leases it unless the reserve says otherwise
  LogDuration delay;      // the delay last asked for
  LeaseToken token;       // hand-outs, never reset
  uint32_t attempts = 0;  // hand-outs since enqueue or the last kick out of buried
  uint32_t failures = 0;  // failed releases and lease expiries since then
  // beanstalkd's five counters.
  uint32_t reserves = 0;
  uint32_t timeouts = 0;
  uint32_t releases = 0;
  uint32_t buries = 0;
  uint32_t kicks = 0;
  uint32_t payload_size_bytes = 0;
  uint64_t payload_digest = 0;
  Holder holder;              // of the current lease
  LogDuration current_lease;  // length of the current lease; what a touch renews
};

// A place in one of the machine's ordered sets: sorts by (key, id).
struct SetKey {
  uint64_t key = 0;  // priority, or a LogTime's micros, by the kind of set
  uint64_t id = 0;   // the job's id

  auto operator<=>(const SetKey&) const = default;
  static constexpr SetKey Min() { return {}; }
  static constexpr SetKey Max() { return {UINT64_MAX, UINT64_MAX}; }
};

enum class SetKind : uint8_t {
  kReady = 0,  // the four states, same numbers as JobState
  kDelayed = 1,
  kReserved = 2,
  kBuried = 3,
  kTtl = 4,    // jobs that are ready or delayed and have a ttl, by (expires, id)
  kHeld = 5,   // jobs reserved by one holder, by (0, id)
  kDedup = 6,  // dedup entries of one queue, by (expires, id of the job that made it)
};

// Names one ordered set. Which fields count depends on the kind; the others are zero.
struct SetRef {
  SetKind kind = SetKind::kReady;
  QueueId queue;       // every kind but kHeld
  uint32_t epoch = 0;  // the four states and kTtl (one epoch number per queue and kind)
  Holder holder;       // kHeld

  auto operator<=>(const SetRef&) const = default;
};

// Everything that a job's places in the ordered sets follow from.
struct JobPlaces {
  QueueId queue;
  JobState state = JobState::kReady;
  uint32_t epoch = 0;
  SetKey state_key;
  LogTime expires;  // of the kTtl place; Never(): not in that set
  Holder holder;    // of the kHeld place; none(): not in such a set

  auto operator<=>(const JobPlaces&) const = default;
};
JobPlaces PlacesOf(const Job& job);

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_JOB_H_
