#include "tests/bench/waiting.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

namespace holdfast::testing {
namespace {

using Clock = std::chrono::steady_clock;
using Connections = std::vector<std::unique_ptr<LoadConnection>>;

// Fewer than a server's backlog of connections that it has not accepted.
constexpr uint32_t kOpenAtOnce = 256;
constexpr absl::Duration kWithin = absl::Seconds(30);

// A number of `stats`.
absl::StatusOr<uint64_t> Statistic(LoadConnection* connection, std::string_view name) {
  ASSIGN_OR_RETURN(const LoadConnection::Reply reply, connection->Ask("stats\r\n"));
  const std::string key = "\n" + std::string(name) + ": ";
  const size_t at = reply.body.find(key);
  uint64_t value = 0;
  const std::string_view rest = reply.body.substr(std::min(at + key.size(), reply.body.size()));
  if (at == std::string_view::npos ||
      !absl::SimpleAtoi(std::string(rest.substr(0, rest.find('\n'))), &value)) {
    return absl::InternalError("stats has no number " + std::string(name));
  }
  return value;
}

absl::Status AwaitStatistic(LoadConnection* connection, std::string_view name, uint64_t wanted) {
  const absl::Time deadline = absl::Now() + kWithin;
  uint64_t value = 0;
  do {
    ASSIGN_OR_RETURN(value, Statistic(connection, name));
    if (value == wanted) return absl::OkStatus();
  } while (absl::Now() < deadline);
  return absl::DeadlineExceededError(
      absl::StrCat(std::string(name), " is ", value, " and not ", wanted, " after 30 s"));
}

absl::StatusOr<std::string> AwaitBody(LoadConnection* connection) {
  std::string body;
  bool came = false;
  while (!came) {
    pollfd readable = {.fd = connection->fd(), .events = POLLIN, .revents = 0};
    const int millis = static_cast<int>(absl::ToInt64Milliseconds(kWithin));
    if (poll(&readable, 1, millis) != 1) return absl::DeadlineExceededError("one was not woken");
    RETURN_IF_ERROR(connection->Receive([&](const LoadConnection::Reply& reply) -> absl::Status {
      if (came || reply.word != "RESERVED") {
        return absl::InternalError("a waiting reserve was answered " + std::string(reply.word));
      }
      came = true;
      body = reply.body;
      return absl::OkStatus();
    }));
  }
  return body;
}

std::string Put(size_t number) {
  const std::string body = absl::StrCat(number);
  return absl::StrCat("put 0 0 120 ", body.size(), "\r\n", body, "\r\n");
}

absl::Status PutAll(LoadConnection* producer, size_t count) {
  for (size_t i = 0; i < count; ++i) producer->output()->append(Put(i));
  size_t inserted = 0;
  while (inserted < count) {
    RETURN_IF_ERROR(producer->Send());
    const bool sends = !producer->output()->empty();
    pollfd ready = {.fd = producer->fd(), .events = POLLIN, .revents = 0};
    if (sends) ready.events |= POLLOUT;
    if (poll(&ready, 1, 30'000) != 1) return absl::DeadlineExceededError("a put is not answered");
    RETURN_IF_ERROR(producer->Receive([&](const LoadConnection::Reply& reply) -> absl::Status {
      if (reply.word != "INSERTED") {
        return absl::InternalError("a put was answered " + std::string(reply.word));
      }
      ++inserted;
      return absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Connections> OpenMany(uint16_t port, uint32_t count) {
  Connections connections;
  while (connections.size() < count) {
    const auto number = static_cast<uint32_t>(connections.size());
    ASSIGN_OR_RETURN(auto connection, LoadConnection::Open(port, number));
    connections.push_back(std::move(connection));
    const bool pause = connections.size() % kOpenAtOnce == 0 || connections.size() == count;
    if (pause) RETURN_IF_ERROR(connections.back()->Ask("list-tube-used\r\n").status());
  }
  return connections;
}

absl::StatusOr<double> WakeWaiters(uint16_t port, uint32_t count) {
  ASSIGN_OR_RETURN(const auto producer, LoadConnection::Open(port, count));
  ASSIGN_OR_RETURN(const Connections waiters, OpenMany(port, count));
  for (const auto& waiter : waiters) {
    waiter->output()->append("reserve\r\n");
    RETURN_IF_ERROR(waiter->Send());
  }
  RETURN_IF_ERROR(AwaitStatistic(producer.get(), "current-waiting", count));
  const Clock::time_point begin = Clock::now();
  RETURN_IF_ERROR(PutAll(producer.get(), count));
  absl::flat_hash_set<std::string> bodies;
  for (const auto& waiter : waiters) {
    ASSIGN_OR_RETURN(std::string body, AwaitBody(waiter.get()));
    if (!bodies.insert(body).second) {
      return absl::InternalError(absl::StrCat("job ", body, " was handed out twice"));
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  RETURN_IF_ERROR(AwaitStatistic(producer.get(), "current-jobs-reserved", count));
  RETURN_IF_ERROR(AwaitStatistic(producer.get(), "current-jobs-ready", 0));
  RETURN_IF_ERROR(AwaitStatistic(producer.get(), "current-waiting", 0));
  return seconds;
}

}  // namespace holdfast::testing
