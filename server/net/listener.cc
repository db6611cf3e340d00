#include "server/net/listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr int kBacklog = 1024;
// Accepted in one turn, so that others get theirs.
constexpr int kAcceptsPerTurn = 64;
constexpr int64_t kTryLaterMicros = 100'000;
constexpr char kUnix[] = "unix:";

absl::Status Failed(const std::string& address, const char* what) {
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", address, ": ", what, ": ", std::strerror(errno)));
}

absl::StatusOr<int> Listening(int domain, const sockaddr* at, socklen_t size,
                              const std::string& address) {
  const int fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed(address, "socket");
  const int on = 1;
  if (domain != AF_UNIX) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const char* failed = nullptr;
  if (bind(fd, at, size) != 0) {
    failed = "bind";
  } else if (listen(fd, kBacklog) != 0) {
    failed = "listen";
  }
  if (failed == nullptr) return fd;
  const absl::Status status = Failed(address, failed);
  close(fd);
  return status;
}

absl::StatusOr<int> ListenUnix(const std::string& address) {
  const std::string path = address.substr(std::strlen(kUnix));
  sockaddr_un at = {};
  at.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(at.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' is not a path of 1..", sizeof(at.sun_path) - 1, " bytes"));
  }
  std::memcpy(at.sun_path, path.data(), path.size());
  struct stat there = {};
  if (lstat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode)) unlink(path.c_str());
  return Listening(AF_UNIX, reinterpret_cast<const sockaddr*>(&at), sizeof(at), address);
}

absl::StatusOr<int> ListenTcp(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", address, "' is neither HOST:PORT nor unix:PATH"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = address.substr(colon + 1);
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address, ": ", gai_strerror(error)));
  }
  absl::StatusOr<int> fd = absl::UnavailableError(absl::StrCat(address, " has no address"));
  for (const addrinfo* at = found; at != nullptr && !fd.ok(); at = at->ai_next) {
    fd = Listening(at->ai_family, at->ai_addr, at->ai_addrlen, address);
  }
  freeaddrinfo(found);
  return fd;
}

}  // namespace

absl::StatusOr<int> ListenOn(const std::string& address) {
  return address.rfind(kUnix, 0) == 0 ? ListenUnix(address) : ListenTcp(address);
}

std::string AddressOf(int fd) {
  sockaddr_storage at = {};
  socklen_t size = sizeof(at);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) return "";
  if (at.ss_family == AF_UNIX) {
    return absl::StrCat(kUnix, reinterpret_cast<const sockaddr_un*>(&at)->sun_path);
  }
  char text[INET6_ADDRSTRLEN] = "";
  if (at.ss_family == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&at);
    inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(six->sin6_port));
  }
  const auto* four = reinterpret_cast<const sockaddr_in*>(&at);
  inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
  return absl::StrCat(text, ":", ntohs(four->sin_port));
}

void AllowManyDescriptors() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // what it is already is enough to go on with
}

Listener::~Listener() {
  *alive_ = false;
  if (started_) loop_->Unwatch(fd_, this);
  close(fd_);
}

void Listener::Start() {
  started_ = true;
  loop_->Watch(fd_, this);
}

void Listener::OnEvents(uint32_t) { AcceptSome(); }

void Listener::AcceptSome() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
      accept_(fd);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    const bool exhausted =
        errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    if (exhausted) return TryLater();
    // Anything else concerns the connection that was to be accepted, not those behind it.
  }
  loop_->AtTurnEnd(this);
}

void Listener::TryLater() {
  loop_->RunAt(loop_->MonotonicMicros() + kTryLaterMicros, [this, alive = alive_] {
    if (*alive) AcceptSome();
  });
}

}  // namespace holdfast
