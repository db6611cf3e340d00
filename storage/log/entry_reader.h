// ReadLocatedEntries: reads entries whose places are known, and verifies them.

#ifndef HOLDFAST_STORAGE_LOG_ENTRY_READER_H_
#define HOLDFAST_STORAGE_LOG_ENTRY_READER_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "storage/file_system.h"
#include "storage/log/entry_index.h"
#include "storage/log_store.h"

namespace holdfast {

// An entry to read; the file is kept open by it.
struct EntryToRead {
  LocatedEntry entry;
  std::shared_ptr<const File> file;
};

// Appends the entries of `shard` in order. Neighbours in one file are read together. On error
// `entries` is as it was: DATA_LOSS (damaged), or from the disk.
// Thread-safety: thread-safe.
absl::Status ReadLocatedEntries(const std::string& directory, uint64_t salt, ShardId shard,
                                std::span<const EntryToRead> wanted,
                                std::vector<StoredEntry>* entries);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_ENTRY_READER_H_
