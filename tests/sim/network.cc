#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {
namespace {

constexpr SimTime kLateMax{2'000'000};
constexpr SimTime kHealedDelayMax{1'000};

}  // namespace

Network::Network(const Schedule& schedule, Timeline* queue, RunStats* stats)
    : setup_(schedule.setup), slots_(setup_.nodes + setup_.spares), queue_(queue), stats_(stats) {
  for (uint32_t i = 0; i < slots_ * slots_; ++i) {
    links_.push_back({Prng(schedule.seed * 7919 + i + 1)});
  }
}

bool Network::Send(Slot from, Slot to, SimTime extra, std::function<void()> deliver) {
  ++stats_->messages;
  DropEnded();
  Link& link = links_[from * slots_ + to];
  const auto below = [&link](SimTime bound) {
    return SimTime(link.random.Below(static_cast<uint64_t>(bound.count()) + 1));
  };
  const uint64_t loss = std::max<uint64_t>(setup_.loss_per_1000, Strongest(ActionKind::kLoss));
  if (Blocked(from, to) || (!healed_ && link.random.Chance(loss, 1000))) {
    ++stats_->lost;
    return false;
  }
  if (healed_) {
    Arrive(from, to, extra + setup_.delay_min + below(kHealedDelayMax), std::move(deliver));
    return true;
  }
  SimTime delay = extra + setup_.delay_min + below(setup_.delay_max);
  const uint64_t slower = Strongest(ActionKind::kDelay);
  if (slower > 0) delay += below(SimTime(slower));
  const uint64_t repeats =
      std::max<uint64_t>(setup_.duplicate_per_1000, Strongest(ActionKind::kDuplicate));
  if (link.random.Chance(repeats, 1000)) {
    ++stats_->duplicated;
    Arrive(from, to, delay + below(setup_.delay_max), deliver);
  }
  if (link.random.Chance(setup_.late_duplicate_per_1000, 1000)) {
    ++stats_->duplicated;
    queue_->After(delay + below(kLateMax), deliver);
  }
  Arrive(from, to, delay, std::move(deliver));
  return true;
}

void Network::Arrive(Slot from, Slot to, SimTime delay, std::function<void()> deliver) {
  SimTime when = queue_->now() + delay;
  if (!setup_.reorder) {
    Link& link = links_[from * slots_ + to];
    when = std::max(when, link.last);
    link.last = when;
  }
  queue_->At(when, [this, from, to, deliver = std::move(deliver)] {
    // A connection that is cut loses what is under way; lone messages may still get through.
    if (!setup_.reorder && Blocked(from, to)) {
      ++stats_->lost;
      return;
    }
    deliver();
  });
}

void Network::Disturb(const Action& action, Slot node) {
  disturbances_.push_back({action, node, queue_->now() + action.lasts});
  if (action.kind < ActionKind::kLoss) ++stats_->partitions;
}

void Network::Heal() {
  disturbances_.clear();
  healed_ = true;
}

void Network::CutOff(Slot node) { cut_off_ |= uint64_t{1} << node; }

bool Network::Blocked(Slot from, Slot to) const {
  if ((cut_off_ >> from & 1) != 0 || (cut_off_ >> to & 1) != 0) return true;
  for (const Disturbance& disturbance : disturbances_) {
    if (disturbance.end > queue_->now() && Blocks(disturbance, from, to, slots_)) return true;
  }
  return false;
}

bool Network::Blocks(const Disturbance& disturbance, Slot from, Slot to, uint32_t slots) {
  const Slot node = disturbance.node;
  switch (disturbance.action.kind) {
    case ActionKind::kIsolate:
      return from == node || to == node;
    case ActionKind::kDeafen:
      return to == node;
    case ActionKind::kMute:
      return from == node;
    case ActionKind::kCutLink:
      return from == node && to == disturbance.action.peer;
    case ActionKind::kHalves:
      return (disturbance.action.n >> from & 1) != (disturbance.action.n >> to & 1);
    case ActionKind::kRing:
      return (from + 1) % slots != to && (to + 1) % slots != from;
    default:
      return false;
  }
}

uint64_t Network::Strongest(ActionKind kind) const {
  uint64_t strongest = 0;
  for (const Disturbance& disturbance : disturbances_) {
    if (disturbance.action.kind == kind) strongest = std::max(strongest, disturbance.action.n);
  }
  return strongest;
}

void Network::DropEnded() {
  std::erase_if(disturbances_, [this](const Disturbance& disturbance) {
    return disturbance.end <= queue_->now();
  });
}

}  // namespace holdfast::sim
