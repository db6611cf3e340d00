// A shard's state on its way to another replica, as bytes: the descriptor of a snapshot, the
// chunks that its rows travel in, and the cursor that says where to go on. Layout: FORMAT.md.
//
// A chunk is a run of rows in the order of (table, key). A row that is too large for one chunk is
// cut into pieces over several. Each chunk says of which snapshot it is, its number, and the digest
// of all chunks before it (a chain), so that a missing, repeated, altered or foreign one is noticed
// when it comes and not at the end.
//
//   descriptor, row, row, row | row, row, piece | piece | piece, row, row | row, totals
//
// Decoding is total and strict. Errors are DATA_LOSS and say what is wrong at which byte.
//
// Thread-safety: functions without state; a ChunkWriter is thread-compatible.

#ifndef HOLDFAST_SERVER_ENGINE_SNAPSHOT_CHUNK_CODEC_H_
#define HOLDFAST_SERVER_ENGINE_SNAPSHOT_CHUNK_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/types.h"
#include "storage/state_batch.h"

namespace holdfast {

// Drawn at random for each snapshot that is made: its chunks fit no other one. 0: none.
using SnapshotId = StrongInt<struct SnapshotIdTag, uint64_t>;

// A chunk has at most as many bytes as were asked for, which are at least these; chunk 0 also has
// the configuration.
inline constexpr uint64_t kChunkBytesMin = 4096;
// Of one row. A payload (server/codec/payload_codec.h) fits.
inline constexpr uint64_t kSnapshotKeyBytesMax = 1024;
inline constexpr uint64_t kSnapshotValueBytesMax = uint64_t{80} << 20;
inline constexpr uint64_t kSnapshotConfigurationBytesMax = 64 << 10;

struct ShardSnapshotDescriptor {
  SnapshotId id;
  ShardId shard;
  // The rows are as of this place of the log.
  LogIndex index;
  Term term;
  uint64_t state_hash = 0;  // Machine::StateHash() there
  uint32_t layout_version = 0;
  std::string configuration;  // the participants there; opaque

  bool operator==(const ShardSnapshotDescriptor&) const = default;
};
// "snapshot <id> of shard <n>", for messages.
std::string NameOf(SnapshotId id, ShardId shard);

// What has been sent, and so what comes next.
struct SnapshotCursor {
  SnapshotId id;
  uint64_t chunk = 0;  // the number of the next chunk
  uint64_t chain = 0;  // the digest of all chunks before it
  // The next row is the first of `table` at or behind `key`; with `value_offset`, it is the one
  // under `key`, and so many bytes of its value have been sent.
  Table table = Table::kMeta;
  std::string key;
  uint64_t value_offset = 0;
  uint64_t rows = 0;   // sent whole so far
  uint64_t bytes = 0;  // of keys and values of those

  bool operator==(const SnapshotCursor&) const = default;
};
std::string EncodeCursor(const SnapshotCursor& cursor);
absl::StatusOr<SnapshotCursor> DecodeCursor(std::string_view bytes);

// A row, or a part of one. Views point into what it was made from.
struct SnapshotPiece {
  Table table = Table::kMeta;
  std::string_view key;
  uint64_t value_size = 0;  // of the whole value
  uint64_t offset = 0;      // where in the value `bytes` begins
  std::string_view bytes;

  bool ends_row() const { return offset + bytes.size() == value_size; }
};

struct SnapshotChunk {
  SnapshotId id;
  ShardId shard;
  uint64_t number = 0;
  uint64_t chain = 0;                                      // of the chunks before
  std::optional<ShardSnapshotDescriptor> descriptor = {};  // in chunk 0 only
  std::vector<SnapshotPiece> pieces = {};                  // views of the chunk's bytes
  bool last = false;
  uint64_t rows = 0;   // with `last`: of the whole snapshot
  uint64_t bytes = 0;  // likewise
};
absl::StatusOr<SnapshotChunk> DecodeChunk(std::string_view bytes);
// What `chain` is after this chunk. REQUIRES: DecodeChunk accepts it.
uint64_t ChainAfter(std::string_view chunk);

// Moves `cursor` past a piece.
// INVALID_ARGUMENT, and it stays, if that piece of that shard cannot come there.
absl::Status Advance(const SnapshotPiece& piece, ShardId shard, SnapshotCursor* cursor);

// Makes the chunk that comes at a cursor.
class ChunkWriter {
 public:
  // At chunk 0 it carries the descriptor. REQUIRES: bytes_max >= kChunkBytesMin.
  ChunkWriter(const ShardSnapshotDescriptor& descriptor, SnapshotCursor cursor, uint64_t bytes_max);

  // Adds as much as fits of the row, from cursor().value_offset on, and moves the cursor by that;
  // false if something of it is left for the next chunk. A row that fits into a chunk is not cut.
  // REQUIRES: the row is one that may come at the cursor, within the bounds above.
  bool Add(Table table, std::string_view key, std::string_view value);

  enum class Last : uint8_t { kNo, kYes };
  // The chunk; the cursor moves behind it. Nothing can be added any more.
  std::string Finish(Last last);

  const SnapshotCursor& cursor() const { return cursor_; }
  uint64_t bytes_max() const { return bytes_max_; }

 private:
  void Put(const SnapshotPiece& piece);
  uint64_t room() const;

  const ShardId shard_;
  const uint64_t row_bytes_max_;  // what an empty chunk has room for
  const uint64_t bytes_max_;
  SnapshotCursor cursor_;
  std::string out_;
  uint32_t pieces_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_SNAPSHOT_CHUNK_CODEC_H_
