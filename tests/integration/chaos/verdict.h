// What a chaos run came to: what was done to the clusters, what the clients did, and every promise
// that was broken.

#ifndef HOLDFAST_TESTS_INTEGRATION_CHAOS_VERDICT_H_
#define HOLDFAST_TESTS_INTEGRATION_CHAOS_VERDICT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/integration/chaos/timeline.h"
#include "tests/support/checkers.h"

namespace holdfast::testing {

struct Verdict {
  uint64_t seed = 0;
  int nodes = 0;
  int clusters = 0;  // one after the other
  absl::Duration length;
  std::map<std::string, int> faults;  // injected, by name
  std::vector<std::string> skipped;   // faults that this machine does not allow
  std::vector<std::string> damaged;   // what became of each node whose files were damaged
  uint64_t acknowledged = 0;          // commands answered with OK
  uint64_t by_beanstalkd = 0;         // of these, over beanstalkd's protocol
  uint64_t refused = 0;               // certainly not done
  uint64_t unknown = 0;               // answers lost
  uint64_t repeated = 0;              // requests sent again, elsewhere
  uint64_t enqueued = 0;              // jobs
  uint64_t deleted = 0;
  uint64_t writes_cut = 0;       // unsynced, taken away by power cuts
  uint64_t states_compared = 0;  // hashes of replicas at the same entry
  Timeline::Gaps gaps;
  std::vector<Violation> violations;

  // How many violations of the rule there are.
  int CountOf(const std::string& rule) const;
  // Adds what another cluster came to.
  void Add(const Verdict& other);
  // A table for people, of many lines.
  std::string Table() const;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CHAOS_VERDICT_H_
