// Outcomes: what applying a command answered. A closed set of codes, no text; each frontend maps
// codes by one table (server/answer/outcome_table).

#ifndef HOLDFAST_QUEUE_OUTCOME_H_
#define HOLDFAST_QUEUE_OUTCOME_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/types.h"
#include "queue/job.h"

namespace holdfast {

// Numbers are stored with remembered requests, so they are for good.
enum class OutcomeCode : uint8_t {
  kOk = 0,
  kNothingReady = 1,  // reserve: no job to hand out now
  kJobNotFound = 2,   // no such job: never was, deleted, purged
  kQueueNotFound = 3,
  kLeaseInvalid = 4,       // the job exists, but this token is not its valid lease
  kReserved = 5,           // not possible while the job is reserved
  kNotKickable = 6,        // the job is neither buried nor delayed
  kQueueFullJobs = 7,      // the queue's max_jobs
  kQueueFullBytes = 8,     // the queue's max_bytes
  kReservedCap = 9,        // reserve-by-id: the queue's max_reserved
  kHolderGone = 10,        // a reserve for a closed holder or an old incarnation
  kSessionExpired = 11,    // unknown session: not executed
  kOutcomeForgotten = 12,  // session request at or below its floor: not executed again
  kRequestTableFull = 13,  // no room to remember the request id: not executed
  kSessionTableFull = 14,
  kTooManyQueues = 15,
  kInvalidArgument = 16,  // out of a bound that the frontends check first
  kPartial = 17,          // items carry codes of their own and differ
  kRecordChanged = 18,    // the cluster's record is of another version: nothing was done
};

// The result for one job, lease or id of a command, in the order given.
struct ItemOutcome {
  OutcomeCode code = OutcomeCode::kOk;
  JobState state = JobState::kReady;  // after the command, where the job still exists
  bool deduplicated = false;          // enqueue: `job` is the earlier one with the same dedup key
  JobId job;
  LogTime due;  // touch: the new lease expiry; enqueue and release with a delay: when ready
};

// One leased job.
struct Grant {
  Job job;            // as it is after the reserve; job.token and job.due are the lease
  std::string queue;  // name
};

struct Outcome {
  OutcomeCode code = OutcomeCode::kOk;
  bool more = false;      // expire: more is due or to be collected at once
  bool replayed = false;  // a remembered outcome of an earlier, equal request
  uint64_t count = 0;     // kick: jobs moved; purge and delete queue: jobs ended; expire: done;
                          // put cluster record: its version
  SessionId session;      // open session
  absl::InlinedVector<ItemOutcome, 1> items;
  std::vector<Grant> grants;  // reserve, reserve job
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_OUTCOME_H_
