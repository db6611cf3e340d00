// The fields that commands and rows are made of. Internal to server/codec.
//
// Put* appends, Read* returns false when the input is malformed (the reader then stays failed,
// or the value is not one of the known ones).

#ifndef HOLDFAST_SERVER_CODEC_FIELD_CODEC_H_
#define HOLDFAST_SERVER_CODEC_FIELD_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/coding.h"
#include "base/types.h"
#include "queue/command.h"
#include "queue/job.h"
#include "queue/queue_options.h"

namespace holdfast::field_codec {

// --- Into memory that is known to be large enough; each returns the end of what it wrote.
inline constexpr size_t kVarintBytesMax = 10;

inline char* WriteVarint(char* out, uint64_t v) {
  while (v >= 0x80) {
    *out++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *out++ = static_cast<char>(v);
  return out;
}
inline char* WriteFixed64(char* out, uint64_t v) {
  std::memcpy(out, &v, sizeof(v));
  return out + sizeof(v);
}

// --- Numbers with a name.
template <class Tag, class Rep>
void Put(std::string* out, StrongInt<Tag, Rep> v) {
  PutVarint(out, v.value());
}
inline void Put(std::string* out, uint64_t v) { PutVarint(out, v); }
// Negative durations are legal and long.
inline void Put(std::string* out, LogDuration v) {
  PutVarint(out, static_cast<uint64_t>(v.micros()));
}
inline void Put(std::string* out, LogTime v) { PutVarint(out, v.micros()); }
inline void Put(std::string* out, const Holder& v) {
  Put(out, v.node);
  Put(out, v.incarnation);
  Put(out, v.n);
}
template <class E>
requires std::is_enum_v<E>
void PutEnum(std::string* out, E v) { PutFixed8(out, static_cast<uint8_t>(v)); }

inline bool Read(ByteReader* in, uint64_t* v) { return in->Varint(v); }
inline bool Read(ByteReader* in, uint32_t* v) { return in->Varint32(v); }
template <class Tag>
bool Read(ByteReader* in, StrongInt<Tag, uint64_t>* v) {
  uint64_t value = 0;
  if (!in->Varint(&value)) return false;
  *v = StrongInt<Tag, uint64_t>(value);
  return true;
}
inline bool Read(ByteReader* in, LogDuration* v) {
  uint64_t micros = 0;
  if (!in->Varint(&micros)) return false;
  *v = LogDuration::Micros(static_cast<int64_t>(micros));
  return true;
}
inline bool Read(ByteReader* in, LogTime* v) {
  uint64_t micros = 0;
  if (!in->Varint(&micros)) return false;
  *v = LogTime::FromMicros(micros);
  return true;
}
inline bool Read(ByteReader* in, Holder* v) {
  return Read(in, &v->node) && Read(in, &v->incarnation) && Read(in, &v->n);
}
// One byte, at most `last`.
template <class E>
requires std::is_enum_v<E>
bool ReadEnum(ByteReader* in, E last, E* v) {
  uint8_t byte = 0;
  if (!in->Fixed8(&byte) || byte > static_cast<uint8_t>(last)) return false;
  *v = static_cast<E>(byte);
  return true;
}
// One byte of which only the bits of `known` may be set.
inline bool ReadFlags(ByteReader* in, uint8_t known, uint8_t* v) {
  return in->Fixed8(v) && (*v & ~known) == 0;
}
// A count of at most `bound` items that take at least `bytes_each` bytes each.
inline bool ReadCount(ByteReader* in, uint64_t bound, size_t bytes_each, uint64_t* count) {
  return in->Varint(count) && *count <= bound && *count <= in->remaining() / bytes_each;
}

// The options named by `fields`, in order of their bits.
void PutOptions(std::string* out, const QueueOptions& options, uint32_t fields);
bool ReadOptions(ByteReader* in, uint32_t fields, QueueOptions* options);

void PutSettings(std::string* out, const Settings& settings);
bool ReadSettings(ByteReader* in, Settings* settings);

}  // namespace holdfast::field_codec

#endif  // HOLDFAST_SERVER_CODEC_FIELD_CODEC_H_
