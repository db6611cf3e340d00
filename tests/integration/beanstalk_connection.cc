#include "tests/integration/beanstalk_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace holdfast::testing {
namespace {

// Waits for one of `events`; false when it is too late.
bool PollUntil(int fd, short events, absl::Time deadline) {
  while (true) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    pollfd poll_for = {.fd = fd, .events = events, .revents = 0};
    const int ready = poll(&poll_for, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<BeanstalkConnection>> BeanstalkConnection::Open(
    const std::string& address, absl::Duration timeout) {
  const size_t colon = address.rfind(':');
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  if (colon == std::string::npos ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(address, " is no IPv4 address and port"));
  }
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "socket");
  std::unique_ptr<BeanstalkConnection> connection(new BeanstalkConnection(fd));
  int error = connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    socklen_t size = sizeof(error);
    if (!PollUntil(fd, POLLOUT, absl::Now() + timeout)) error = ETIMEDOUT;
    if (error != ETIMEDOUT && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
      error = errno;
    }
  }
  if (error != 0) {
    return absl::UnavailableError(
        absl::StrCat("no connection to ", address, ": ", absl::ErrnoToStatus(error, "").message()));
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return connection;
}

BeanstalkConnection::BeanstalkConnection(int fd)
    : fd_(fd), sent_micros_(absl::ToUnixMicros(absl::Now())), answered_micros_(sent_micros_) {}

BeanstalkConnection::~BeanstalkConnection() { Break(); }

void BeanstalkConnection::Break() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void BeanstalkConnection::Reset() {
  if (broken()) return;
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  Break();
}

bool BeanstalkConnection::Await(short events) {
  if (broken()) return false;
  if (PollUntil(fd_, events, deadline_)) return true;
  Break();
  return false;
}

bool BeanstalkConnection::Send(std::string_view bytes) {
  const absl::Time now = absl::Now();
  deadline_ = now + kPatience;
  sent_micros_ = absl::ToUnixMicros(now);
  while (!bytes.empty()) {
    if (!Await(POLLOUT)) return false;
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno != EAGAIN && errno != EINTR) {
      Break();
    }
  }
  return !broken();
}

bool BeanstalkConnection::Receive() {
  char buffer[16 << 10];
  while (Await(POLLIN)) {
    const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
    if (got > 0) {
      answered_micros_ = sent_micros_;
      received_.append(buffer, static_cast<size_t>(got));
      return true;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) Break();
  }
  return false;
}

std::optional<std::string> BeanstalkConnection::ReadLine() {
  size_t end = 0;
  while ((end = received_.find("\r\n")) == std::string::npos) {
    if (!Receive()) return std::nullopt;
  }
  std::string line = received_.substr(0, end);
  received_.erase(0, end + 2);
  return line;
}

std::optional<std::string> BeanstalkConnection::ReadBody(size_t size_bytes) {
  while (received_.size() < size_bytes + 2) {
    if (!Receive()) return std::nullopt;
  }
  std::string body = received_.substr(0, size_bytes);
  const bool framed = received_.compare(size_bytes, 2, "\r\n") == 0;
  received_.erase(0, size_bytes + 2);
  if (framed) return body;
  Break();
  return std::nullopt;
}

}  // namespace holdfast::testing
