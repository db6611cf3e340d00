// The first byte chooses a decoder, the rest is its input: an error, or a value that is safe to
// use. The checksum of a chunk is made right first, else no input would get past it.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/crc32c.h"
#include "server/engine/snapshot/chunk_codec.h"
#include "server/engine/snapshot/snapshot_stager.h"
#include "storage/memory_state/memory_state_store.h"

namespace holdfast {
namespace {

std::string WithChecksum(std::string_view rest) {
  const uint32_t crc = Crc32c(rest);
  std::string chunk(sizeof(crc), '\0');
  std::memcpy(chunk.data(), &crc, sizeof(crc));
  return chunk.append(rest);
}

// What is accepted lies within the input and is taken, or refused, by a stager.
void DecodeOneChunk(std::string_view rest) {
  const std::string bytes = WithChecksum(rest);
  const auto chunk = DecodeChunk(bytes);
  if (!chunk.ok()) return;
  for (const SnapshotPiece& piece : chunk->pieces) {
    CHECK(piece.bytes.size() <= bytes.size() && piece.key.size() <= bytes.size());
    CHECK_LE(piece.offset + piece.bytes.size(), piece.value_size);
  }
  if (chunk->shard.value() > 1000) return;  // Nobody stages for a shard that it does not have.
  MemoryStateStore store;
  auto stager = SnapshotStager::Stage(&store, chunk->shard);
  CHECK(stager.ok());
  const std::string before = (*stager)->next();
  const absl::Status status = (*stager)->Add(bytes);
  if (!status.ok()) {
    CHECK((*stager)->next() == before);
    return;
  }
  CHECK(DecodeCursor((*stager)->next()).ok());
  CHECK((*stager)->Add(bytes).ok());  // again: ignored
  if ((*stager)->complete()) CHECK((*stager)->Install().ok());
}

void DecodeOneCursor(std::string_view bytes) {
  const auto cursor = DecodeCursor(bytes);
  if (!cursor.ok()) return;
  CHECK(*DecodeCursor(EncodeCursor(*cursor)) == *cursor);
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    holdfast::DecodeOneChunk(rest);
  } else {
    holdfast::DecodeOneCursor(rest);
  }
  return 0;
}
