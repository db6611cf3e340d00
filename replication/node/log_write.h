// What one replica writes into its log at once.

#ifndef HOLDFAST_REPLICATION_NODE_LOG_WRITE_H_
#define HOLDFAST_REPLICATION_NODE_LOG_WRITE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "replication/raft/types.h"
#include "storage/log_store.h"

namespace holdfast {

// Records for a log, in the order of its members. Thread-safety: a value.
struct LogWrite {
  // All entries are dropped; the log goes on after the snapshot that ends here.
  std::optional<raft::EntryId> reset = std::nullopt;
  std::vector<raft::Entry> entries = {};
  std::optional<raft::HardState> hard_state = std::nullopt;
  // Entries through this one are not needed any more.
  std::optional<raft::EntryId> compact = std::nullopt;
  // kNow: it counts only when it is on stable storage.
  SyncMode sync = SyncMode::kLater;

  bool empty() const {
    return !reset.has_value() && entries.empty() && !hard_state.has_value() && !compact.has_value();
  }
  bool only_frees_space() const {
    return compact.has_value() && !reset.has_value() && entries.empty() && !hard_state.has_value();
  }
  uint64_t size_bytes() const {
    uint64_t size = 0;
    for (const raft::Entry& entry : entries) size += entry.size_bytes();
    return size;
  }
  // The payloads added are views of `entries`.
  void AddTo(ShardId shard, LogBatch* batch) const;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_LOG_WRITE_H_
