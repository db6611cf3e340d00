#include "tests/integration/beanstalk_calls.h"

#include <algorithm>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace holdfast::testing {

BeanstalkReply Said(BeanstalkConnection* connection, std::initializer_list<const char*> when_done) {
  const std::optional<std::string> line = connection->ReadLine();
  if (!line.has_value()) return {};
  const std::vector<std::string> words = absl::StrSplit(*line, ' ');
  BeanstalkReply reply;
  reply.word = words[0];
  for (size_t i = 1; i < words.size(); ++i) {
    uint64_t number = 0;
    if (absl::SimpleAtoi(words[i], &number)) reply.numbers.push_back(number);
  }
  const auto is_word = [&](const char* word) { return reply.word == word; };
  const std::initializer_list<const char*> refusals = {"NOT_FOUND", "INTERNAL_ERROR",
                                                       "OUT_OF_MEMORY"};
  const bool done = std::any_of(when_done.begin(), when_done.end(), is_word);
  if (!done && std::none_of(refusals.begin(), refusals.end(), is_word)) {
    CHECK_EQ(*line, "an answer of the protocol");
  }
  reply.ended = done ? Ended::kOk : Ended::kRefused;
  return reply;
}

absl::Status WorkOnOne(BeanstalkConnection* connection, const std::string& tube) {
  connection->Send(absl::StrCat("use ", tube, "\r\nwatch ", tube, "\r\nput 0 0 60 0\r\n\r\n"));
  for (const char* const done : {"USING", "WATCHING", "INSERTED"}) {
    const BeanstalkReply reply = Said(connection, {done});
    if (!reply.ok()) return absl::UnavailableError(absl::StrCat(reply.word, " for ", done));
  }
  connection->Send("reserve-with-timeout 5\r\n");
  const BeanstalkReply reserved = Said(connection, {"RESERVED", "TIMED_OUT"});
  if (reserved.word != "RESERVED") {
    return absl::UnavailableError(absl::StrCat(reserved.word, " for RESERVED"));
  }
  connection->ReadBody(reserved.numbers.at(1));
  connection->Send(absl::StrCat("delete ", reserved.numbers.at(0), "\r\n"));
  const BeanstalkReply deleted = Said(connection, {"DELETED"});
  if (deleted.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(deleted.word, " for DELETED"));
}

void Count(const BeanstalkReply& reply, SharedState* shared) {
  if (reply.ended == Ended::kRefused && reply.word != "NOT_FOUND") shared->refused.fetch_add(1);
  if (!reply.ok()) return;
  shared->acknowledged.fetch_add(1);
  shared->by_beanstalkd.fetch_add(1);
}

}  // namespace holdfast::testing
