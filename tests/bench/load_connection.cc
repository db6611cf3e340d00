#include "tests/bench/load_connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"

namespace holdfast::testing {
namespace {

constexpr uint32_t kConnectionsPerSource = 10'000;
constexpr int kAskMillis = 30'000;

using Reply = LoadConnection::Reply;

std::string_view TakeWord(std::string_view* line) {
  const size_t end = std::min(line->find(' '), line->size());
  const std::string_view word = line->substr(0, end);
  line->remove_prefix(std::min(end + 1, line->size()));
  return word;
}

uint64_t TakeNumber(std::string_view* line) {
  uint64_t value = 0;
  for (const char digit : TakeWord(line)) value = value * 10 + static_cast<uint64_t>(digit - '0');
  return value;
}

// Takes a reply off the front; nullopt, and nothing taken, if it is not whole.
std::optional<Reply> TakeReply(std::string_view* input) {
  const size_t end = input->find("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = input->substr(0, end);
  size_t size = end + 2;
  Reply reply;
  reply.word = TakeWord(&line);
  const bool reserved = reply.word == "RESERVED";
  if (reserved || reply.word == "INSERTED") reply.id = TakeNumber(&line);
  if (reserved || reply.word == "OK") {
    const size_t body_size = TakeNumber(&line);
    if (input->size() < size + body_size + 2) return std::nullopt;
    reply.body = input->substr(size, body_size);
    size += body_size + 2;
  }
  input->remove_prefix(size);
  return reply;
}

sockaddr_in Loopback(uint32_t host, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host);
  address.sin_port = htons(port);
  return address;
}

bool Connect(int fd, const sockaddr_in& from, const sockaddr_in& to) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  return bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) == 0 &&
         connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 &&
         fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LoadConnection>> LoadConnection::Open(uint16_t port,
                                                                     uint32_t number) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("the socket of connection ", number));
  auto connection = std::unique_ptr<LoadConnection>(new LoadConnection(fd));
  if (!Connect(fd, Loopback(number / kConnectionsPerSource, 0), Loopback(0, port))) {
    return ErrnoStatus(errno, absl::StrCat("connection ", number, " to port ", port));
  }
  return connection;
}

LoadConnection::~LoadConnection() { close(fd_); }

absl::Status LoadConnection::Send() {
  while (sent_ < output_.size()) {
    const ssize_t count = send(fd_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return absl::OkStatus();
    if (count < 0) return ErrnoStatus(errno, "send");
    sent_ += static_cast<size_t>(count);
  }
  output_.clear();
  sent_ = 0;
  return absl::OkStatus();
}

absl::Status LoadConnection::Receive(absl::FunctionRef<absl::Status(const Reply&)> on_reply) {
  static thread_local std::array<char, 64 << 10> scratch;
  for (;;) {
    const ssize_t count = recv(fd_, scratch.data(), scratch.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return absl::OkStatus();
    if (count < 0) return ErrnoStatus(errno, "recv");
    if (count == 0) return absl::UnavailableError("the server has closed the connection");
    const auto size = static_cast<size_t>(count);
    std::string kept = std::move(input_);
    if (!kept.empty()) kept.append(scratch.data(), size);
    std::string_view rest = kept.empty() ? std::string_view(scratch.data(), size) : kept;
    while (const std::optional<Reply> reply = TakeReply(&rest)) {
      RETURN_IF_ERROR(on_reply(*reply));
    }
    input_ = rest;
    if (size < scratch.size()) return absl::OkStatus();
  }
}

absl::StatusOr<Reply> LoadConnection::Ask(std::string_view command) {
  output_.append(command);
  RETURN_IF_ERROR(Send());
  std::optional<Reply> answer;
  while (!answer.has_value()) {
    pollfd readable = {.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, kAskMillis) != 1) {
      return absl::DeadlineExceededError("no answer within 30 s to " + std::string(command));
    }
    RETURN_IF_ERROR(Receive([&](const Reply& reply) {
      asked_.assign(reply.word).append(reply.body);
      answer = reply;
      answer->word = std::string_view(asked_).substr(0, reply.word.size());
      answer->body = std::string_view(asked_).substr(reply.word.size());
      return absl::OkStatus();
    }));
  }
  return *answer;
}

}  // namespace holdfast::testing
