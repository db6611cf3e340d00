#include "tests/integration/chaos/timeline.h"

#include <algorithm>

namespace holdfast::testing {
namespace {

template <class Parts>
bool AnyDone(const Parts& parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [](const auto& part) { return part.ended == Ended::kOk; });
}

}  // namespace

void Timeline::SetMajority(bool majority, int64_t now_micros) {
  const bool before = changes_.empty() || changes_.back().majority;
  if (before != majority) changes_.push_back({now_micros, majority});
}

bool Timeline::MajorityThroughout(int64_t begin_micros, int64_t end_micros) const {
  bool majority = true;
  for (const Change& change : changes_) {
    if (change.micros > end_micros) break;
    if (change.micros > begin_micros && !change.majority) return false;
    if (change.micros <= begin_micros) majority = change.majority;
  }
  return majority;
}

std::string Timeline::FaultAt(int64_t micros) const {
  std::string name = "no fault";
  for (const Fault& fault : faults_) {
    if (fault.begin_micros <= micros) name = fault.name;
  }
  return name;
}

Timeline::Gaps Timeline::LongestGaps(std::vector<int64_t> acknowledged_micros, int64_t begin_micros,
                                     int64_t end_micros) const {
  std::sort(acknowledged_micros.begin(), acknowledged_micros.end());
  acknowledged_micros.push_back(end_micros);
  Gaps gaps;
  int64_t last = begin_micros;
  for (const int64_t next : acknowledged_micros) {
    if (next <= last || next > end_micros) continue;
    const absl::Duration length = absl::Microseconds(next - last);
    Gap& longest = MajorityThroughout(last, next) ? gaps.with_majority : gaps.without_majority;
    // What stopped the acknowledgements may have begun a moment after the last of them.
    if (length > longest.length) longest = {length, FaultAt(last + (next - last) / 2)};
    last = next;
  }
  return gaps;
}

std::vector<int64_t> AcknowledgedMicros(const std::vector<Operation>& operations) {
  std::vector<int64_t> moments;
  for (const Operation& operation : operations) {
    const bool done =
        !operation.grants.empty() || AnyDone(operation.enqueued) || AnyDone(operation.settled);
    if (done) moments.push_back(operation.end_micros);
  }
  return moments;
}

}  // namespace holdfast::testing
