// Reads the frames of one stream, in order, and puts records that travel in pieces together.
//
// Strict: unknown kinds and forms, lengths that do not add up, bytes left over, a record over its
// bound, a piece of nothing or without a beginning are all refused, and no record of that frame
// comes out.
//
// Bounds: memory for one record in pieces, as large as it says it is, at most record_bytes_max,
// taken as its bytes arrive. Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_FRAME_READER_H_
#define HOLDFAST_REPLICATION_TRANSPORT_FRAME_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/types.h"
#include "replication/transport/record.h"

namespace holdfast {

// Bytes that are in several places, read from front to back.
class ScatteredReader {
 public:
  explicit ScatteredReader(absl::Span<const std::string_view> pieces);

  size_t remaining() const { return remaining_; }
  // The next `size` bytes are appended to *out; false, and nothing read, if there are fewer.
  bool Append(size_t size, std::string* out);
  // LEB128, as in base/coding.h; false if it is malformed or ends too early.
  bool Varint(uint64_t* value);
  // The CRC-32C of all that remains.
  uint32_t RestCrc32c() const;

 private:
  void Advance(size_t size);

  absl::Span<const std::string_view> pieces_;
  size_t offset_ = 0;  // into pieces_[0]
  size_t remaining_ = 0;
};

class FrameReader {
 public:
  struct Limits {
    uint32_t shards = 0;
    size_t record_bytes_max = 0;  // of a record's parts
  };
  explicit FrameReader(const Limits& limits) : limits_(limits) {}

  // Appends the records that `frame` completes, in order. An error is final: the stream that sent
  // it is broken. DATA_LOSS: the checksum is wrong; INVALID_ARGUMENT: the rest.
  absl::Status Read(absl::Span<const std::string_view> frame, std::vector<Record>* records);
  // The same without the checksum: `contents` is what it is of.
  absl::Status ReadContents(ScatteredReader contents, std::vector<Record>* records);

 private:
  // A record whose head has been read and whose bytes are still to come.
  struct Incoming {
    Record record;
    std::vector<size_t> part_sizes;
    std::shared_ptr<std::string> filling;  // the part that is being filled
    size_t rest = 0;                       // bytes of parts to come
  };
  // A record's head in this frame.
  struct Head {
    Incoming incoming;      // kWhole, kFirstPiece
    size_t bytes_here = 0;  // of its parts, in this frame
    uint8_t form = 0;
    uint8_t kind = 0;
  };
  absl::Status ReadHeads(std::string_view heads, std::vector<Head>* out) const;
  absl::Status ReadBody(std::vector<Head> heads, ScatteredReader* body,
                        std::vector<Record>* records);
  // Moves `bytes` from the body into the record's parts.
  static void Fill(Incoming* incoming, size_t bytes, ScatteredReader* body);

  const Limits limits_;
  std::optional<Incoming> begun_;
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_FRAME_READER_H_
