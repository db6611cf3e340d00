// Latencies, counted in buckets of at most 1.6% width: constant memory, no sampling.
//
// Layout: values below 64 exactly; above, 64 buckets for each power of two (as HdrHistogram).
// Thread-safety: thread-compatible; one per recorder, merged at the end.

#ifndef HOLDFAST_CLIENT_BENCH_HISTOGRAM_H_
#define HOLDFAST_CLIENT_BENCH_HISTOGRAM_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace holdfast {

class Histogram {
 public:
  // `micros` below 0 counts as 0.
  void Record(int64_t micros) {
    const uint64_t value = static_cast<uint64_t>(std::max<int64_t>(micros, 0));
    ++counts_[Bucket(value)];
    ++count_;
    max_ = std::max(max_, value);
  }
  void Merge(const Histogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }

  uint64_t count() const { return count_; }
  uint64_t max_micros() const { return max_; }
  // The value that `part` of all are not above, `part` in [0, 1]; 0 if nothing was recorded.
  uint64_t Percentile(double part) const {
    const auto rank = static_cast<uint64_t>(part * static_cast<double>(count_));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > rank) return std::min(UpperBound(i), max_);
    }
    return max_;
  }

 private:
  static constexpr int kSubBits = 6;
  static constexpr uint64_t kSub = 1 << kSubBits;

  static size_t Bucket(uint64_t value) {
    if (value < kSub) return value;
    const int shift = std::bit_width(value) - 1 - kSubBits;
    return (static_cast<size_t>(shift) + 1) * kSub + ((value >> shift) - kSub);
  }
  static uint64_t UpperBound(size_t bucket) {
    if (bucket < kSub) return bucket;
    const size_t shift = bucket / kSub - 1;
    return ((bucket % kSub + kSub + 1) << shift) - 1;
  }

  std::vector<uint64_t> counts_ = std::vector<uint64_t>((64 - kSubBits + 1) * kSub);
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_BENCH_HISTOGRAM_H_
