#include "tests/sim/write_clients.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {
namespace {

constexpr uint64_t kRefusedAgainMicrosMax = 60'000;
// Doubled each time, so that a slow cluster is not buried in repeats; at most 4 s, so that one whom
// a node that is cut off has accepted is tried twice more while progress is due (core_run.cc).
constexpr uint64_t kAcceptedAgainMicros = 500'000;
constexpr uint32_t kDoublingsMax = 2;

}  // namespace

WriteId WriteClients::Begin(Slot slot) {
  const auto id = static_cast<WriteId>(writes_.size());
  Prng random(seed_ * 104729 + id);
  const size_t bytes = random.Between(4, setup_.write_bytes_max);
  writes_.push_back({.random = random, .bytes = bytes});
  Attempt(id, slot);
  return id;
}

void WriteClients::Attempt(WriteId id, Slot slot) {
  if (writes_[id].acknowledged) return;
  const Try result = try_at_(slot, id, writes_[id].bytes);
  Write& write = writes_[id];
  Prng& random = write.random;
  uint64_t again = random.Below(kRefusedAgainMicrosMax);
  if (result == Try::kAccepted) {
    const uint64_t span = kAcceptedAgainMicros << std::min(write.accepted++, kDoublingsMax);
    again = random.Between(span, 2 * span);
  }
  const Slot next = random.Chance(2, 3)
                        ? kLeaderSlot
                        : static_cast<Slot>(random.Below(setup_.nodes + setup_.spares));
  queue_->After(SimTime(again), [this, id, next] { Attempt(id, next); });
}

void WriteClients::OnAcknowledged(WriteId write, LogIndex) {
  if (writes_[write].acknowledged) return;
  writes_[write].acknowledged = true;
  ++acknowledged_;
}

}  // namespace holdfast::sim
