// One replica of the small world that is searched: the real core over a log in memory, with its
// writes on their way as data.
//
// A write is durable when CompleteWrite is called for it, oldest first; a crash loses those that
// are not. What is committed is applied at once.
//
// Thread-safety: thread-compatible. Replicas are cloned, never shared while they change.

#ifndef HOLDFAST_TESTS_SEARCH_REPLICA_H_
#define HOLDFAST_TESTS_SEARCH_REPLICA_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "replication/raft/core.h"
#include "replication/raft/log_reader.h"
#include "replication/raft/types.h"

namespace holdfast::search {

class Replica final : public raft::LogReader {
 public:
  // Replica `id` of the voters 1..`voters`, with an empty log.
  Replica(ReplicaId id, uint32_t voters);
  std::unique_ptr<Replica> Clone() const;
  Replica& operator=(const Replica&) = delete;

  raft::Core& core() { return *core_; }
  const raft::Core& core() const { return *core_; }
  // Entry i + 1 at [i], durable or not.
  const std::vector<raft::Entry>& log() const { return log_; }
  const std::vector<raft::Entry>& stored() const { return stored_; }
  Term stored_term() const { return hard_state_.term; }
  bool has_pending_write() const { return !pending_.empty(); }

  // Takes every Ready: what may be sent now is appended to `sent`, what is committed to `applied`.
  void TakeReadys(std::vector<raft::Message>* sent, std::vector<raft::Entry>* applied);
  // The oldest write is durable. REQUIRES: has_pending_write(). TakeReadys comes next.
  void CompleteWrite(std::vector<raft::Message>* sent);
  // Ends, without the writes under way, and starts again.
  void Crash();

  // Two numbers that are equal, for all that a search meets, iff all that matters is equal.
  struct Print {
    uint64_t first = 0;
    uint64_t second = 0;
    auto operator<=>(const Print&) const = default;
  };
  // REQUIRES: no Ready is waiting.
  Print Fingerprint() const;

  // --- LogReader: what is durable.
  LogIndex First() const override { return LogIndex(1); }
  LogIndex Last() const override { return LogIndex(stored_.size()); }
  raft::LogRead TermAt(LogIndex index, Term* term) const override;
  raft::LogRead Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                     std::vector<raft::Entry>* entries) const override;
  raft::LogRead Snapshot(raft::SnapshotDescriptor*) override { return raft::LogRead::kNotYet; }

 private:
  struct PendingWrite {
    std::vector<raft::Entry> entries;
    std::optional<raft::HardState> hard_state;
    std::vector<raft::Message> messages;
    raft::WriteToken token;
  };
  Replica(const Replica&) = default;
  raft::Core::Options Options() const;

  ReplicaId id_;
  uint32_t voters_;
  std::vector<raft::Entry> stored_;
  std::vector<raft::Entry> log_;
  raft::HardState hard_state_;
  std::deque<std::shared_ptr<const PendingWrite>> pending_;
  std::shared_ptr<raft::Core> core_;  // not shared but in the moment of Clone()
};

// Puts entries at their places, which drops what was there and after.
void Overwrite(std::vector<raft::Entry>* log, const std::vector<raft::Entry>& entries);

// The bytes of a message or an entry, for fingerprints.
void AppendMessage(std::string* bytes, const raft::Message& message);
Replica::Print PrintOf(const std::string& bytes);

}  // namespace holdfast::search

#endif  // HOLDFAST_TESTS_SEARCH_REPLICA_H_
