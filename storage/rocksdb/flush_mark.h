// FlushMark: a small file of our own beside RocksDB's that remembers the last completed flush.
//
// Why: RocksDB takes a damaged end of its MANIFEST for a torn write and opens as of an older
// flush without a word. The number in this file, synced after each flush and before the flush
// returns, is the least that the opened store must have. It also holds the format version, and
// tells a store that lost its RocksDB files from a new one.
//
// Two slots are written in turn, so that a torn write never harms the last good one.
// Layout: see FORMAT.md in this folder.
//
// Thread-safety: thread-compatible. Ownership: owns its file descriptor.

#ifndef HOLDFAST_STORAGE_ROCKSDB_FLUSH_MARK_H_
#define HOLDFAST_STORAGE_ROCKSDB_FLUSH_MARK_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast {

class FlushMark {
 public:
  static constexpr uint32_t kFormatVersion = 1;

  // Opens the mark of the store in `directory`, creating it (number 0, synced, with its directory
  // entry) if neither it nor a RocksDB database is there.
  // Errors: kDataLoss (no slot is whole, or there is a database without a mark),
  // kFailedPrecondition (another format version), or an I/O error.
  static absl::StatusOr<std::unique_ptr<FlushMark>> Open(const std::string& directory);

  FlushMark(const FlushMark&) = delete;
  FlushMark& operator=(const FlushMark&) = delete;
  ~FlushMark();

  // The number of the last flush known to be complete; 0 before the first.
  uint64_t flush_number() const { return flush_number_; }

  // Remembers `flush_number` on stable storage. REQUIRES: it is larger than flush_number().
  absl::Status Write(uint64_t flush_number);

 private:
  FlushMark(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  absl::Status Read();

  const int fd_;
  const std::string path_;
  uint64_t flush_number_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_ROCKSDB_FLUSH_MARK_H_
