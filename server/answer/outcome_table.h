// What every outcome of a command and every trouble of a node is called on each protocol: one
// table for all who answer clients, printed into docs/api.md.
//
// Two families of rows: outcomes (the command was committed and applied, and this came of it) and
// troubles (it was refused by a frontend, a node or the cluster, or nobody knows).
//
// Thread-safety: functions without state; the table is constant.

#ifndef HOLDFAST_SERVER_ANSWER_OUTCOME_TABLE_H_
#define HOLDFAST_SERVER_ANSWER_OUTCOME_TABLE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "queue/outcome.h"

namespace holdfast {

// What keeps a request from being carried out, besides its outcome.
enum class Trouble : uint8_t {
  kInvalidField = 0,  // a frontend refused a field
  kOverloaded = 1,    // certainly not executed: a bound of the node
  kDiskFull = 2,      // certainly not executed
  kUnavailable = 3,   // certainly not executed: starting, draining, not the leader
  kOutcomeUnknown = 4,
  kDataDamaged = 5,
  kInternal = 6,   // a defect
  kCancelled = 7,  // by the caller
  kDeadlineExceeded = 8,
  kRefused = 9,   // it does not fit what is there: a change of the cluster's members
  kChanged = 10,  // others changed the same meanwhile
};
inline constexpr int kTroubles = 11;

// How one outcome or trouble is told.
struct Answer {
  // gRPC: the status code (the same numbers as gRPC's), and the ErrorInfo reason, a name of
  // holdfast.v1.ErrorReason; empty iff the code is OK.
  absl::StatusCode status;
  std::string_view reason;
  // beanstalkd: the reply's first word; "-" where the protocol cannot meet it, "(command)" where
  // it depends on the command, "(closes)" where the connection is closed without a reply.
  std::string_view beanstalkd;
  // HTTP: the status code.
  int http;
  // One English sentence, the default message.
  std::string_view sentence;

  bool ok() const { return status == absl::StatusCode::kOk; }
};

const Answer& AnswerFor(OutcomeCode code);
const Answer& AnswerFor(Trouble trouble);

// Which trouble a status of the engine or the cluster is. REQUIRES: !status.ok().
Trouble TroubleOf(const absl::Status& status);

// All rows, in the order of the documentation.
absl::Span<const Answer> OutcomeAnswers();
absl::Span<const Answer> TroubleAnswers();

// The table as Markdown, one row a line, rows of the same reason once.
std::string OutcomeTableMarkdown();

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ANSWER_OUTCOME_TABLE_H_
