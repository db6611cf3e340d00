// One ordered set of jobs of which only a front part need be in memory.
//
// Knows how many members there are and the places of those whose job is in memory (*hot*). Every
// member before the *window end* is hot; a hot member may also lie at or beyond it. A set that
// has become complete (no cold member) has its window end at SetKey::Max() until it is shrunk.
//
// Invariants: (1) hot() <= total(); (2) every member before window_end() is hot; (3) prefix() is
// the number of members before window_end().
// Bounds: 24 bytes of tree a hot member; Add, Remove, Load and Evict are O(log hot()).
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_PAGED_SET_H_
#define HOLDFAST_QUEUE_PAGED_SET_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/btree_set.h"
#include "queue/job.h"

namespace holdfast {

class PagedSet {
 public:
  using Tree = absl::btree_set<SetKey>;
  // Where a wish to have more of the set loaded stands.
  enum class Refill : uint8_t { kNone, kWanted, kUnderWay };

  PagedSet() = default;
  // A set of `members` members, all cold.
  static PagedSet Cold(uint64_t members);

  uint64_t total() const { return total_; }
  size_t hot() const { return tree_.size(); }
  bool complete() const { return tree_.size() == total_; }
  size_t prefix() const { return prefix_; }
  SetKey window_end() const { return window_end_; }
  const Tree& tree() const { return tree_; }

  // True if the first `n` members, or all if there are fewer, are before the window end.
  bool Has(uint64_t n) const { return prefix_ >= n || complete(); }
  // True if the set has a first member and it may be cold.
  bool HeadUnknown() const { return prefix_ == 0 && !complete(); }
  // The first member; nullptr if there is none or it may be cold. Ends with the next change.
  const SetKey* First() const { return tree_.empty() || HeadUnknown() ? nullptr : &*tree_.begin(); }
  // True if every member with a key up to `key` is known to be before the window end.
  bool WindowReachesBeyond(uint64_t key) const;
  // How many members that are sure to be first have a key up to `key`, counted up to `limit`.
  size_t CountUpTo(uint64_t key, size_t limit) const;

  // A new member. REQUIRES: not a member.
  void Add(SetKey key);
  // A member goes. REQUIRES: a hot member.
  void Remove(SetKey key);
  // A cold member has become hot. REQUIRES: not hot; fewer hot than members.
  void Load(SetKey key);
  // A hot member becomes cold; the window end moves back to it if it was beyond.
  void Evict(SetKey key);
  // Moves the window end: REQUIRES that every member before the new end is hot.
  void RaiseWindow(SetKey end);
  void LowerWindow(SetKey end);
  // Moves the window end back so that at most `cap` members are before it.
  void ShrinkWindow(size_t cap);

  Refill refill() const { return refill_; }
  void set_refill(Refill refill) { refill_ = refill; }

  // CHECKs the invariants; O(hot()).
  void CheckInvariants() const;

 private:
  void Normalise();

  Tree tree_;
  SetKey window_end_ = SetKey::Max();
  uint64_t total_ = 0;
  size_t prefix_ = 0;
  Refill refill_ = Refill::kNone;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_PAGED_SET_H_
