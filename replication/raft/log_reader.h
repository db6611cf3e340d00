// What the core reads of the replica's durable log.
//
// The core keeps in memory only the entries that are not known to be stored; everything older it
// asks for here. Writing is the caller's, by Ready. With WriteMode::kApart that includes what is
// handed out to be applied, soon after it was written: a reader keeps that tail in memory.
//
// Thread-safety: called by the core inside of its own calls only. Ownership: outlives the core.

#ifndef HOLDFAST_REPLICATION_RAFT_LOG_READER_H_
#define HOLDFAST_REPLICATION_RAFT_LOG_READER_H_

#include <cstdint>
#include <vector>

#include "base/types.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

enum class LogRead : uint8_t {
  kOk,
  kCompacted,  // the entry is gone: a snapshot stands for it
  kNotYet,     // it is being fetched: the core goes on without, and tries again when told
               // (Core::LogFetched) or at the next heartbeat
  kAbsent,     // beyond the last entry
};

// Invariant: entries [first, last] are held, and the term of first - 1 is known.
class LogReader {
 public:
  virtual ~LogReader() = default;

  virtual LogIndex First() const = 0;
  virtual LogIndex Last() const = 0;
  // The term of an entry in [first - 1, last]. Must not block; never kNotYet.
  virtual LogRead TermAt(LogIndex index, Term* term) const = 0;
  // Appends to `entries` those of [begin, end), in order, until their data would exceed
  // `bytes_max`, but at least one. REQUIRES: first <= begin < end <= last + 1 (else kCompacted or
  // kAbsent, and nothing is appended).
  virtual LogRead Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                       std::vector<Entry>* entries) const = 0;
  // A snapshot that stands for a prefix at least up to first - 1, to send to a replica that is too
  // far behind. kNotYet: one is being made.
  virtual LogRead Snapshot(SnapshotDescriptor* snapshot) = 0;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_LOG_READER_H_
