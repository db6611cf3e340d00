// Byte encodings shared by the log, the stored rows and the wire between nodes.
//
// Fixed-width integers are little-endian in values and big-endian in keys (so that bytes sort
// as numbers do); varints are LEB128. Pure. Thread-safety: functions without state; a
// ByteReader is thread-compatible.

#ifndef HOLDFAST_BASE_CODING_H_
#define HOLDFAST_BASE_CODING_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace holdfast {

static_assert(std::endian::native == std::endian::little, "Holdfast runs on little-endian CPUs");

inline void PutFixed8(std::string* out, uint8_t v) { out->push_back(static_cast<char>(v)); }
inline void PutFixed32(std::string* out, uint32_t v) {
  out->append(reinterpret_cast<const char*>(&v), sizeof(v));
}
inline void PutFixed64(std::string* out, uint64_t v) {
  out->append(reinterpret_cast<const char*>(&v), sizeof(v));
}
inline void PutBigEndian32(std::string* out, uint32_t v) { PutFixed32(out, __builtin_bswap32(v)); }
inline void PutBigEndian64(std::string* out, uint64_t v) { PutFixed64(out, __builtin_bswap64(v)); }

inline void PutVarint(std::string* out, uint64_t v) {
  char bytes[10];
  int n = 0;
  while (v >= 0x80) {
    bytes[n++] = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  bytes[n++] = static_cast<char>(v);
  out->append(bytes, n);
}
// A varint length, then the bytes.
inline void PutBytes(std::string* out, std::string_view bytes) {
  PutVarint(out, bytes.size());
  out->append(bytes);
}

// Reads what the functions above wrote. Each call returns false when the input is too short or
// malformed, and then stays failed: check ok() once at the end instead of every call if the
// values are harmless until then. Views returned point into the input.
class ByteReader {
 public:
  explicit ByteReader(std::string_view input) : p_(input.data()), end_(p_ + input.size()) {}

  bool ok() const { return ok_; }
  size_t remaining() const { return static_cast<size_t>(end_ - p_); }
  // True iff nothing failed and every byte was read.
  bool Done() const { return ok_ && p_ == end_; }

  bool Fixed8(uint8_t* v) { return Raw(v, sizeof(*v)); }
  bool Fixed32(uint32_t* v) { return Raw(v, sizeof(*v)); }
  bool Fixed64(uint64_t* v) { return Raw(v, sizeof(*v)); }
  bool BigEndian32(uint32_t* v) {
    if (!Raw(v, sizeof(*v))) return false;
    *v = __builtin_bswap32(*v);
    return true;
  }
  bool BigEndian64(uint64_t* v) {
    if (!Raw(v, sizeof(*v))) return false;
    *v = __builtin_bswap64(*v);
    return true;
  }
  bool Varint(uint64_t* v) {
    uint64_t result = 0;
    for (int shift = 0; shift < 64 && p_ != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*p_++);
      if (shift == 63 && byte > 1) break;
      result |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *v = result;
        return ok_;
      }
    }
    return Fail();
  }
  bool Varint32(uint32_t* v) {
    uint64_t wide = 0;
    if (!Varint(&wide) || wide > UINT32_MAX) return Fail();
    *v = static_cast<uint32_t>(wide);
    return true;
  }
  bool Bytes(std::string_view* v) {
    uint64_t size = 0;
    return Varint(&size) && Skip(size, v);
  }
  // The next `size` bytes as they are.
  bool Skip(uint64_t size, std::string_view* v) {
    if (!ok_ || size > remaining()) return Fail();
    *v = std::string_view(p_, size);
    p_ += size;
    return true;
  }

 private:
  bool Raw(void* v, size_t size) {
    if (!ok_ || remaining() < size) return Fail();
    std::memcpy(v, p_, size);
    p_ += size;
    return true;
  }
  bool Fail() {
    ok_ = false;
    return false;
  }

  const char* p_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_CODING_H_
