// CRC-32C (Castagnoli; RFC 3720 appendix B.4), with the CPU's instruction where there is one.
//
// Pure. Thread-safety: functions without shared state.

#ifndef HOLDFAST_BASE_CRC32C_H_
#define HOLDFAST_BASE_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace holdfast {

// The checksum of A followed by `bytes`, where `crc` is the checksum of A (0 for an empty A).
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);

inline uint32_t Crc32c(std::string_view bytes) { return ExtendCrc32c(0, bytes); }

// The same without the CPU's instruction; for its absence and for tests.
uint32_t ExtendCrc32cPortable(uint32_t crc, std::string_view bytes);

}  // namespace holdfast

#endif  // HOLDFAST_BASE_CRC32C_H_
