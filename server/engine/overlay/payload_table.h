// The log entries whose buffers a generation keeps alive for the payloads in them.
//
// Each entry is counted once, so that a job needs 12 bytes to name its payload. When most of an
// entry's payloads are gone it is *wasteful*, and its owner copies the rest out.
//
// Bounds: once wasteful entries are copied out, an entry's buffer is at most 4 times the payloads
// that are kept in it, or smaller than 1 KiB.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_SERVER_ENGINE_OVERLAY_PAYLOAD_TABLE_H_
#define HOLDFAST_SERVER_ENGINE_OVERLAY_PAYLOAD_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "server/codec/entry_codec.h"
#include "server/codec/payload_ref.h"

namespace holdfast {

// Where a payload is; value-initialised: nowhere.
struct PayloadSlice {
  uint32_t buffer;  // 0: none
  uint32_t offset;
  uint32_t size;

  bool none() const { return buffer == 0; }
};

class PayloadTable {
 public:
  PayloadTable();

  // The payload of the job with this sequence number; `payload` points into `*entry`. The table
  // counts it until Drop(). Entries are compared with the one attached before only.
  PayloadSlice Attach(const EntryBuffer& entry, std::string_view payload, uint64_t sequence);
  // REQUIRES: attached and not dropped before.
  void Drop(const PayloadSlice& slice);

  // The buffer that is still being attached to, 0 if none; EndAttaching() ends that.
  uint32_t attaching() const { return attaching_; }
  void EndAttaching() { attaching_ = 0; }
  // Goes back to a buffer that attaching() gave, after others have been attached to.
  void ResumeAttaching(uint32_t buffer) { attaching_ = buffer; }
  // True if the buffer should be copied out (never while it is being attached to).
  bool IsWasteful(uint32_t buffer) const;
  // The jobs whose payloads may be in the buffer: [first, last].
  uint64_t first_sequence(uint32_t buffer) const { return buffers_[buffer].first; }
  uint64_t last_sequence(uint32_t buffer) const { return buffers_[buffer].last; }
  uint64_t live_bytes(uint32_t buffer) const { return buffers_[buffer].live_bytes; }

  std::string_view Bytes(const PayloadSlice& slice) const;
  PayloadRef Share(const PayloadSlice& slice) const;
  // Memory kept alive, in bytes.
  size_t bytes() const { return bytes_; }

 private:
  struct Buffer {
    EntryBuffer owner;
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t live_bytes = 0;
    uint32_t live = 0;  // payloads
  };
  // Of an entry: its slot here, its control block and string object.
  static constexpr size_t kBufferOverhead = sizeof(Buffer) + 64;

  std::deque<Buffer> buffers_;  // [0] is never used
  std::vector<uint32_t> free_;
  uint32_t attaching_ = 0;
  size_t bytes_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_OVERLAY_PAYLOAD_TABLE_H_
