// How much one expire command may end and collect, in jobs or entries.

#ifndef HOLDFAST_QUEUE_EXPIRE_ROOM_H_
#define HOLDFAST_QUEUE_EXPIRE_ROOM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace holdfast {

inline constexpr uint32_t kExpireMax = 10'000;
constexpr size_t ExpireRoom(uint32_t max) { return std::min(max, kExpireMax); }

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_EXPIRE_ROOM_H_
