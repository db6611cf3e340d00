// Judges of a history: each tells every way in which it breaks one of the promises of design.md.
//
// They assume that at the end every queue was drained: all that was left was reserved and deleted
// and is in the history. Unknown outcomes are taken either way, so that a checker reports only
// what no correct server can have done. Functions without state; n log n in operations, but
// quadratic in those on one job.

#ifndef HOLDFAST_TESTS_SUPPORT_CHECKERS_H_
#define HOLDFAST_TESTS_SUPPORT_CHECKERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/history.h"

namespace holdfast::testing {

struct Violation {
  std::string rule;
  std::string what;
};

struct CheckerOptions {
  // By how much log time may differ from the test's clock (both since the Unix epoch). What is
  // reckoned by the test's clock alone, of a hold, may be wrong by it at both ends.
  int64_t clock_difference_micros = 2'000'000;
};

// Every acknowledged job was deleted at some time, or may have been.
std::vector<Violation> CheckNothingLost(const std::vector<Operation>& operations);
// Everything handed out was enqueued, by an enqueue that was not refused, with that body and id.
std::vector<Violation> CheckNothingInvented(const std::vector<Operation>& operations);
// Each key became one job at most, however often its request was repeated; each id is one job.
std::vector<Violation> CheckExactlyOnce(const std::vector<Operation>& operations);
// No two leases of one job are valid at one moment, of log time if both have tokens; no token is
// given twice.
std::vector<Violation> CheckLeasesDoNotOverlap(const std::vector<Operation>& operations,
                                               const CheckerOptions& options);
// Nothing succeeds with a lease that had been replaced or had expired, and nothing is deleted that
// somebody else holds. (Without a lease anybody may delete what nobody holds.)
std::vector<Violation> CheckStaleTokensFail(const std::vector<Operation>& operations,
                                            const CheckerOptions& options);
// What was deleted for sure is never handed out or deleted again.
std::vector<Violation> CheckDeletesAreFinal(const std::vector<Operation>& operations);
// Nothing is handed out before its delay is over.
std::vector<Violation> CheckNothingEarly(const std::vector<Operation>& operations,
                                         const CheckerOptions& options);
// total_enqueued = total_deleted + ready + delayed + reserved + buried, in each sample.
std::vector<Violation> CheckCountsConserve(const std::vector<CountsSample>& samples);

// All of the above.
std::vector<Violation> CheckAll(const History& history, const CheckerOptions& options);

// "2 violations: rule: what; rule: what", with at most `shown_max` of them.
std::string Describe(const std::vector<Violation>& violations, size_t shown_max);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_SUPPORT_CHECKERS_H_
