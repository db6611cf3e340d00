#include "base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace holdfast {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

using ByteTable = std::array<uint32_t, 256>;

constexpr std::array<ByteTable, 8> MakeSlices() {
  std::array<ByteTable, 8> slices{};
  for (uint32_t n = 0; n < 256; ++n) {
    uint32_t crc = n;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ kPolynomial : crc >> 1;
    slices[0][n] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t n = 0; n < 256; ++n) {
      const uint32_t before = slices[k - 1][n];
      slices[k][n] = (before >> 8) ^ slices[0][before & 0xff];
    }
  }
  return slices;
}

constexpr std::array<ByteTable, 8> kSlices = MakeSlices();

#if defined(__x86_64__)

// Three independent streams of this many bytes hide the instruction's latency of three cycles.
constexpr size_t kStreamBytes = 1024;

// kShift applied to a register: the register after kStreamBytes zero bytes.
constexpr std::array<ByteTable, 4> MakeShift() {
  std::array<uint32_t, 32> of_bit{};
  for (uint32_t bit = 0; bit < 32; ++bit) {
    uint32_t crc = 1u << bit;
    for (size_t i = 0; i < kStreamBytes; ++i) crc = (crc >> 8) ^ kSlices[0][crc & 0xff];
    of_bit[bit] = crc;
  }
  std::array<ByteTable, 4> shift{};
  for (uint32_t k = 0; k < 4; ++k) {
    for (uint32_t n = 0; n < 256; ++n) {
      for (uint32_t bit = 0; bit < 8; ++bit) {
        if (((n >> bit) & 1) != 0) shift[k][n] ^= of_bit[8 * k + bit];
      }
    }
  }
  return shift;
}

uint32_t Shift(uint32_t crc) {
  static const std::array<ByteTable, 4> shift = MakeShift();
  return shift[0][crc & 0xff] ^ shift[1][(crc >> 8) & 0xff] ^ shift[2][(crc >> 16) & 0xff] ^
         shift[3][crc >> 24];
}

inline uint64_t Load64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

__attribute__((target("sse4.2"))) uint32_t ExtendHardware(uint32_t crc, const char* p,
                                                          size_t size) {
  uint64_t a = ~crc;
  while (size >= 3 * kStreamBytes) {
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t i = 0; i < kStreamBytes; i += 8) {
      a = _mm_crc32_u64(a, Load64(p + i));
      b = _mm_crc32_u64(b, Load64(p + kStreamBytes + i));
      c = _mm_crc32_u64(c, Load64(p + 2 * kStreamBytes + i));
    }
    a = Shift(static_cast<uint32_t>(a)) ^ b;
    a = Shift(static_cast<uint32_t>(a)) ^ c;
    p += 3 * kStreamBytes;
    size -= 3 * kStreamBytes;
  }
  for (; size >= 8; p += 8, size -= 8) a = _mm_crc32_u64(a, Load64(p));
  uint32_t tail = static_cast<uint32_t>(a);
  for (; size > 0; ++p, --size) tail = _mm_crc32_u8(tail, static_cast<uint8_t>(*p));
  return ~tail;
}

#endif

}  // namespace

uint32_t ExtendCrc32cPortable(uint32_t crc, std::string_view bytes) {
  const char* p = bytes.data();
  size_t size = bytes.size();
  crc = ~crc;
  for (; size >= 8; p += 8, size -= 8) {
    uint64_t word;
    std::memcpy(&word, p, sizeof(word));
    word ^= crc;
    crc = 0;
    for (int k = 0; k < 8; ++k) crc ^= kSlices[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; size > 0; ++p, --size) {
    crc = (crc >> 8) ^ kSlices[0][(crc ^ static_cast<uint8_t>(*p)) & 0xff];
  }
  return ~crc;
}

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return ExtendHardware(crc, bytes.data(), bytes.size());
#endif
  return ExtendCrc32cPortable(crc, bytes);
}

}  // namespace holdfast
