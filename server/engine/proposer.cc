#include "server/engine/proposer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "server/codec/command_codec.h"

namespace holdfast {
namespace {

// About what a reserve of one queue takes.
constexpr size_t kReserveBytes = 256;

}  // namespace

void Proposer::SubmitInternal(const Command& command) {
  internal_.push_back(EncodeCommand(command));
}

Waiter* Proposer::FindTrying(ReserveId id) {
  for (const WaiterPtr& waiter : trying_) {
    if (waiter->id == id) return waiter.get();
  }
  for (const InFlight& entry : in_flight_) {
    for (const Slot& slot : entry.slots) {
      if (slot.waiter != nullptr && slot.waiter->id == id) return slot.waiter.get();
    }
  }
  return nullptr;
}

void Proposer::AddReserve(WaiterPtr waiter) {
  const ReserveRequest& request = waiter->request;
  ReserveCommand reserve{
      .queues = {}, .max = request.max, .holder = request.holder, .lease = request.lease};
  reserve.queues.assign(request.queues.begin(), request.queues.end());
  commands_.push_back(EncodeCommand({.request = request.request, .body = std::move(reserve)}));
  bytes_ += EntryCost(commands_.back().size());
  slots_.push_back({.done = nullptr, .permit = {}, .waiter = std::move(waiter)});
}

bool Proposer::IsFull(size_t next_bytes) const {
  return !commands_.empty() && (commands_.size() >= options_.entry_commands_max ||
                                bytes_ + EntryCost(next_bytes) > options_.entry_bytes_max);
}

// The longest waiting reserves of the queue, as many as the jobs just enqueued may serve. Who
// waits for an offer is woken when the entry is applied.
void Proposer::AddParked(const std::string& queue, uint32_t jobs) {
  for (uint32_t served = 0; served < jobs && !IsFull(kReserveBytes);) {
    WaiterPtr waiter = parked_->TakeForGrant(queue);
    if (waiter == nullptr) return;
    served += std::max(1u, waiter->request.max);
    AddReserve(std::move(waiter));
  }
}

Proposer::Entry Proposer::BuildEntry(LogTime now) {
  CHECK(HasWork());
  commands_.clear();
  bytes_ = 0;
  slots_ = std::vector<Slot>();
  while (!internal_.empty() && !IsFull(internal_.front().size())) {
    commands_.push_back(std::move(internal_.front()));
    bytes_ += EntryCost(commands_.back().size());
    internal_.pop_front();
    slots_.emplace_back();
  }
  internal_count_ = commands_.size();
  while (!pending_.empty() && !IsFull(pending_.front().command.size())) {
    Submission next = std::move(pending_.front());
    pending_.pop_front();
    bytes_ += EntryCost(next.command.size());
    commands_.push_back(std::move(next.command));
    slots_.push_back({.done = std::move(next.done),
                      .permit = std::move(next.permit),
                      .waiter = nullptr,
                      .from_peer = next.from_peer});
    if (next.jobs > 0 && parked_->size() > 0) AddParked(next.queue, next.jobs);
  }
  while (!trying_.empty() && !IsFull(kReserveBytes)) {
    AddReserve(std::move(trying_.front()));
    trying_.pop_front();
  }
  return {.bytes = ::holdfast::BuildEntry(now, absl::Span<const std::string>(commands_)),
          .slots = std::move(slots_)};
}

void Proposer::Proposed(LogPosition position, Entry entry) {
  in_flight_.push_back({position, std::move(entry.bytes), std::move(entry.slots)});
}

void Proposer::Refused() {
  internal_.insert(
      internal_.begin(), std::make_move_iterator(commands_.begin()),
      std::make_move_iterator(commands_.begin() + static_cast<ptrdiff_t>(internal_count_)));
  internal_count_ = 0;
}

std::vector<Proposer::Slot> Proposer::TakeSlots(LogPosition position, std::vector<InFlight>* lost) {
  std::vector<Slot> slots;
  while (!in_flight_.empty()) {
    InFlight& first = in_flight_.front();
    const bool is_this = first.position == position;
    if (!is_this && first.position.index > position.index && first.position.term >= position.term) {
      break;
    }
    if (is_this) {
      slots = std::move(first.slots);
    } else {
      lost->push_back(std::move(first));
    }
    in_flight_.pop_front();
  }
  return slots;
}

std::vector<Proposer::InFlight> Proposer::TakeInFlight(LogIndex committed) {
  auto first = in_flight_.begin();
  while (first != in_flight_.end() && first->position.index <= committed) ++first;
  std::vector<InFlight> taken(std::make_move_iterator(first),
                              std::make_move_iterator(in_flight_.end()));
  in_flight_.erase(first, in_flight_.end());
  return taken;
}

Proposer::Pending Proposer::TakePending() {
  internal_.clear();
  return {.submissions = std::exchange(pending_, {}), .waiters = std::exchange(trying_, {})};
}

}  // namespace holdfast
