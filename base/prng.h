// A small seeded pseudo random number generator: the same seed gives the same numbers on every
// machine (SplitMix64, Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014).
//
// Thread-safety: thread-compatible. Not for secrets.

#ifndef HOLDFAST_BASE_PRNG_H_
#define HOLDFAST_BASE_PRNG_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"

namespace holdfast {

class Prng {
 public:
  explicit Prng(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // Uniform in [0, bound). REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound) {
    CHECK_GT(bound, 0u);
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }
  // Uniform in [low, high]. REQUIRES: low <= high.
  uint64_t Between(uint64_t low, uint64_t high) {
    CHECK_LE(low, high);
    return low + Below(high - low + 1);
  }
  // True `numerator` times out of `denominator`.
  bool Chance(uint64_t numerator, uint64_t denominator) { return Below(denominator) < numerator; }
  // Puts them into any order, each as likely.
  template <class T>
  void Shuffle(std::vector<T>* items) {
    for (size_t i = items->size(); i > 1; --i) std::swap((*items)[i - 1], (*items)[Below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace holdfast

#endif  // HOLDFAST_BASE_PRNG_H_
