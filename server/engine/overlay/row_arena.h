// Memory for a generation's encoded job rows and start places: small blocks out of large chunks,
// all freed together, with blocks given back used again.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_SERVER_ENGINE_OVERLAY_ROW_ARENA_H_
#define HOLDFAST_SERVER_ENGINE_OVERLAY_ROW_ARENA_H_

#include <cstddef>
#include <memory>
#include <vector>

namespace holdfast {

class RowArena {
 public:
  static constexpr size_t kGranule = 16;
  static constexpr size_t kBlockBytesMax = 240;

  RowArena() = default;
  RowArena(const RowArena&) = delete;
  RowArena& operator=(const RowArena&) = delete;

  // A block of at least `size` bytes, aligned to 8. REQUIRES: 1 <= size <= kBlockBytesMax.
  char* Allocate(size_t size);
  // `size`: as it was allocated.
  void Free(char* block, size_t size);
  // True if a block allocated for `size` bytes also holds `other` bytes, no larger than needed.
  static bool SameBlock(size_t size, size_t other) { return ClassOf(size) == ClassOf(other); }

  // Memory of all chunks.
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kClasses = kBlockBytesMax / kGranule + 1;
  static constexpr size_t kChunkBytesMin = 4096;
  static constexpr size_t kChunkBytesMax = 256 * 1024;

  static size_t ClassOf(size_t size) { return (size + kGranule - 1) / kGranule; }

  std::vector<std::unique_ptr<char[]>> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t chunk_bytes_ = kChunkBytesMin / 2;  // of the last chunk
  char* free_[kClasses] = {};                // lists linked through the blocks
  size_t bytes_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_OVERLAY_ROW_ARENA_H_
