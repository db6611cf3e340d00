// Clients that write: each write is tried, at one node after another, until it is acknowledged.
//
// A try that is accepted may be lost with its leader, so it is repeated after a while; the ledger
// counts a write once. Random choices are drawn from the write's own number.
//
// Thread-safety: thread-compatible. Ownership: what is given outlives it.

#ifndef HOLDFAST_TESTS_SIM_WRITE_CLIENTS_H_
#define HOLDFAST_TESTS_SIM_WRITE_CLIENTS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "base/prng.h"
#include "base/types.h"
#include "tests/sim/ledger.h"
#include "tests/sim/schedule.h"
#include "tests/sim/timeline.h"

namespace holdfast::sim {

class WriteClients {
 public:
  enum class Try : uint8_t { kAccepted, kRefused };
  // Tries a write of so many bytes at a node.
  using TryAt = std::function<Try(Slot slot, WriteId write, size_t bytes)>;

  WriteClients(uint64_t seed, const Setup& setup, Timeline* queue, TryAt try_at)
      : seed_(seed), setup_(setup), queue_(queue), try_at_(std::move(try_at)) {}

  // A new write, tried at `slot` (or kLeaderSlot) first.
  WriteId Begin(Slot slot);
  void OnAcknowledged(WriteId write, LogIndex index);

  size_t begun() const { return writes_.size(); }
  size_t unacknowledged() const { return writes_.size() - acknowledged_; }
  bool acknowledged(WriteId write) const { return writes_[write].acknowledged; }

 private:
  struct Write {
    Prng random;
    size_t bytes;
    uint32_t accepted = 0;  // tries
    bool acknowledged = false;
  };

  void Attempt(WriteId id, Slot slot);

  const uint64_t seed_;
  const Setup setup_;
  Timeline* const queue_;
  const TryAt try_at_;
  std::vector<Write> writes_;
  size_t acknowledged_ = 0;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_WRITE_CLIENTS_H_
