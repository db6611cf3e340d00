// One request of the beanstalkd protocol, and how its line is read.
//
// The rules are those of beanstalkd 1.13: the command is found by the first prefix that fits, so a
// longer word with a known beginning is BAD_FORMAT and not UNKNOWN_COMMAND; a number may have
// spaces before it and no sign.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_BEANSTALK_REQUEST_H_
#define HOLDFAST_SERVER_FRONTEND_BEANSTALK_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::beanstalk {

// In the order in which prefixes are tried.
enum class Verb : uint8_t {
  kPut = 0,
  kPeek = 1,
  kPeekReady = 2,
  kPeekDelayed = 3,
  kPeekBuried = 4,
  kReserveWithTimeout = 5,
  kReserveJob = 6,
  kReserve = 7,
  kDelete = 8,
  kRelease = 9,
  kBury = 10,
  kKick = 11,
  kKickJob = 12,
  kTouch = 13,
  kStatsJob = 14,
  kStatsTube = 15,
  kStats = 16,
  kUse = 17,
  kWatch = 18,
  kIgnore = 19,
  kListTubesWatched = 20,
  kListTubeUsed = 21,
  kListTubes = 22,
  kQuit = 23,
  kPauseTube = 24,
};
inline constexpr size_t kVerbs = 25;

// Why a request is answered by an error without being looked at further.
enum class Flaw : uint8_t {
  kNone = 0,
  kUnknownCommand = 1,
  kBadFormat = 2,
  kExpectedCrlf = 3,  // put: its body does not end where it should
  kJobTooBig = 4,     // put: its body is larger than the limit; it has been skipped
};

// Which fields count depends on the verb; none but `verb` with a flaw, and not even that with
// kUnknownCommand and kBadFormat.
struct Request {
  Verb verb = Verb::kPut;
  Flaw flaw = Flaw::kNone;
  uint64_t id = 0;        // peek, reserve-job, delete, release, bury, kick-job, touch, stats-job
  uint32_t priority = 0;  // put, release, bury
  uint32_t delay_s = 0;   // put, release
  uint32_t ttr_s = 0;     // put; at least 1
  uint32_t number = 0;    // reserve-with-timeout, pause-tube: seconds; kick: bound; put: bytes
  std::string_view tube;  // stats-tube, use, watch, ignore, pause-tube; valid
  std::string_view body;  // put
};

// The longest line, its CRLF included.
inline constexpr size_t kLineBytesMax = 224;

// Reads a line without its CRLF; any bytes. A put comes back without its body. The views point
// into `line`.
// `body_bytes_max`: a put that announces more has the flaw kJobTooBig.
Request ParseLine(std::string_view line, uint32_t body_bytes_max);

}  // namespace holdfast::beanstalk

#endif  // HOLDFAST_SERVER_FRONTEND_BEANSTALK_REQUEST_H_
