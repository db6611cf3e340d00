// SegmentWriter: appends records to one open segment file.

#ifndef HOLDFAST_STORAGE_LOG_SEGMENT_WRITER_H_
#define HOLDFAST_STORAGE_LOG_SEGMENT_WRITER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/file_system.h"
#include "storage/log/record_format.h"

namespace holdfast {

// Records are gathered (headers and small payloads copied, large payloads referenced) and written
// by one vectored write per Flush, more if they are many.
//
// Invariants: (1) synced_bytes <= written <= end; (2) every record says how much was synced when
// it was added; (3) room for one seal is always left.
// Bounds: 64 KiB of its own memory and kPiecesMax views, whatever is written.
// Thread-safety: thread-compatible. Ownership: shares the file with readers of the segment.
class SegmentWriter {
 public:
  // Writes the segment's header and its checkpoint to `file`, of `capacity_bytes` preallocated
  // bytes, and syncs them. `overwritten_bytes`: as much of the file was written before, so
  // that writing there changes no metadata.
  static absl::StatusOr<std::unique_ptr<SegmentWriter>> Start(std::shared_ptr<File> file,
                                                              const SegmentHeader& header,
                                                              std::string_view checkpoint,
                                                              uint64_t capacity_bytes,
                                                              uint64_t overwritten_bytes);

  // Bytes of records that fit into an empty segment of that capacity, and what an empty one needs.
  static uint64_t OverheadBytes(uint64_t checkpoint_bytes);
  uint64_t RemainingBytes() const;

  // Appends a record; it is in the file after Flush(). The payload's views must live until then.
  // Sets payload_crc, payload_bytes and synced_bytes of `record` and returns its offset.
  // REQUIRES: it fits.
  absl::StatusOr<uint32_t> Add(RecordHeader record, std::span<const std::string_view> payload);
  absl::Status Flush();
  // Flush(), and everything is durable.
  absl::Status Sync();
  // Sync(), then a durable record that says so; nothing if the last record is one.
  absl::Status Seal();

  uint64_t sequence() const { return sequence_; }
  uint64_t end() const { return end_; }
  bool HasUnsynced() const { return synced_ != end_; }

 private:
  static constexpr size_t kPiecesMax = 1024;
  static constexpr size_t kScratchBytes = 64 << 10;
  static constexpr size_t kCopiedPieceBytesMax = 1024;

  SegmentWriter(std::shared_ptr<File> file, const SegmentHeader& header, uint64_t capacity_bytes,
                uint64_t overwritten_bytes);

  absl::Status MakeRoom(size_t scratch_bytes);
  void Copy(std::string_view bytes);
  absl::Status Refer(std::string_view bytes);
  absl::Status ExtendZeros(uint64_t written_bytes);

  const std::shared_ptr<File> file_;
  const uint64_t sequence_;
  const RecordSeed seed_;
  const uint64_t capacity_;
  uint64_t overwritten_;  // behind this the file was never written
  uint64_t end_ = 0;      // of the last record added
  uint64_t written_ = 0;  // in the file
  uint64_t synced_ = 0;
  uint64_t sealed_ = 0;  // end of the last seal; == end_ if nothing came after it

  std::unique_ptr<char[]> scratch_;
  size_t scratch_used_ = 0;
  std::vector<std::string_view> pieces_;  // [written_, end_) of the file
};

}  // namespace holdfast

#endif  // HOLDFAST_STORAGE_LOG_SEGMENT_WRITER_H_
