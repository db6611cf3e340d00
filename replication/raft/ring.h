// A first-in first-out queue in one block of memory, indexed from its front.
//
// Takes no memory until something is put in, grows by doubling, gives memory back only when told.
// Pure. Bounds: the caller's. Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_RING_H_
#define HOLDFAST_REPLICATION_RAFT_RING_H_

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/check.h"

namespace holdfast::raft {

template <class T>
class Ring {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t capacity() const { return slots_.size(); }

  // REQUIRES: i < size().
  T& operator[](size_t i) { return slots_[Slot(i)]; }
  const T& operator[](size_t i) const { return slots_[Slot(i)]; }
  const T& front() const { return slots_[head_]; }
  const T& back() const { return slots_[Slot(size_ - 1)]; }

  void PushBack(T value) {
    if (size_ == slots_.size()) Grow();
    slots_[Slot(size_++)] = std::move(value);
  }
  // REQUIRES: n <= size().
  void PopFront(size_t n = 1) {
    CHECK_LE(n, size_);
    for (size_t i = 0; i < n; ++i) Forget(i);
    head_ = Slot(n);
    size_ -= n;
  }
  // Keeps the first n. REQUIRES: n <= size().
  void Truncate(size_t n) {
    CHECK_LE(n, size_);
    for (size_t i = n; i < size_; ++i) Forget(i);
    size_ = n;
  }
  void Clear() { Truncate(0); }
  // Gives the memory back if nothing is in it.
  void ReleaseIfEmpty() {
    if (size_ != 0 || slots_.empty()) return;
    slots_ = std::vector<T>();
    head_ = 0;
  }

 private:
  static constexpr size_t kFirstCapacity = 4;  // a power of two, as all others

  size_t Slot(size_t i) const { return slots_.empty() ? 0 : (head_ + i) & (slots_.size() - 1); }
  void Forget(size_t i) {
    if constexpr (!std::is_trivially_destructible_v<T>) slots_[Slot(i)] = T();
  }
  void Grow() {
    std::vector<T> larger(slots_.empty() ? kFirstCapacity : 2 * slots_.size());
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move(slots_[Slot(i)]);
    slots_ = std::move(larger);
    head_ = 0;
  }

  std::vector<T> slots_;
  size_t head_ = 0;
  size_t size_ = 0;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_RING_H_
