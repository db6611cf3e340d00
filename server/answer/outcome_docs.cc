#include "server/answer/outcome_docs.h"

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/answer/outcome_table.h"

namespace holdfast {

absl::StatusOr<std::string> WithCurrentOutcomeTable(std::string_view text) {
  const size_t begin = text.find(kOutcomeTableBegin);
  if (begin == std::string_view::npos) {
    return absl::NotFoundError("no marker " + std::string(kOutcomeTableBegin));
  }
  const size_t after = begin + kOutcomeTableBegin.size();
  const size_t end = text.find(kOutcomeTableEnd, after);
  if (end == std::string_view::npos) {
    return absl::NotFoundError("no marker " + std::string(kOutcomeTableEnd));
  }
  return std::string(text.substr(0, after)) + OutcomeTableMarkdown() +
         std::string(text.substr(end));
}

}  // namespace holdfast
