// Any bytes, however they are cut: the same requests, each within its bounds, and replies about
// them are of the form that clients read.
//
// The first byte says how large the pieces are.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "queue/command.h"
#include "server/frontend/beanstalk/parser.h"
#include "server/frontend/beanstalk/reply.h"

namespace {

using holdfast::beanstalk::Flaw;
using holdfast::beanstalk::Parser;
using holdfast::beanstalk::Request;

constexpr uint32_t kBodyBytesMax = 300;

std::string Describe(const Request& request) {
  if (request.flaw == Flaw::kUnknownCommand || request.flaw == Flaw::kBadFormat) {
    std::string reply;
    holdfast::beanstalk::AppendWord(&reply, holdfast::beanstalk::FlawWord(request.flaw));
    return reply;
  }
  CHECK(request.tube.empty() || holdfast::IsValidQueueName(request.tube));
  CHECK_LE(request.body.size(), size_t{kBodyBytesMax});
  std::string text;
  for (const uint64_t number :
       {uint64_t(request.verb), uint64_t(request.flaw), request.id, uint64_t{request.priority},
        uint64_t{request.delay_s}, uint64_t{request.ttr_s}, uint64_t{request.number}}) {
    text.append(std::to_string(number)).append(" ");
  }
  return text.append(request.tube).append(" ").append(request.body);
}

std::vector<std::string> Cut(std::string_view bytes, size_t piece) {
  Parser parser(kBodyBytesMax);
  std::vector<std::string> requests;
  while (!bytes.empty()) {
    // A copy, so that a view beyond the piece is seen by a sanitizer.
    const std::string part(bytes.substr(0, piece));
    bytes.remove_prefix(part.size());
    std::string_view rest = part;
    while (const std::optional<Request> request = parser.Next(&rest)) {
      requests.push_back(Describe(*request));
    }
    CHECK(rest.empty());
  }
  return requests;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<std::string> whole = Cut(bytes, SIZE_MAX);
  CHECK(whole == Cut(bytes, 1));
  CHECK(whole == Cut(bytes, size_t{data[0]} + 1));
  return 0;
}
