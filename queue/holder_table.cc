#include "queue/holder_table.h"

#include <iterator>
#include <limits>

#include "base/check.h"
#include "queue/command.h"
#include "queue/state_hash.h"

namespace holdfast {

bool HolderTable::IsLost(const Holder& holder) const {
  const auto it = floors_.find(holder.node);
  return it != floors_.end() && holder.incarnation <= it->second.lost_incarnation;
}

bool HolderTable::IsClosed(const Holder& holder) const {
  if (holder.none()) return false;
  if (IsLost(holder)) return true;
  const auto it = rows_.find(holder);
  return it != rows_.end() && it->second.closed != 0;
}

PagedSet* HolderTable::FindSet(const Holder& holder) {
  const auto it = rows_.find(holder);
  return it == rows_.end() ? nullptr : &it->second.held;
}

const PagedSet* HolderTable::FindSet(const Holder& holder) const {
  const auto it = rows_.find(holder);
  return it == rows_.end() ? nullptr : &it->second.held;
}

void HolderTable::Before(const Holder& holder, const State& state) {
  hash_ -= HashOf(holder, state.row());
  changed_holders_.Mark(holder);
}

void HolderTable::After(Rows::iterator it) {
  const State& state = it->second;
  if (state.closed == 0 && state.held.total() == 0) {
    rows_.erase(it);
    return;
  }
  if (state.closed != 0) Index(it->first, state);
  hash_ += HashOf(it->first, state.row());
}

void HolderTable::Index(const Holder& holder, const State& state) {
  const Turn turn(state.closed, holder);
  closed_.insert(turn);
  if (state.held.total() > 0) {
    closed_holding_.insert(holder);
  } else {
    closed_holding_.erase(holder);
    tombstones_.insert(turn);
  }
}

void HolderTable::Erase(Rows::iterator it) {
  CHECK_EQ(it->second.held.total(), 0u);
  Before(it->first, it->second);
  const Turn turn(it->second.closed, it->first);
  closed_.erase(turn);
  tombstones_.erase(turn);
  rows_.erase(it);
}

void HolderTable::Forget() {
  while (tombstones_.size() > kClosedHoldersMax) Erase(rows_.find(tombstones_.begin()->second));
}

void HolderTable::Add(const Holder& holder, JobId job) {
  const auto [it, inserted] = rows_.try_emplace(holder);
  if (inserted) {
    changed_holders_.Mark(holder);
  } else {
    Before(holder, it->second);
  }
  it->second.held.Add(SetKey{0, job.value()});
  After(it);
}

void HolderTable::Remove(const Holder& holder, JobId job) {
  const auto it = rows_.find(holder);
  CHECK(it != rows_.end());
  Before(holder, it->second);
  it->second.held.Remove(SetKey{0, job.value()});
  After(it);
}

void HolderTable::Close(const Holder& holder) {
  if (IsClosed(holder)) return;
  const auto [it, inserted] = rows_.try_emplace(holder);
  if (inserted) {
    changed_holders_.Mark(holder);
  } else {
    Before(holder, it->second);
  }
  it->second.closed = closed_.empty() ? 1 : closed_.rbegin()->first + 1;
  After(it);
  Forget();
}

void HolderTable::LoseNode(NodeId node, uint64_t incarnation) {
  const auto [it, inserted] = floors_.try_emplace(node);
  if (!inserted) {
    if (it->second.lost_incarnation >= incarnation) return;
    hash_ -= HashOf(node, it->second);
  }
  it->second.lost_incarnation = incarnation;
  hash_ += HashOf(node, it->second);
  changed_floors_.Mark(node);
}

std::vector<Holder> HolderTable::ToCollect(size_t limit) const {
  std::vector<Holder> holders;
  for (const Holder& holder : closed_holding_) {
    if (holders.size() >= limit) return holders;
    holders.push_back(holder);
  }
  for (const auto& [node, floor] : floors_) {
    for (auto it = rows_.lower_bound(Holder{node, 0, 0}); it != rows_.end(); ++it) {
      if (it->first.node != node || it->first.incarnation > floor.lost_incarnation) break;
      if (holders.size() >= limit) return holders;
      if (!closed_holding_.contains(it->first)) holders.push_back(it->first);
    }
  }
  return holders;
}

std::vector<NodeRun> HolderTable::OpenRuns() const {
  constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();
  std::vector<NodeRun> runs;
  for (auto it = rows_.begin(); it != rows_.end();) {
    const NodeId node = it->first.node;
    it = rows_.lower_bound(Holder{node, kNeverLost, 0});
    if (it != rows_.begin()) {
      const Holder& newest = std::prev(it)->first;
      if (newest.node == node && !IsLost(newest)) runs.push_back({node, newest.incarnation});
    }
    it = rows_.upper_bound(Holder{node, kLast, kLast});
  }
  return runs;
}

bool HolderTable::FirstToCollect(Holder* holder) const {
  const std::vector<Holder> holders = ToCollect(1);
  if (holders.empty()) return false;
  *holder = holders.front();
  return true;
}

void HolderTable::Drop(const Holder& holder) {
  const auto it = rows_.find(holder);
  CHECK(it != rows_.end());
  CHECK(IsLost(holder));
  Erase(it);
}

void HolderTable::Restore(const Holder& holder, const HolderRow& row) {
  const auto [it, inserted] = rows_.try_emplace(holder);
  CHECK(inserted);
  it->second.held = PagedSet::Cold(row.held);
  it->second.closed = row.closed;
  if (row.closed != 0) Index(holder, it->second);
  hash_ += HashOf(holder, row);
}

void HolderTable::Restore(NodeId node, const NodeFloorRow& row) {
  const bool inserted = floors_.emplace(node, row).second;
  CHECK(inserted);
  hash_ += HashOf(node, row);
}

bool HolderTable::FindRow(const Holder& holder, HolderRow* row) const {
  const auto it = rows_.find(holder);
  if (it == rows_.end()) return false;
  *row = it->second.row();
  return true;
}

NodeFloorRow HolderTable::FindFloor(NodeId node) const {
  const auto it = floors_.find(node);
  return it == floors_.end() ? NodeFloorRow() : it->second;
}

void HolderTable::CheckInvariants() const {
  uint64_t hash = 0;
  for (const auto& [holder, state] : rows_) {
    state.held.CheckInvariants();
    const Turn turn(state.closed, holder);
    const bool is_closed = state.closed != 0;
    const bool holds = state.held.total() > 0;
    CHECK(is_closed || holds);
    CHECK_EQ(closed_.contains(turn), is_closed);
    CHECK_EQ(closed_holding_.contains(holder), is_closed && holds);
    CHECK_EQ(tombstones_.contains(turn), is_closed && !holds);
    hash += HashOf(holder, state.row());
  }
  for (const auto& [node, floor] : floors_) hash += HashOf(node, floor);
  CHECK_EQ(hash, hash_);
  CHECK_EQ(closed_.size(), closed_holding_.size() + tombstones_.size());
}

}  // namespace holdfast
