#include "client/cli/values.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace holdfast {

absl::StatusOr<absl::Duration> ParseDuration(const std::string& text) {
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' is not a duration; examples: 5s, 250ms, 1h30m, or a number of seconds"));
  }
  if (duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("duration '", text, "' is negative or without end"));
  }
  return duration;
}

absl::StatusOr<v1::Lease> ParseLease(const std::string& text) {
  const size_t colon = text.find(':');
  uint64_t id = 0;
  uint64_t token = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(0, colon), &id) ||
      !absl::SimpleAtoi(text.substr(colon + 1), &token)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' is not a lease; it has the form JOB_ID:TOKEN, as 'holdfast reserve' prints"));
  }
  v1::Lease lease;
  lease.set_job_id(id);
  lease.set_token(token);
  return lease;
}

absl::StatusOr<std::pair<std::string, std::string>> ParseAttribute(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not an attribute; it has the form NAME=VALUE"));
  }
  return std::make_pair(text.substr(0, equals), text.substr(equals + 1));
}

absl::StatusOr<v1::JobState> ParseState(const std::string& text) {
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  if (!v1::JobState_Parse("JOB_STATE_" + absl::AsciiStrToUpper(text), &state) ||
      state == v1::JOB_STATE_UNSPECIFIED) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' is not a state; states are ready, delayed, reserved and buried"));
  }
  return state;
}

std::string LeaseText(const v1::Lease& lease) {
  return absl::StrCat(lease.job_id(), ":", lease.token());
}

std::string StateText(v1::JobState state) {
  const std::string name = v1::JobState_Name(state);
  const std::string prefix = "JOB_STATE_";
  return name.rfind(prefix, 0) == 0 ? absl::AsciiStrToLower(name.substr(prefix.size()))
                                    : absl::StrCat("state ", static_cast<int>(state));
}

std::string ReasonText(v1::BuriedReason reason) {
  const std::string name = v1::BuriedReason_Name(reason);
  const std::string prefix = "BURIED_REASON_";
  return name.rfind(prefix, 0) == 0 ? absl::AsciiStrToLower(name.substr(prefix.size()))
                                    : absl::StrCat("reason ", static_cast<int>(reason));
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ",
                          absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
                          absl::UTCTimeZone());
}

}  // namespace holdfast
