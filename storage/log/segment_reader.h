// SegmentReader: verifies and walks the records of one segment file, for recovery.

#ifndef HOLDFAST_STORAGE_LOG_SEGMENT_READER_H_
#define HOLDFAST_STORAGE_LOG_SEGMENT_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/file_system.h"
#include "storage/log/record_format.h"

namespace holdfast {

// A file read in large pieces. Bounds: one buffer. Thread-safety: thread-compatible.
class BufferedReader {
 public:
  explicit BufferedReader(const File* file) : file_(file) {}

  // `size` bytes at `offset`, valid until the next call; fewer only at the end of the file.
  // REQUIRES: size <= kBytesMax.
  absl::StatusOr<std::string_view> Read(uint64_t offset, size_t size);

  static constexpr size_t kBytesMax = 1 << 20;

 private:
  const File* const file_;
  std::vector<char> buffer_;
  uint64_t begin_ = 0;  // of the buffer's bytes in the file
  size_t size_ = 0;
};

// What is at one place.
struct RecordFound {
  bool valid = false;
  std::string problem;  // why not
  RecordHeader header;  // if valid
  std::string payload;  // if valid and not an entry
};

// A record that proves that an earlier place had been synced.
struct SyncProof {
  uint64_t offset = 0;
  uint64_t synced_bytes = 0;
};

// Thread-safety: thread-compatible. The file must outlive it.
class SegmentReader {
 public:
  SegmentReader(const File* file, const SegmentHeader& header);

  // Reads and verifies the header of a file. DATA_LOSS or FAILED_PRECONDITION without the place.
  static absl::StatusOr<SegmentHeader> ReadHeader(const File& file);

  // The record at `offset`, which must end at or before `limit`. An error is one of the disk.
  absl::StatusOr<RecordFound> ReadRecord(uint64_t offset, uint64_t limit);

  // Looks behind `damaged` for a record of this segment that was written when more than `damaged`
  // bytes had been synced.
  absl::StatusOr<std::optional<SyncProof>> FindProof(uint64_t damaged, uint64_t limit);

 private:
  absl::Status ReadPayload(uint64_t offset, RecordFound* found);

  BufferedReader reader_;
  const RecordSeed seed_;
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_SEGMENT_READER_H_
