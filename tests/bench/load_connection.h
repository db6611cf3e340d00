// A connection of the load generator to a server of the beanstalkd protocol: commands are gathered
// and sent with one system call, what comes is cut into replies.
//
// Bounds: none of its own; who appends to output() sees to it that replies are taken.
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_BENCH_LOAD_CONNECTION_H_
#define HOLDFAST_TESTS_BENCH_LOAD_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast::testing {

class LoadConnection {
 public:
  struct Reply {
    std::string_view word;
    uint64_t id = 0;        // INSERTED, RESERVED
    std::string_view body;  // RESERVED, OK
  };

  // Connects to 127.0.0.1:`port`. `number`: of the connection, from 0; by it another address of
  // 127.0.0.0/8 is the source, so that ports do not run out.
  static absl::StatusOr<std::unique_ptr<LoadConnection>> Open(uint16_t port, uint32_t number);
  ~LoadConnection();
  LoadConnection(const LoadConnection&) = delete;
  LoadConnection& operator=(const LoadConnection&) = delete;

  // A non-blocking socket.
  int fd() const { return fd_; }
  // Commands are appended here.
  std::string* output() { return &output_; }
  // Sends what the socket takes; the rest with the next call.
  absl::Status Send();
  // Reads what is there; the views of a reply end with the call.
  absl::Status Receive(absl::FunctionRef<absl::Status(const Reply&)> on_reply);

  // Sends `command` and waits for its one reply, at most 30 s; the views are good until the next
  // call. REQUIRES: none is awaited.
  absl::StatusOr<Reply> Ask(std::string_view command);

 private:
  explicit LoadConnection(int fd) : fd_(fd) {}

  const int fd_;
  std::string output_;
  size_t sent_ = 0;    // of output_
  std::string input_;  // the beginning of a reply
  std::string asked_;  // what the views of Ask's reply point into
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_BENCH_LOAD_CONNECTION_H_
