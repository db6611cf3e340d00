#include "server/engine/overlay/row_arena.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace holdfast {

char* RowArena::Allocate(size_t size) {
  CHECK_GE(size, 1u);
  CHECK_LE(size, kBlockBytesMax);
  const size_t block_class = ClassOf(size);
  if (char* block = free_[block_class]; block != nullptr) {
    std::memcpy(&free_[block_class], block, sizeof(char*));
    return block;
  }
  const size_t block_bytes = block_class * kGranule;
  if (left_ < block_bytes) {
    // What is left of the last chunk is less than a block: lost.
    chunk_bytes_ = std::min(chunk_bytes_ * 2, kChunkBytesMax);
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk_bytes_));
    next_ = chunks_.back().get();
    left_ = chunk_bytes_;
    bytes_ += chunk_bytes_;
  }
  char* block = next_;
  next_ += block_bytes;
  left_ -= block_bytes;
  return block;
}

void RowArena::Free(char* block, size_t size) {
  const size_t block_class = ClassOf(size);
  std::memcpy(block, &free_[block_class], sizeof(char*));
  free_[block_class] = block;
}

}  // namespace holdfast
