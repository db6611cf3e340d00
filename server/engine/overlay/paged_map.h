// A map from job sequence numbers to small values, made for numbers that come in runs.
//
// Numbers are grouped into pages of 64; a page holds a bitmap and its values packed in order, so
// a run costs little more than its values, a lone number about 100 bytes, and growing never
// rehashes more than one slot per 64 numbers.
//
// Bounds: a value is moved by memmove when a neighbour is inserted or erased.
// Thread-safety: thread-compatible; const methods may run concurrently.

#ifndef HOLDFAST_SERVER_ENGINE_OVERLAY_PAGED_MAP_H_
#define HOLDFAST_SERVER_ENGINE_OVERLAY_PAGED_MAP_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"

namespace holdfast {

template <class T>
class PagedMap {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  PagedMap() = default;
  PagedMap(const PagedMap&) = delete;
  PagedMap& operator=(const PagedMap&) = delete;

  size_t size() const { return size_; }
  // Estimated memory, in bytes.
  size_t bytes() const { return bytes_; }

  const T* Find(uint64_t number) const {
    const auto page = pages_.find(number / kPageNumbers);
    if (page == pages_.end()) return nullptr;
    const uint64_t bit = Bit(number);
    if ((page->second.present & bit) == 0) return nullptr;
    return page->second.values.get() + Rank(page->second, bit);
  }
  T* Find(uint64_t number) { return const_cast<T*>(std::as_const(*this).Find(number)); }

  // The value of `number`, value-initialised if it is new. Valid until the next change of the map.
  T* FindOrInsert(uint64_t number) {
    const auto [slot, added] = pages_.try_emplace(number / kPageNumbers);
    if (added) bytes_ += kPageBytes;
    Page& page = slot->second;
    const uint64_t bit = Bit(number);
    const int rank = Rank(page, bit);
    if ((page.present & bit) != 0) return page.values.get() + rank;
    const int count = std::popcount(page.present);
    if (count == page.capacity) Grow(&page);
    T* place = page.values.get() + rank;
    std::memmove(static_cast<void*>(place + 1), place, (count - rank) * sizeof(T));
    *place = T{};
    page.present |= bit;
    ++size_;
    return place;
  }

  // REQUIRES: Find(number) != nullptr.
  void Erase(uint64_t number) {
    const auto slot = pages_.find(number / kPageNumbers);
    CHECK(slot != pages_.end());
    Page& page = slot->second;
    const uint64_t bit = Bit(number);
    CHECK((page.present & bit) != 0);
    T* place = page.values.get() + Rank(page, bit);
    T* end = page.values.get() + std::popcount(page.present);
    std::memmove(static_cast<void*>(place), place + 1, (end - place - 1) * sizeof(T));
    page.present &= ~bit;
    --size_;
    if (page.present == 0) {
      bytes_ -= kPageBytes + page.capacity * sizeof(T);
      pages_.erase(slot);
    }
  }

  // Calls visit(number, value) in rising order of numbers.
  template <class Visit>
  void ForEachSorted(Visit visit) const {
    std::vector<uint64_t> numbers;
    numbers.reserve(pages_.size());
    for (const auto& [number, page] : pages_) numbers.push_back(number);
    std::sort(numbers.begin(), numbers.end());
    for (const uint64_t number : numbers) {
      const Page& page = pages_.find(number)->second;
      const T* value = page.values.get();
      for (uint64_t left = page.present; left != 0; left &= left - 1) {
        visit(number * kPageNumbers + std::countr_zero(left), *value++);
      }
    }
  }

  // Calls visit(number, &value) for each number of [begin, end] that is there, in rising order.
  template <class Visit>
  void ForRange(uint64_t begin, uint64_t end, Visit visit) {
    for (uint64_t first = begin; first <= end; first = (first / kPageNumbers + 1) * kPageNumbers) {
      const auto slot = pages_.find(first / kPageNumbers);
      if (slot == pages_.end()) continue;
      Page& page = slot->second;
      T* value = page.values.get();
      for (uint64_t left = page.present; left != 0; left &= left - 1, ++value) {
        const uint64_t number = first / kPageNumbers * kPageNumbers + std::countr_zero(left);
        if (number >= begin && number <= end) visit(number, value);
      }
    }
  }

 private:
  static constexpr uint64_t kPageNumbers = 64;

  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  struct Page {
    uint64_t present = 0;
    std::unique_ptr<T, Free> values;  // popcount(present) of them, in order of their numbers
    int capacity = 0;
  };
  // A slot of the hash map at its usual load.
  static constexpr size_t kPageBytes = (sizeof(std::pair<uint64_t, Page>) + 1) * 3 / 2;

  static uint64_t Bit(uint64_t number) { return uint64_t{1} << (number % kPageNumbers); }
  static int Rank(const Page& page, uint64_t bit) {
    return std::popcount(page.present & (bit - 1));
  }
  void Grow(Page* page) {
    const int capacity = page->capacity == 0 ? 1 : std::min<int>(64, page->capacity * 2);
    void* grown = std::realloc(page->values.release(), capacity * sizeof(T));
    CHECK(grown != nullptr);
    page->values.reset(static_cast<T*>(grown));
    bytes_ += (capacity - page->capacity) * sizeof(T);
    page->capacity = capacity;
  }

  absl::flat_hash_map<uint64_t, Page> pages_;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_OVERLAY_PAGED_MAP_H_
