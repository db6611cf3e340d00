// The StateStore on RocksDB: what a node keeps its queues in.
//
// A flush writes its rows as sorted table files, syncs them, and adds them to the database by one
// synced record of the MANIFEST: all tables or nothing, no memtable, no log of RocksDB's. Why:
// docs/adr/0004-state-store-flush.md. Bytes on disk: FORMAT.md in this folder.
//
// Bounds: about block_cache_bytes of memory, and some tens of kilobytes for each open file.

#ifndef HOLDFAST_STORAGE_ROCKSDB_ROCKSDB_STATE_STORE_H_
#define HOLDFAST_STORAGE_ROCKSDB_ROCKSDB_STATE_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "storage/state_store.h"

namespace rocksdb {
class Env;
}

namespace holdfast {

struct RocksDbStateStoreOptions {
  // Created if it is missing; its parent must exist.
  std::string directory;
  uint64_t block_cache_bytes = uint64_t{64} << 20;
  int open_files_max = 512;
  // For tests: where RocksDB does its I/O; not owned; null for the real file system.
  rocksdb::Env* env = nullptr;
};

// Opens the store as its last completed flush left it, or creates an empty one. Reads the
// manifest only, so it takes milliseconds whatever the number of rows.
//
// Keys from 80 00 00 00 on are the store's own: a batch must not have them, and no scan shows
// them.
//
// Errors: kDataLoss (damaged or missing files; the message names the file),
// kFailedPrecondition (another format version, or another process has it open), I/O errors.
absl::StatusOr<std::unique_ptr<StateStore>> OpenRocksDbStateStore(
    const RocksDbStateStoreOptions& options);

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_ROCKSDB_STATE_STORE_H_
