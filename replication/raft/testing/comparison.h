// Compares what a command printed with what its script expects.
//
// Pure functions without state.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_COMPARISON_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_COMPARISON_H_

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::raft {

struct ComparisonOptions {
  // Lines of the log (DEBUG ... FATAL) do not count.
  bool ignore_log = false;
  // Neither does how etcd-raft's versions print the same: several entries, a snapshot or responses
  // on one line or on several; the commit index of an append's response and of a progress; "ok"
  // with or without "(quiet)".
  bool ignore_version = false;
};

// The lines that differ, "-" before what was expected and "+" before what was printed; none: the
// texts are the same.
std::vector<std::string> Compare(std::string_view expected, std::string_view printed,
                                 const ComparisonOptions& options);

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_COMPARISON_H_
