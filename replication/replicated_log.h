// One shard's log as its state machine sees it: propose opaque bytes, be told what is committed.
//
// LocalLog (replication/node) is the log of a cluster of one: durable on the only voter is
// committed. A Raft group implements the same interface.
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
#include "absl/types/span.h"
#include "base/types.h"

namespace holdfast {

// Stored in the log, so the numbers are for good.
enum class EntryType : uint8_t {
  kNoOp = 0,           // the first entry of a term; no data
  kCommands = 1,       // a batch for the state machine; server/codec/entry_codec
  kConfiguration = 2,  // the replicas of the shard
};

struct CommittedEntry {
  Term term;
  LogIndex index;
  EntryType type = EntryType::kNoOp;
  std::shared_ptr<const std::string> data;  // never nullptr; empty for kNoOp
};

// A place in the log. An entry proposed as {term, index} is the one committed at `index` iff
// their terms are equal; otherwise it was replaced and will never be committed.
struct LogPosition {
  Term term;
  LogIndex index;
};

class LogObserver {
 public:
  virtual ~LogObserver() = default;
  // Consecutive entries, in order, each exactly once, from the index given at start on.
  virtual void OnCommitted(absl::Span<const CommittedEntry> entries) = 0;
  // This replica may propose from now on: every entry of earlier terms has been delivered.
  virtual void OnLeaderStart(Term term) = 0;
  // It may not any more. What it proposed and was not told of may or may not be committed.
  virtual void OnLeaderStop(const absl::Status& why) = 0;
};

class ReplicatedLog {
 public:
  virtual ~ReplicatedLog() = default;

  // Delivers what is committed after `applied`, the point that the state machine has in durable
  // storage, and takes part from then on. Call once, first. Errors: DATA_LOSS (the log is
  // damaged, or does not reach to `applied`), UNAVAILABLE (the disk).
  virtual absl::Status Start(LogPosition applied) = 0;

  // Appends `data` and starts to replicate it. UNAVAILABLE: not the leader; nothing was done.
  // Bounds: data <= 80 MiB; the caller bounds what is in flight.
  virtual absl::StatusOr<LogPosition> Propose(EntryType type,
                                              std::shared_ptr<const std::string> data) = 0;

  // Calls `done` with an index such that a state machine that has applied it reflects every
  // entry committed before this call; UNAVAILABLE: leadership could not be confirmed.
  virtual void ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) = 0;

  // The state machine has entries up to and including `index` in durable storage of its own:
  // the log may drop them.
  virtual void Compact(LogIndex index) = 0;

  // Bytes of entries kept since the last Compact().
  virtual uint64_t RetainedBytes() const = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_REPLICATED_LOG_H_
