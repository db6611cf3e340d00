// A listening socket, TCP or unix, on a loop.
//
// An address is HOST:PORT (HOST a name or a number, [..] round IPv6; port 0: any free one) or
// unix:PATH, where a socket that lies there already is replaced.
//
// Bounds: a backlog of 1024 connections. Without descriptors to spare it tries again every 100 ms
// while connections wait.
// Thread-safety: Open from any thread; the rest is loop-bound.

#ifndef HOLDFAST_SERVER_NET_LISTENER_H_
#define HOLDFAST_SERVER_NET_LISTENER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/net/event_loop.h"

namespace holdfast {

// A listening, non-blocking socket; the caller closes it.
// Errors: INVALID_ARGUMENT for an address of neither form; UNAVAILABLE, with why, when it cannot
// be listened on.
absl::StatusOr<int> ListenOn(const std::string& address);
// Where a socket listens, in the form above.
std::string AddressOf(int fd);
// Raises this process's limit on open descriptors as far as it may: each connection is one.
void AllowManyDescriptors();

class Listener final : private EventLoop::Watcher {
 public:
  // Takes a connected, non-blocking socket.
  using Accept = std::function<void(int fd)>;

  // Takes over `fd`.
  Listener(EventLoop* loop, int fd, Accept accept)
      : loop_(loop), fd_(fd), accept_(std::move(accept)) {}
  // REQUIRES: on the loop if started.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void Start();

 private:
  void OnEvents(uint32_t events) override;
  void OnTurnEnd() override { AcceptSome(); }
  void AcceptSome();
  void TryLater();

  EventLoop* const loop_;
  const int fd_;
  const Accept accept_;
  bool started_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for the timer
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_NET_LISTENER_H_
