// Applies committed entries to one shard's machine, in order, and fetches the cold rows that they
// need.
//
//   Prefetch(entry): rows that it will probably need ─▶ Load
//   Push(entry) ─▶ [entries] ─▶ for each command: Needs? ──yes──▶ fetch off the loop ─▶ Load ─┐
//                                    │ no                                                     │
//                                    ▼        ◀───────────────────────────────────────────────┘
//                                  Apply ─▶ … ─▶ drain changes into the overlay ─▶ on_applied
//
// An entry is applied whole before the next one begins; while rows are awaited, only this shard
// waits. Changes are drained into the overlay at the end of each entry, and within one before
// rows are loaded: so the overlay is as of applied() unless mid_entry().
//
// Thread-safety: loop-bound to the executor. Ownership: all pointers outlive it; tasks that it
// has posted must have run, or been dropped, before it is destroyed.

#ifndef HOLDFAST_SERVER_ENGINE_APPLIER_H_
#define HOLDFAST_SERVER_ENGINE_APPLIER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "base/executor.h"
#include "queue/machine.h"
#include "replication/raft/types.h"
#include "replication/replicated_log.h"
#include "server/codec/entry_codec.h"
#include "server/codec/payload_ref.h"
#include "server/codec/row_codec.h"
#include "server/engine/overlay/cold_reader.h"
#include "server/engine/overlay/dirty_overlay.h"
#include "storage/state_store.h"

namespace holdfast {

class Applier {
 public:
  struct Parts {
    Executor* executor = nullptr;
    Executor* reader = nullptr;  // where blocking reads run
    Machine* machine = nullptr;
    DirtyOverlay* overlay = nullptr;
    const StateStore* store = nullptr;
    ShardId shard;
  };
  // What came of an entry: one outcome a command. Only for entries of EntryType::kCommands.
  struct Applied {
    LogPosition position;
    std::vector<Outcome> outcomes;
    // Of all grants of all outcomes, in order, as of the grant: a later command of the same entry
    // may have ended the job. Empty for payloads that are in the store.
    std::vector<PayloadRef> payloads;
  };
  using OnApplied = std::function<void(Applied)>;
  // An entry or a stored row cannot be read: nothing is applied any more.
  using OnFatal = std::function<void(const absl::Status&)>;

  // `applied`: what the machine was restored to.
  Applier(Parts parts, const AppliedRow& applied, OnApplied on_applied, OnFatal on_fatal);

  void Push(const raft::Entry& entry);
  // Begins to fetch the rows that `entry`, which may be pushed later, needs as things are now. Only
  // a hint: an entry that cannot be read is told when it is pushed.
  void Prefetch(const raft::Entry& entry);

  // Drops what was pushed and is not applied; what is pushed until Restart too.
  void Stop();
  // Goes on after `applied`, which the machine was restored to. REQUIRES: stopped.
  void Restart(AppliedRow applied);

  // The last entry applied, and the machine's hash there.
  const AppliedRow& applied() const { return applied_; }
  // Log time of the last entry applied.
  LogTime log_time() const { return parts_.machine->now(); }
  // Moves what has changed into the overlay. Before every FilterLoaded.
  void Drain();
  // A part of an entry is applied, and rows for the rest are awaited.
  bool mid_entry() const { return current_.has_value(); }
  // Entries that wait to be applied.
  size_t backlog() const { return entries_.size(); }

  // Fetches cold tails that the machine wants ahead of need, if nothing else is being fetched.
  void Refill();
  // The store shows what was frozen before; fetches under way start again.
  void SnapshotChanged();
  std::shared_ptr<const StateSnapshot> snapshot() const { return snapshot_; }

 private:
  struct Current {
    raft::Entry entry;
    EntryReader reader;
    DecodedCommand command;
    bool decoded = false;  // `command` is read and not yet applied
    std::vector<Outcome> outcomes;
    std::vector<PayloadRef> granted;
    struct Payload {
      JobId job;
      std::string_view bytes;
    };
    std::vector<Payload> payloads;  // enqueued since the last Drain, by rising id
  };
  enum class Purpose : uint8_t { kCommand, kRefill, kPrefetch };

  void Run();
  absl::Status Begin();
  // Applies commands of the current entry; false if rows are awaited.
  absl::StatusOr<bool> ApplyCommands();
  void ApplyOne();
  PayloadRef PayloadInMemory(JobId job) const;
  void Finish();
  void Fetch(Needs needs, Purpose purpose);
  // `run`: the one in which the fetch began.
  void Fetched(absl::StatusOr<Loaded> loaded, uint64_t run, uint64_t releases, Needs needs,
               Purpose purpose);
  void Fail(const absl::Status& status);

  Parts parts_;
  const OnApplied on_applied_;
  const OnFatal on_fatal_;
  AppliedRow applied_;
  std::shared_ptr<const StateSnapshot> snapshot_;
  std::deque<raft::Entry> entries_;
  std::optional<Current> current_;
  bool awaiting_ = false;   // rows for the current command
  bool refilling_ = false;  // rows ahead of need
  size_t prefetching_ = 0;  // fetches for entries that are not pushed yet
  uint64_t run_ = 0;  // how often it was stopped: what was fetched for an earlier run is dropped
  bool stopped_ = false;
  bool failed_ = false;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_APPLIER_H_
