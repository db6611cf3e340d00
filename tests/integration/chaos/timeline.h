// When which fault was under way, and when the nodes could have served: what the longest time
// without an acknowledgement is judged by.

#ifndef HOLDFAST_TESTS_INTEGRATION_CHAOS_TIMELINE_H_
#define HOLDFAST_TESTS_INTEGRATION_CHAOS_TIMELINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/history.h"

namespace holdfast::testing {

// A time without an acknowledgement.
struct Gap {
  absl::Duration length;
  std::string fault;  // the last that had begun at its middle
};

// Times are microseconds since the Unix epoch by the test's clock and may not go backwards.
// Thread-safety: thread-compatible.
class Timeline {
 public:
  void BeginFault(const std::string& name, int64_t now_micros) {
    faults_.push_back({.begin_micros = now_micros, .name = name});
  }
  // `majority`: some node runs and reaches, in both directions, enough others that run.
  void SetMajority(bool majority, int64_t now_micros);

  struct Gaps {
    Gap with_majority;     // longest of those during which there was a majority all the time
    Gap without_majority;  // longest of the others
  };
  // From `begin_micros` to `end_micros`, with the moments at which something was acknowledged.
  Gaps LongestGaps(std::vector<int64_t> acknowledged_micros, int64_t begin_micros,
                   int64_t end_micros) const;

 private:
  struct Fault {
    int64_t begin_micros;
    std::string name;
  };
  struct Change {
    int64_t micros;
    bool majority;
  };
  bool MajorityThroughout(int64_t begin_micros, int64_t end_micros) const;
  std::string FaultAt(int64_t micros) const;

  std::vector<Fault> faults_;
  std::vector<Change> changes_;  // in turn; there is a majority before the first
};

// When anything of an operation was done: the ends of those that the server said it had done.
std::vector<int64_t> AcknowledgedMicros(const std::vector<Operation>& operations);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_CHAOS_TIMELINE_H_
