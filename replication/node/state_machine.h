// What a Group keeps replicated: it applies committed entries, and its state can be copied whole.
//
// Pinning, reading and staging a state (PinnedState, StagedState):
//
//   sender    Pin ─▶ PinnedState::Read(cursor) … ─chunks─┐
//   receiver                     Stage(descriptor) ─▶ StagedState::Add(chunk) … ─▶ Install
//
// Thread-safety: a StateMachine is loop-bound, calls and callbacks; a PinnedState is thread-safe;
// a StagedState is used by one thread at a time, and both may block: never on a loop.

#ifndef HOLDFAST_REPLICATION_NODE_STATE_MACHINE_H_
#define HOLDFAST_REPLICATION_NODE_STATE_MACHINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/types.h"
#include "replication/raft/types.h"
#include "replication/replicated_log.h"

namespace holdfast {

// A piece of a state on its way to another replica. Opaque to everyone but the state machine.
struct StateChunk {
  std::string data;
  std::string next;  // the cursor of the piece after it
  bool last = false;
};

// A durable state as of `applied().position`, unchanged for as long as this object lives. It keeps
// deleted data on disk meanwhile, so holders have a time limit.
class PinnedState {
 public:
  virtual ~PinnedState() = default;
  virtual const AppliedState& applied() const = 0;
  // The piece at `cursor` ("": the first), of about `bytes_max` bytes. The same cursor gives the
  // same state's data again, so a lost piece can be asked for again. Errors: of the storage.
  virtual absl::StatusOr<StateChunk> Read(std::string_view cursor, uint64_t bytes_max) const = 0;
};

// A state that is being received, beside the present one. Destroying it drops what was received,
// unless it was installed.
class StagedState {
 public:
  virtual ~StagedState() = default;
  // The next piece, in the order in which PinnedState gave them. Errors: DATA_LOSS (not what
  // Read makes), RESOURCE_EXHAUSTED and others of the storage; the staging must then be given up.
  virtual absl::Status Add(const StateChunk& chunk) = 0;
  // The cursor of the piece after those added ("": the first): where a sender of the same state
  // goes on. Meaningless once complete().
  virtual std::string next() const = 0;
  // All pieces have been added.
  virtual bool complete() const = 0;
};

class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // These were appended to this replica's log and will probably be committed: what applying them
  // takes may be fetched meanwhile. A hint; an entry may come again with another term, or not at
  // all.
  virtual void OnAppended(absl::Span<const raft::Entry> entries) = 0;

  // Consecutive entries, committed and durable in this replica's own log, in order, each exactly
  // once, from after the state that the log was started from. Is answered, at once or later, by
  // ReplicatedLog::Applied. In an entry of kConfiguration `data` is the configuration from this
  // entry on, to be kept as AppliedState::configuration.
  virtual void OnCommitted(absl::Span<const raft::Entry> entries) = 0;

  // This replica may propose from now on: every entry of earlier terms is applied.
  virtual void OnLeaderStart(Term term) = 0;
  // It may not any more. UNAVAILABLE: what it proposed and was not told of may be committed yet;
  // the next entry of a later term that is delivered decides. RESOURCE_EXHAUSTED: it was not
  // written (a full disk), and is not committed. UNKNOWN: this replica has ended, and nothing
  // will be told.
  virtual void OnLeaderStop(const absl::Status& why) = 0;

  // Calls `done` later with the last durable state. Errors: UNAVAILABLE: there is none yet.
  virtual void Pin(
      absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const PinnedState>>) &&> done) = 0;

  // A place to receive the state that `snapshot` stands for.
  virtual absl::StatusOr<std::shared_ptr<StagedState>> Stage(
      const raft::SnapshotDescriptor& snapshot) = 0;

  // Replaces the state by `staged`, received whole, and calls `done` later, when it is durable
  // with {`snapshot`'s position, its configuration, installing}. Entries delivered before are not
  // applied any more; the next delivered one follows the snapshot. The mark `installing` is gone
  // with the first flush after it, which may not begin before `done` has returned.
  // An error is final: the replica ends.
  virtual void Install(const raft::SnapshotDescriptor& snapshot,
                       std::shared_ptr<StagedState> staged,
                       absl::AnyInvocable<void(const absl::Status&) &&> done) = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_STATE_MACHINE_H_
