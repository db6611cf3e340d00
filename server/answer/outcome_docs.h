// Puts the outcome table into a Markdown text, between its two markers.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_ANSWER_OUTCOME_DOCS_H_
#define HOLDFAST_SERVER_ANSWER_OUTCOME_DOCS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace holdfast {

inline constexpr std::string_view kOutcomeTableBegin = "<!-- outcome table: begin -->\n";
inline constexpr std::string_view kOutcomeTableEnd = "<!-- outcome table: end -->\n";

// The text with the table as it is now. NotFound if a marker is missing.
absl::StatusOr<std::string> WithCurrentOutcomeTable(std::string_view text);

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ANSWER_OUTCOME_DOCS_H_
