#include "tests/integration/chaos/verdict.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace holdfast::testing {
namespace {

void TakeLonger(const Gap& other, Gap* gap) {
  if (other.length > gap->length) *gap = other;
}

std::string Told(const Gap& gap) {
  return absl::StrFormat("%.2f s (%s)", absl::ToDoubleSeconds(gap.length), gap.fault);
}

}  // namespace

int Verdict::CountOf(const std::string& rule) const {
  return static_cast<int>(
      std::count_if(violations.begin(), violations.end(),
                    [&](const Violation& violation) { return violation.rule == rule; }));
}

void Verdict::Add(const Verdict& other) {
  clusters += other.clusters;
  length += other.length;
  for (const auto& [name, count] : other.faults) faults[name] += count;
  skipped = other.skipped;
  damaged.insert(damaged.end(), other.damaged.begin(), other.damaged.end());
  acknowledged += other.acknowledged;
  by_beanstalkd += other.by_beanstalkd;
  refused += other.refused;
  unknown += other.unknown;
  repeated += other.repeated;
  enqueued += other.enqueued;
  deleted += other.deleted;
  writes_cut += other.writes_cut;
  states_compared += other.states_compared;
  TakeLonger(other.gaps.with_majority, &gaps.with_majority);
  TakeLonger(other.gaps.without_majority, &gaps.without_majority);
  violations.insert(violations.end(), other.violations.begin(), other.violations.end());
}

std::string Verdict::Table() const {
  std::string table = absl::StrFormat("seed %d: %d cluster(s) of %d nodes, %.1f minutes\n", seed,
                                      clusters, nodes, absl::ToDoubleMinutes(length));
  const auto row = [&](const std::string& name, const auto&... values) {
    absl::StrAppend(&table, absl::StrFormat("  %-34s ", name), values..., "\n");
  };
  int injected = 0;
  for (const auto& [name, count] : faults) injected += count;
  row("faults injected", injected);
  for (const auto& [name, count] : faults) row("  " + name, count);
  for (const std::string& story : damaged) row("  bit flips", story);
  if (!skipped.empty()) {
    row("SKIPPED, not permitted here", skipped.size(), ": ", absl::StrJoin(skipped, ", "));
  }
  row("unsynced writes taken by power cuts", writes_cut);
  row("operations acknowledged", acknowledged);
  row("  over beanstalkd's protocol", by_beanstalkd);
  row("  refused", refused);
  row("  answer lost", unknown);
  row("  sent again elsewhere", repeated);
  row("jobs enqueued", enqueued);
  row("  deleted", deleted);
  int told = 0;
  for (const auto& [name, rule] : std::vector<std::pair<std::string, std::string>>{
           {"lost", "nothing acknowledged is lost"},
           {"duplicated", "an enqueue is done once"},
           {"ids used twice", "an id is never reused"},
           {"invented or changed", "nothing is invented"},
           {"overlapping leases", "leases do not overlap"},
           {"stale tokens accepted", "a stale token never succeeds"},
           {"handed out after acknowledged delete", "a delete is final"},
           {"handed out before the delay", "nothing is handed out before its delay"},
           {"counts that do not add up", "counts conserve"},
           {"replicas that differ", "replicas are equal"}}) {
    const int count = CountOf(rule);
    told += count;
    row(name, count);
  }
  if (const int others = static_cast<int>(violations.size()) - told; others > 0) {
    row("other violations", others);
  }
  row("states compared between replicas", states_compared);
  row("longest time without acknowledgement");
  row("  with a majority", Told(gaps.with_majority));
  row("  without", Told(gaps.without_majority));
  return table;
}

}  // namespace holdfast::testing
