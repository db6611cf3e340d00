// Damage of a file.

#ifndef HOLDFAST_BASE_TESTING_FLIP_BIT_H_
#define HOLDFAST_BASE_TESTING_FLIP_BIT_H_

#include <cstdint>
#include <filesystem>

namespace holdfast {

// REQUIRES: the file has more than `offset` bytes; bit < 8.
void FlipBit(const std::filesystem::path& path, uint64_t offset, unsigned bit);

}  // namespace holdfast

#endif  // HOLDFAST_BASE_TESTING_FLIP_BIT_H_
