#include "base/testing/flip_bit.h"

#include <fstream>

#include "base/check.h"

namespace holdfast {

void FlipBit(const std::filesystem::path& path, uint64_t offset, unsigned bit) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const char flipped = static_cast<char>(file.get() ^ (1 << bit));
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(flipped);
  file.flush();
  CHECK(file.good());
}

}  // namespace holdfast
