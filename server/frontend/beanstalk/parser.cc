#include "server/frontend/beanstalk/parser.h"

#include <algorithm>

namespace holdfast::beanstalk {
namespace {

constexpr std::string_view kCrlf = "\r\n";

std::string_view TakeFront(std::string_view* input, size_t size) {
  const std::string_view front = input->substr(0, size);
  input->remove_prefix(size);
  return front;
}

}  // namespace

std::optional<Request> Parser::Next(std::string_view* input) {
  if (clear_) {
    line_ = std::string();
    body_ = std::string();
    clear_ = false;
  }
  switch (state_) {
    case State::kLine:
      return TakeLine(input);
    case State::kBody:
      return TakeBody(input);
    case State::kSkipping:
      return Skip(input);
    case State::kDiscarding:
      return Discard(input);
  }
  return std::nullopt;
}

std::optional<Request> Parser::TakeLine(std::string_view* input) {
  if (line_.empty()) {
    const size_t end = input->substr(0, kLineBytesMax).find(kCrlf);
    if (end != std::string_view::npos) {
      const std::string_view line = TakeFront(input, end + kCrlf.size());
      return Begin(line.substr(0, end), input);
    }
  }
  const size_t known = line_.size();
  const size_t taken = std::min(input->size(), kLineBytesMax - known);
  line_.append(input->substr(0, taken));
  const size_t end = line_.find(kCrlf, known == 0 ? 0 : known - 1);
  if (end != std::string::npos) {
    input->remove_prefix(end + kCrlf.size() - known);
    clear_ = true;
    return Begin(std::string_view(line_).substr(0, end), input);
  }
  input->remove_prefix(taken);
  if (line_.size() < kLineBytesMax) return std::nullopt;
  state_ = State::kDiscarding;
  after_cr_ = line_.back() == '\r';
  line_ = std::string();
  return Discard(input);
}

std::optional<Request> Parser::Begin(std::string_view line, std::string_view* input) {
  const Request request = ParseLine(line, body_bytes_max_);
  const bool put = request.verb == Verb::kPut;
  if (put && request.flaw == Flaw::kJobTooBig) {
    put_ = request;
    bytes_left_ = uint64_t{request.number} + kCrlf.size();
    state_ = State::kSkipping;
    return Skip(input);
  }
  if (put && request.flaw == Flaw::kNone) {
    put_ = request;
    ++puts_begun_;
    state_ = State::kBody;
    line_ = std::string();
    clear_ = false;
    return TakeBody(input);
  }
  return request;
}

std::optional<Request> Parser::TakeBody(std::string_view* input) {
  const size_t size = size_t{put_.number} + kCrlf.size();
  std::string_view body;
  if (body_.empty() && input->size() >= size) {
    body = TakeFront(input, size);
  } else {
    body_.append(TakeFront(input, std::min(input->size(), size - body_.size())));
    if (body_.size() < size) return std::nullopt;
    body = body_;
    clear_ = true;
  }
  state_ = State::kLine;
  put_.body = body.substr(0, put_.number);
  put_.flaw = body.ends_with(kCrlf) ? Flaw::kNone : Flaw::kExpectedCrlf;
  return put_;
}

std::optional<Request> Parser::Skip(std::string_view* input) {
  const uint64_t skipped = std::min<uint64_t>(input->size(), bytes_left_);
  input->remove_prefix(skipped);
  bytes_left_ -= skipped;
  if (bytes_left_ > 0) return std::nullopt;
  state_ = State::kLine;
  return put_;
}

std::optional<Request> Parser::Discard(std::string_view* input) {
  const size_t end = input->find(kCrlf);
  if (after_cr_ && input->starts_with('\n')) {
    input->remove_prefix(1);
  } else if (end != std::string_view::npos) {
    input->remove_prefix(end + kCrlf.size());
  } else {
    if (!input->empty()) after_cr_ = input->back() == '\r';
    input->remove_prefix(input->size());
    return std::nullopt;
  }
  state_ = State::kLine;
  Request request;
  request.flaw = Flaw::kBadFormat;
  return request;
}

}  // namespace holdfast::beanstalk
