// One shard's log as its state machine sees it: propose opaque bytes, say what is applied.
//
// What is committed comes back through StateMachine (replication/node/state_machine.h).
//
// Thread-safety: loop-bound; every call and every callback is on the shard's executor.

#ifndef HOLDFAST_REPLICATION_REPLICATED_LOG_H_
#define HOLDFAST_REPLICATION_REPLICATED_LOG_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "replication/raft/types.h"

namespace holdfast {

// A place in the log. What was proposed at {term, index} is what is committed at `index` iff
// their terms are equal; otherwise it was replaced and will never be committed.
using LogPosition = raft::EntryId;

// How far a state machine has come, as its durable state says: what a log starts from.
struct AppliedState {
  LogPosition position;
  // The participants as of `position` (raft::EncodeConfiguration); "": as of position 0, none.
  std::string configuration;
  // A snapshot ending at `position` was installed, and the log may not have been reset to it.
  bool installing = false;
};

class ReplicatedLog {
 public:
  virtual ~ReplicatedLog() = default;

  // Delivers what is committed after `applied`, and takes part from then on. Call once, first.
  // Errors: DATA_LOSS (the log is damaged, does not reach to `applied`, or begins after it),
  // FAILED_PRECONDITION (it is of a version that this build does not read).
  virtual absl::Status Start(const AppliedState& applied) = 0;

  // Appends `data` (not nullptr) as an entry of kCommands and starts to replicate it. UNAVAILABLE:
  // not the leader; RESOURCE_EXHAUSTED: too much is under way. In both cases nothing was done.
  // Bounds: data <= 80 MiB; the caller bounds what is in flight.
  virtual absl::StatusOr<LogPosition> Propose(std::shared_ptr<const std::string> data) = 0;

  // Calls `done` with an index such that a state machine that has applied it reflects every
  // entry committed before this call; UNAVAILABLE: leadership could not be confirmed.
  virtual void ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) = 0;

  // The state machine has applied everything through `index` that was delivered to it.
  virtual void Applied(LogIndex index) = 0;

  // Everything through `index`, with its AppliedState, is in durable storage of the state
  // machine's own: the log may drop it, less what is kept for others. That hangs on what all shards
  // of the node have written since, so it is to be told again then. REQUIRES: index is applied.
  virtual void Flushed(LogIndex index) = 0;

  // The wall clock that most of the participants agree on, in microseconds since the Unix epoch:
  // the median of a majority's clocks, this replica's included.
  virtual int64_t WallMicros() const = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_REPLICATED_LOG_H_
