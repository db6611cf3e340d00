// Bodies that a job's key determines, so that whoever gets one can tell whether it is intact; and
// the length of its leases where nobody asks for another, which not every protocol tells.
//
// Sizes are 10 B to 64 KiB, most of them small, unless the key names one in its upper half.
// Functions without state.

#ifndef HOLDFAST_TESTS_INTEGRATION_JOB_BODY_H_
#define HOLDFAST_TESTS_INTEGRATION_JOB_BODY_H_

#include <cstdint>
#include <string>

#include "base/coding.h"
#include "base/prng.h"

namespace holdfast::testing {

// A key whose body has `size` bytes. REQUIRES: number < 2^32, 10 <= size < 2^32.
inline uint64_t KeyOfSize(uint64_t number, uint64_t size) { return number | size << 32; }

// The key, then bytes that follow from it.
inline std::string MakeBody(uint64_t key) {
  Prng random(key);
  uint64_t size = key >> 32;
  if (size == 0) {
    size = random.Chance(1, 20) ? random.Between(1024, 65536) : random.Between(10, 1024);
  }
  std::string body;
  PutFixed64(&body, key);
  while (body.size() + 8 <= size) PutFixed64(&body, random.Next());
  while (body.size() < size) PutFixed8(&body, static_cast<uint8_t>(random.Next()));
  return body;
}

// The key that a body claims; 0 when it is too short to claim one.
inline uint64_t KeyOf(const std::string& body) {
  uint64_t key = 0;
  return ByteReader(body).Fixed64(&key) ? key : 0;
}

// 1, 3 or, mostly, 20.
inline int64_t LeaseSecondsOf(uint64_t key) {
  constexpr int64_t kSeconds[] = {20, 1, 20, 3};
  return kSeconds[key % 4];
}
inline int64_t LeaseMicrosOf(uint64_t key) { return LeaseSecondsOf(key) * 1'000'000; }

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_JOB_BODY_H_
