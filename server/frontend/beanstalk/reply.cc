#include "server/frontend/beanstalk/reply.h"

#include <charconv>

#include "base/check.h"

namespace holdfast::beanstalk {
namespace {

constexpr std::string_view kCrlf = "\r\n";

void AppendDecimal(std::string* out, uint64_t number) {
  char digits[20];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), number);
  out->append(digits, static_cast<size_t>(end.ptr - digits));
}

}  // namespace

void AppendWord(std::string* out, std::string_view word) { out->append(word).append(kCrlf); }

void AppendNumber(std::string* out, std::string_view word, uint64_t number) {
  out->append(word).append(" ");
  AppendDecimal(out, number);
  out->append(kCrlf);
}

void AppendName(std::string* out, std::string_view word, std::string_view name) {
  out->append(word).append(" ").append(name).append(kCrlf);
}

void AppendJob(std::string* out, std::string_view word, uint64_t id, std::string_view body) {
  out->append(word).append(" ");
  AppendDecimal(out, id);
  AppendNumber(out, "", body.size());
  out->append(body).append(kCrlf);
}

void AppendData(std::string* out, std::string_view data) {
  AppendNumber(out, "OK", data.size());
  out->append(data).append(kCrlf);
}

std::string_view FlawWord(Flaw flaw) {
  switch (flaw) {
    case Flaw::kUnknownCommand:
      return "UNKNOWN_COMMAND";
    case Flaw::kBadFormat:
      return "BAD_FORMAT";
    case Flaw::kExpectedCrlf:
      return "EXPECTED_CRLF";
    case Flaw::kJobTooBig:
      return "JOB_TOO_BIG";
    case Flaw::kNone:
      break;
  }
  CHECK(false);
  return "";
}

void Yaml::Item(std::string_view name) { text_.append("- ").append(name).append("\n"); }

void Yaml::Number(std::string_view key, uint64_t value) {
  text_.append(key).append(": ");
  AppendDecimal(&text_, value);
  text_.append("\n");
}

void Yaml::Word(std::string_view key, std::string_view value) {
  text_.append(key).append(": ").append(value).append("\n");
}

void Yaml::Quoted(std::string_view key, std::string_view value) {
  text_.append(key).append(": \"").append(value).append("\"\n");
}

void Yaml::Seconds(std::string_view key, int64_t micros) {
  std::string digits = std::to_string(micros % 1'000'000);
  digits.insert(0, 6 - digits.size(), '0');
  Word(key, std::to_string(micros / 1'000'000) + "." + digits);
}

}  // namespace holdfast::beanstalk
