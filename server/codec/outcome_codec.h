// Outcomes as bytes: stored with remembered requests. Layout: FORMAT.md, "Outcome".
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_CODEC_OUTCOME_CODEC_H_
#define HOLDFAST_SERVER_CODEC_OUTCOME_CODEC_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "queue/outcome.h"

namespace holdfast {

// REQUIRES: at most kItemsPerCommandMax items and as many grants.
void AppendOutcome(std::string* out, const Outcome& outcome);

// DataLoss if the bytes are not exactly one outcome.
absl::StatusOr<Outcome> DecodeOutcome(std::string_view bytes);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_CODEC_OUTCOME_CODEC_H_
