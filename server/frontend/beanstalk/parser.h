// Cuts a connection's bytes into requests, as beanstalkd 1.13 does.
//
//              CRLF: a request                put's body and CRLF: a request
//     ┌──────────────────┐                   ┌─────────────────────────────┐
//     ▼                  │                   │                             ▼
//   line ────────────────┴──put's line──▶ body                            line
//     │ │──put's line, too big──▶ skipping ──all skipped: kJobTooBig──────▶ line
//     └──224 bytes, no CRLF──▶ discarding ──CRLF: one kBadFormat──────────▶ line
//
// A line ends with CRLF only. A body is whatever number of bytes was announced.
//
// Bounds: keeps at most 224 bytes of a line or the announced bytes of one body (at most
// body_bytes_max + 2), as far as they have come.
// Thread-safety: thread-compatible. Does no I/O.

#ifndef HOLDFAST_SERVER_FRONTEND_BEANSTALK_PARSER_H_
#define HOLDFAST_SERVER_FRONTEND_BEANSTALK_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/frontend/beanstalk/request.h"

namespace holdfast::beanstalk {

class Parser {
 public:
  explicit Parser(uint32_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

  // Takes bytes off the front of *input, up to the end of the first request that is complete, and
  // returns it; its views are good until the next call and as long as *input's bytes are.
  // nullopt: all of *input was taken, and no request is complete.
  std::optional<Request> Next(std::string_view* input);

  // A request has begun and is not complete.
  bool mid_request() const { return state_ != State::kLine || (!clear_ && !line_.empty()); }
  // How many put commands' lines have been read whose body was to be taken in.
  uint64_t puts_begun() const { return puts_begun_; }

 private:
  enum class State : uint8_t { kLine, kBody, kSkipping, kDiscarding };

  std::optional<Request> TakeLine(std::string_view* input);
  std::optional<Request> TakeBody(std::string_view* input);
  std::optional<Request> Skip(std::string_view* input);
  std::optional<Request> Discard(std::string_view* input);
  // A whole line has been read: the request, or the state in which it will be completed.
  std::optional<Request> Begin(std::string_view line, std::string_view* input);

  const uint32_t body_bytes_max_;
  State state_ = State::kLine;
  bool clear_ = false;       // line_ and body_ are those of the request returned last
  bool after_cr_ = false;    // kDiscarding: the last byte was a CR
  uint64_t bytes_left_ = 0;  // kSkipping: to be skipped still
  uint64_t puts_begun_ = 0;
  Request put_;       // kBody, kSkipping: what its line said
  std::string line_;  // kLine: what has come of it, if it did not come at once
  std::string body_;  // kBody: the same
};

}  // namespace holdfast::beanstalk

#endif  // HOLDFAST_SERVER_FRONTEND_BEANSTALK_PARSER_H_
