// How much of what is due a reserve may collect on its way, in jobs.

#ifndef HOLDFAST_QUEUE_RESERVE_ROOM_H_
#define HOLDFAST_QUEUE_RESERVE_ROOM_H_

#include <cstddef>
#include <cstdint>

namespace holdfast {

constexpr size_t ReserveRoom(uint32_t max) { return size_t{max} + 16; }

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_RESERVE_ROOM_H_
