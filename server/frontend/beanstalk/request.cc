#include "server/frontend/beanstalk/request.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "queue/command.h"

namespace holdfast::beanstalk {
namespace {

struct Prefix {
  std::string_view text;
  bool alone;  // the line is nothing but this
};

// By Verb's numbers.
constexpr Prefix kPrefixes[] = {
    {"put ", false},          {"peek ", false},      {"peek-ready", true},
    {"peek-delayed", true},   {"peek-buried", true}, {"reserve-with-timeout ", false},
    {"reserve-job ", false},  {"reserve", true},     {"delete ", false},
    {"release ", false},      {"bury ", false},      {"kick ", false},
    {"kick-job ", false},     {"touch ", false},     {"stats-job ", false},
    {"stats-tube ", false},   {"stats", true},       {"use ", false},
    {"watch ", false},        {"ignore ", false},    {"list-tubes-watched", true},
    {"list-tube-used", true}, {"list-tubes", true},  {"quit", false},
    {"pause-tube", false},
};
static_assert(std::size(kPrefixes) == kVerbs);

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void SkipSpaces(std::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(' '), text->size()));
}

// Takes digits off the front; false if there are none or the number does not fit.
bool TakeDigits(std::string_view* text, uint64_t* out) {
  if (text->empty() || !IsDigit(text->front())) return false;
  uint64_t value = 0;
  while (!text->empty() && IsDigit(text->front())) {
    const auto digit = static_cast<uint64_t>(text->front() - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
    text->remove_prefix(1);
  }
  *out = value;
  return true;
}

bool TakeNumber(std::string_view* text, uint64_t* out) {
  SkipSpaces(text);
  return TakeDigits(text, out);
}

bool TakeNumber(std::string_view* text, uint32_t* out) {
  uint64_t value = 0;
  if (!TakeNumber(text, &value) || value > UINT32_MAX) return false;
  *out = static_cast<uint32_t>(value);
  return true;
}

bool IsCSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// kick's bound is read as C's strtoul does, and its low 32 bits count: what follows the digits is
// ignored and a sign is allowed.
bool TakeBound(std::string_view* text, uint32_t* out) {
  while (!text->empty() && IsCSpace(text->front())) text->remove_prefix(1);
  const bool minus = text->starts_with('-');
  if (minus || text->starts_with('+')) text->remove_prefix(1);
  uint64_t value = 0;
  if (!TakeDigits(text, &value)) return false;
  *out = static_cast<uint32_t>(minus ? -value : value);
  return true;
}

bool TakeTube(std::string_view text, Request* out) {
  out->tube = text;
  return IsValidQueueName(text);
}

// The name may follow the command without a space.
bool TakePauseTube(std::string_view text, Request* out) {
  SkipSpaces(&text);
  const size_t end = std::min(text.find(' '), text.size());
  if (!TakeTube(text.substr(0, end), out)) return false;
  text.remove_prefix(end);
  return TakeNumber(&text, &out->number) && text.empty();
}

bool TakePut(std::string_view text, uint32_t body_bytes_max, Request* out) {
  if (!TakeNumber(&text, &out->priority) || !TakeNumber(&text, &out->delay_s) ||
      !TakeNumber(&text, &out->ttr_s) || !TakeNumber(&text, &out->number)) {
    return false;
  }
  out->ttr_s = std::max(out->ttr_s, 1u);
  if (out->number > body_bytes_max) {
    out->flaw = Flaw::kJobTooBig;
    return true;
  }
  return text.empty();
}

bool TakeArguments(std::string_view text, uint32_t body_bytes_max, Request* out) {
  switch (out->verb) {
    case Verb::kPut:
      return TakePut(text, body_bytes_max, out);
    case Verb::kReserveWithTimeout:
      return TakeNumber(&text, &out->number) &&
             out->number <= uint32_t{std::numeric_limits<int32_t>::max()};
    case Verb::kRelease:
      return TakeNumber(&text, &out->id) && TakeNumber(&text, &out->priority) &&
             TakeNumber(&text, &out->delay_s) && text.empty();
    case Verb::kBury:
      return TakeNumber(&text, &out->id) && TakeNumber(&text, &out->priority) && text.empty();
    case Verb::kKick:
      return TakeBound(&text, &out->number);
    case Verb::kStatsTube:
    case Verb::kUse:
    case Verb::kWatch:
    case Verb::kIgnore:
      return TakeTube(text, out);
    case Verb::kPauseTube:
      return TakePauseTube(text, out);
    case Verb::kQuit:
      return true;
    default:
      return TakeNumber(&text, &out->id) && text.empty();
  }
}

}  // namespace

Request ParseLine(std::string_view line, uint32_t body_bytes_max) {
  Request request;
  if (line.size() + 2 > kLineBytesMax || line.find('\0') != std::string_view::npos) {
    request.flaw = Flaw::kBadFormat;
    return request;
  }
  const auto fits = [line](const Prefix& prefix) { return line.starts_with(prefix.text); };
  const auto prefix = std::find_if(std::begin(kPrefixes), std::end(kPrefixes), fits);
  if (prefix == std::end(kPrefixes)) {
    request.flaw = Flaw::kUnknownCommand;
    return request;
  }
  request.verb = static_cast<Verb>(prefix - std::begin(kPrefixes));
  const std::string_view rest = line.substr(prefix->text.size());
  const bool good = prefix->alone ? rest.empty() : TakeArguments(rest, body_bytes_max, &request);
  if (!good) request.flaw = Flaw::kBadFormat;
  return request;
}

}  // namespace holdfast::beanstalk
