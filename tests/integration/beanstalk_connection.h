// A plain connection of a test to a server that speaks beanstalkd's protocol.

#ifndef HOLDFAST_TESTS_INTEGRATION_BEANSTALK_CONNECTION_H_
#define HOLDFAST_TESTS_INTEGRATION_BEANSTALK_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace holdfast::testing {

// Once a call has failed the connection is *broken*: what was asked and not answered is not known,
// and nothing can be asked any more.
//
// What is sent at once is answered before anything else is sent: REQUIRES of all callers.
//
// Bounds: kPatience from each Send() to the last answer to it.
// Thread-safety: thread-compatible.
class BeanstalkConnection {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(10);

  // `address`: an IPv4 address and port. UNAVAILABLE when nothing accepts within `timeout`.
  static absl::StatusOr<std::unique_ptr<BeanstalkConnection>> Open(const std::string& address,
                                                                   absl::Duration timeout);
  // Closes.
  ~BeanstalkConnection();
  BeanstalkConnection(const BeanstalkConnection&) = delete;
  BeanstalkConnection& operator=(const BeanstalkConnection&) = delete;

  // False: broken. Takes up to kPatience.
  bool Send(std::string_view bytes);
  // The next line, without its CRLF; nullopt: broken.
  std::optional<std::string> ReadLine();
  // So many bytes, and the CRLF behind them; nullopt: broken.
  std::optional<std::string> ReadBody(size_t size_bytes);
  // Closes at once, by a reset: the server is not told what has been sent. Broken from then on.
  void Reset();

  bool broken() const { return fd_ < 0; }
  // The connection cannot have ended before: when that was sent of which the server has answered
  // something last. Microseconds since the Unix epoch by the test's clock.
  int64_t answered_micros() const { return answered_micros_; }

 private:
  explicit BeanstalkConnection(int fd);
  // Waits until the socket is ready for `events`.
  bool Await(short events);
  // Reads what has come, at least a byte.
  bool Receive();
  void Break();

  int fd_;  // -1: broken
  absl::Time deadline_;
  int64_t sent_micros_;
  int64_t answered_micros_;
  std::string received_;
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_BEANSTALK_CONNECTION_H_
