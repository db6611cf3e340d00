#include "tests/sim/write_clients.h"

#include <utility>

namespace holdfast::sim {
namespace {

constexpr uint64_t kRefusedAgainMicrosMax = 60'000;
constexpr uint64_t kAcceptedAgainMicrosMin = 200'000;
constexpr uint64_t kAcceptedAgainMicrosMax = 800'000;

}  // namespace

WriteId WriteClients::Begin(Slot slot) {
  const auto id = static_cast<WriteId>(writes_.size());
  Prng random(seed_ * 104729 + id);
  const size_t bytes = random.Between(4, setup_.write_bytes_max);
  writes_.push_back({random, bytes});
  Attempt(id, slot);
  return id;
}

void WriteClients::Attempt(WriteId id, Slot slot) {
  if (writes_[id].acknowledged) return;
  const Try result = try_at_(slot, id, writes_[id].bytes);
  Prng& random = writes_[id].random;
  const uint64_t again = result == Try::kRefused
                             ? random.Below(kRefusedAgainMicrosMax)
                             : random.Between(kAcceptedAgainMicrosMin, kAcceptedAgainMicrosMax);
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
