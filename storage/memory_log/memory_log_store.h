// MemoryLogStore: the LogStore without files, for a server that keeps nothing and for tests.

#ifndef HOLDFAST_STORAGE_MEMORY_LOG_MEMORY_LOG_STORE_H_
#define HOLDFAST_STORAGE_MEMORY_LOG_MEMORY_LOG_STORE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/log_store.h"

namespace holdfast {

// See LogStore for the contract, less the durability: what is written lives as long as the store,
// and Sync and Seal do nothing.
//
// Bounds: payloads of the entries held, and 56 bytes each.
class MemoryLogStore final : public LogStore {
 public:
  absl::Status Write(const LogBatch& batch, SyncMode sync) override;
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Seal() override { return absl::OkStatus(); }
  absl::Status ReadEntries(ShardId shard, LogIndex begin, LogIndex end, uint64_t bytes_max,
                           std::vector<StoredEntry>* entries) const override;
  absl::StatusOr<Term> TermAt(ShardId shard, LogIndex index) const override;
  ShardLog Describe(ShardId shard) const override;
  LogUsage Usage() const override;
  LogIndex LastBehind(ShardId shard, uint64_t bytes) const override;

 private:
  struct Entry {
    Term term;
    uint8_t type = 0;
    std::string payload;
    uint64_t end = 0;  // in written_bytes_
  };
  struct Shard {
    HardState hard_state;
    LogIndex first = LogIndex(1);
    Term compacted_term;
    std::deque<Entry> entries;
    uint64_t retained_bytes = 0;

    LogIndex Last() const { return LogIndex(first.value() + entries.size() - 1); }
    const Entry& At(LogIndex index) const { return entries[index.value() - first.value()]; }
  };

  void Append(const LogBatch& batch, const LogRecord& record, Shard* shard)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<ShardId, Shard> shards_ ABSL_GUARDED_BY(mutex_);
  uint64_t written_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of entries, held or not
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_MEMORY_LOG_MEMORY_LOG_STORE_H_
