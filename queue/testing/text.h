// Commands, outcomes, jobs and queues as readable lines: the language of queue/testdata and of
// what a failed random test prints.
//
// Log times are printed and read relative to an origin ("+1.5s", "never"), durations as seconds
// ("1.5s", "forever"). queue/testdata/README.md describes the command language.
//
// Thread-safety: functions are thread-compatible but for Intern, which has a table of its own
// that is not locked.

#ifndef HOLDFAST_QUEUE_TESTING_TEXT_H_
#define HOLDFAST_QUEUE_TESTING_TEXT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "queue/command.h"
#include "queue/job.h"
#include "queue/machine.h"
#include "queue/outcome.h"
#include "queue/records.h"

namespace holdfast {

// The origin of printed log times.
inline constexpr LogTime kTestOrigin = LogTime::FromMicros(1'700'000'000'000'000);

// The same text, kept for as long as the process runs.
std::string_view Intern(std::string_view text);

std::vector<std::string> SplitWords(std::string_view line, char separator = ' ');

std::string DurationText(LogDuration duration);
std::string TimeText(LogTime time);
// std::nullopt: not a duration ("1s", "1.5s", "20ms", "7us", "2m", "3h", "forever", "0").
std::optional<LogDuration> ParseDuration(std::string_view text);

const char* StateText(JobState state);
const char* CodeText(OutcomeCode code);
std::string HolderText(const Holder& holder);

enum class Detail { kBrief, kFull };
// kFull: every field that means something in the job's state.
std::string JobText(const Job& job, Detail detail);
std::string QueueText(const QueueRecord& queue);
std::string OptionsText(const QueueOptions& options);
// One line for the whole, one for each item and each grant; `body` tells which fields count.
std::string OutcomeText(const CommandBody& body, const Outcome& outcome, Detail detail);
// Sorted by job and token, one line each.
std::string EndedLeasesText(std::vector<Machine::EndedLease> ended);

// One line; ParseCommand reads it back.
std::string CommandText(const Command& command);
// std::nullopt: not a command; `error` says why. Strings of the command are interned.
std::optional<Command> ParseCommand(std::string_view line, std::string* error);

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_TESTING_TEXT_H_
