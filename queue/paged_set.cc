#include "queue/paged_set.h"

#include <iterator>

#include "base/check.h"

namespace holdfast {

PagedSet PagedSet::Cold(uint64_t members) {
  PagedSet set;
  set.total_ = members;
  if (members > 0) set.window_end_ = SetKey::Min();
  return set;
}

void PagedSet::Normalise() {
  if (!complete()) return;
  window_end_ = SetKey::Max();
  prefix_ = tree_.size();
}

bool PagedSet::WindowReachesBeyond(uint64_t key) const {
  if (complete()) return true;
  if (prefix_ == 0) return false;
  auto last = tree_.lower_bound(window_end_);
  return std::prev(last)->key > key;
}

size_t PagedSet::CountUpTo(uint64_t key, size_t limit) const {
  const size_t known = complete() ? tree_.size() : prefix_;
  size_t count = 0;
  for (const SetKey& member : tree_) {
    if (count >= limit || count >= known || member.key > key) break;
    ++count;
  }
  return count;
}

void PagedSet::Add(SetKey key) {
  const bool inserted = tree_.insert(key).second;
  CHECK(inserted);
  ++total_;
  if (key < window_end_) ++prefix_;
}

void PagedSet::Remove(SetKey key) {
  const size_t erased = tree_.erase(key);
  CHECK_EQ(erased, size_t{1});
  --total_;
  if (key < window_end_) --prefix_;
}

void PagedSet::Load(SetKey key) {
  CHECK_LT(tree_.size(), total_);
  const bool inserted = tree_.insert(key).second;
  CHECK(inserted);
  // A cold member before the window end would mean that the window was wrong.
  CHECK(key >= window_end_);
  Normalise();
}

void PagedSet::Evict(SetKey key) {
  LowerWindow(key);
  const size_t erased = tree_.erase(key);
  CHECK_EQ(erased, size_t{1});
}

void PagedSet::RaiseWindow(SetKey end) {
  if (end <= window_end_) return;
  for (auto it = tree_.lower_bound(window_end_); it != tree_.end() && *it < end; ++it) ++prefix_;
  window_end_ = end;
  if (end == SetKey::Max()) CHECK_EQ(tree_.size(), total_);
}

void PagedSet::LowerWindow(SetKey end) {
  if (end >= window_end_) return;
  for (auto it = tree_.lower_bound(end); it != tree_.end() && *it < window_end_; ++it) --prefix_;
  window_end_ = end;
}

void PagedSet::ShrinkWindow(size_t cap) {
  if (prefix_ <= cap) return;
  if (cap == 0) {
    prefix_ = 0;
    window_end_ = SetKey::Min();
    return;
  }
  auto it = tree_.lower_bound(window_end_);
  for (; prefix_ > cap; --prefix_) --it;
  window_end_ = *it;
}

void PagedSet::CheckInvariants() const {
  CHECK_LE(tree_.size(), total_);
  size_t prefix = 0;
  for (const SetKey& member : tree_) {
    if (member < window_end_) ++prefix;
  }
  CHECK_EQ(prefix, prefix_);
}

}  // namespace holdfast
