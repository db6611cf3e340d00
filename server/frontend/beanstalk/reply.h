// Replies of the beanstalkd protocol as bytes.
//
// Thread-safety: functions without state.

#ifndef HOLDFAST_SERVER_FRONTEND_BEANSTALK_REPLY_H_
#define HOLDFAST_SERVER_FRONTEND_BEANSTALK_REPLY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/frontend/beanstalk/request.h"

namespace holdfast::beanstalk {

// "DELETED"
void AppendWord(std::string* out, std::string_view word);
// "INSERTED 7", "WATCHING 2", "KICKED 3"
void AppendNumber(std::string* out, std::string_view word, uint64_t number);
// "USING mail"
void AppendName(std::string* out, std::string_view word, std::string_view name);
// "RESERVED 7 5", "FOUND 7 5", and the body
void AppendJob(std::string* out, std::string_view word, uint64_t id, std::string_view body);
// "OK 5", and the data
void AppendData(std::string* out, std::string_view data);

// The word for a request with a flaw. REQUIRES: flaw != kNone.
std::string_view FlawWord(Flaw flaw);

// Builds what stats and list commands answer: YAML with one thing a line, as beanstalkd prints it.
class Yaml {
 public:
  void Item(std::string_view name);  // - name
  void Number(std::string_view key, uint64_t value);
  void Word(std::string_view key, std::string_view value);    // never in quotes
  void Quoted(std::string_view key, std::string_view value);  // in double quotes
  void Seconds(std::string_view key, int64_t micros);         // 3.000042

  const std::string& text() const { return text_; }

 private:
  std::string text_ = "---\n";
};

}  // namespace holdfast::beanstalk

#endif  // HOLDFAST_SERVER_FRONTEND_BEANSTALK_REPLY_H_
