// What waits to go into one shard's log, and what is on its way: builds entries and keeps, for
// each command in them, who is to be answered.
//
//   Submit ──▶ pending ─┐
//   Try (reserves) ─────┼─▶ BuildEntry ─▶ [in flight] ─▶ TakeSlots(position) ─▶ answers
//   internal commands ──┘        │
//                                └─ a waiting reserve joins the entry that enqueues to its queue
//
// An entry is everything that waits at the moment, up to a bound on its bytes; nothing waits on
// a timer to fill it.
//
// Bounds: what is pending is bounded by Admission, waiters by waiters_max.
// Thread-safety: loop-bound with its shard. Pure but for the waiters' callbacks it carries.

#ifndef HOLDFAST_SERVER_ENGINE_PROPOSER_H_
#define HOLDFAST_SERVER_ENGINE_PROPOSER_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/types.h"
#include "queue/command.h"
#include "replication/replicated_log.h"
#include "server/codec/entry_codec.h"
#include "server/engine/admission.h"
#include "server/engine/engine.h"
#include "server/engine/waiter_table.h"

namespace holdfast {

// One encoded command and who waits for its outcome.
struct Submission {
  std::string command;  // server/codec/command_codec
  // Of an enqueue: its queue and how many jobs it brings, for the reserves that wait there.
  std::string queue;
  uint32_t jobs = 0;
  ExecuteDone done;  // may be empty: nobody waits
  Admission::Permit permit;
  // Another node's: if it is certainly not executed it is answered so, and not given back.
  bool from_peer = false;
};

class Proposer {
 public:
  struct Options {
    size_t entry_bytes_max = 1 << 20;  // but at least one command
    size_t entry_commands_max = 16384;
    size_t entries_in_flight_max = 4;
  };
  // One command of an entry: the submission's callback, or the waiter, or neither (internal).
  struct Slot {
    ExecuteDone done;
    Admission::Permit permit;
    WaiterPtr waiter;
    bool from_peer = false;
  };
  // An entry that was proposed and is not applied.
  struct InFlight {
    LogPosition position;
    EntryBuffer bytes;
    std::vector<Slot> slots;  // one a command
  };

  Proposer(const Options& options, WaiterTable* parked) : options_(options), parked_(parked) {}

  void Submit(Submission submission) { pending_.push_back(std::move(submission)); }
  // Nobody waits for it; it goes before what is pending.
  void SubmitInternal(const Command& command);
  // The reserve goes into the next entry.
  void Try(WaiterPtr waiter) { trying_.push_back(std::move(waiter)); }

  bool HasWork() const { return !pending_.empty() || !trying_.empty() || !internal_.empty(); }
  bool HasInFlight() const { return !in_flight_.empty(); }
  bool HasRoom() const { return in_flight_.size() < options_.entries_in_flight_max; }
  // A reserve that is in an entry or about to be; nullptr if there is none.
  Waiter* FindTrying(ReserveId id);

  struct Entry {
    EntryBuffer bytes;
    std::vector<Slot> slots;
  };
  // REQUIRES: HasWork().
  Entry BuildEntry(LogTime now);
  void Proposed(LogPosition position, Entry entry);
  // The entry built last was refused: what nobody waits for in it goes into the next one.
  void Refused();
  // Who waits for the entry at `position`, which is being applied; empty for one that was not
  // proposed here. Entries of ours that are thereby certain never to be committed go to `lost`:
  // what it replaced, and what comes after it of earlier terms.
  std::vector<Slot> TakeSlots(LogPosition position, std::vector<InFlight>* lost);
  // What is in flight after `committed`.
  std::vector<InFlight> TakeInFlight(LogIndex committed);
  // What is not in flight. What nobody waits for is dropped: the next leader makes its own.
  struct Pending {
    std::deque<Submission> submissions;
    std::deque<WaiterPtr> waiters;
  };
  Pending TakePending();

 private:
  bool IsFull(size_t next_bytes) const;
  void AddReserve(WaiterPtr waiter);
  void AddParked(const std::string& queue, uint32_t jobs);

  const Options options_;
  WaiterTable* const parked_;
  std::deque<std::string> internal_;
  std::deque<Submission> pending_;
  std::deque<WaiterPtr> trying_;
  std::deque<InFlight> in_flight_;

  // Of the entry being built.
  std::vector<std::string> commands_;
  std::vector<Slot> slots_;
  size_t bytes_ = 0;
  size_t internal_count_ = 0;  // of commands_, the first
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_PROPOSER_H_
