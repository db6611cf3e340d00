// The forms in which the command line takes and prints values.
//
//   duration   5s, 1.5h, 250ms, 2h45m, or a plain number of seconds; "forever" where it may be
//   lease      JOB_ID:TOKEN, as `holdfast reserve` prints it
//   attribute  NAME=VALUE
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_CLIENT_CLI_VALUES_H_
#define HOLDFAST_CLIENT_CLI_VALUES_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/duration.h"  // for those who take durations
#include "google/protobuf/timestamp.pb.h"
#include "proto/holdfast/v1/job.pb.h"

namespace holdfast {

// INVALID_ARGUMENT, naming the value, if it is negative or not a duration.
absl::StatusOr<absl::Duration> ParseDuration(const std::string& text);
absl::StatusOr<v1::Lease> ParseLease(const std::string& text);
absl::StatusOr<std::pair<std::string, std::string>> ParseAttribute(const std::string& text);
// "ready", "delayed", "reserved", "buried".
absl::StatusOr<v1::JobState> ParseState(const std::string& text);

std::string LeaseText(const v1::Lease& lease);
std::string StateText(v1::JobState state);
std::string ReasonText(v1::BuriedReason reason);
// RFC 3339 in UTC with milliseconds; "" for an unset time.
std::string TimeText(const google::protobuf::Timestamp& time);

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_CLI_VALUES_H_
