#include "tests/bench/load.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/errno_status.h"
#include "base/status_macros.h"
#include "tests/bench/load_connection.h"

namespace holdfast::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kStuckMillis = 60'000;

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Load {
 public:
  explicit Load(const LoadOptions& options)
      : options_(options),
        put_(absl::StrCat("put 0 0 120 ", options.body_bytes, "\r\n",
                          std::string(options.body_bytes, 'x'), "\r\n")) {}
  ~Load() {
    if (epoll_ >= 0) close(epoll_);
  }

  absl::StatusOr<LoadResult> Run();

 private:
  // What a slot goes on with when the reply has come: in this order, from the shape's first.
  enum class Step : uint8_t { kNone, kInserted, kReserved, kDeleted };
  struct Slot {
    Step step = Step::kNone;
    uint64_t tube = 0;
  };
  struct Awaited {
    Slot* slot;
    std::string_view word;
    bool last;  // of the slot's step; those before it belong to its preparation
  };
  struct Peer {
    std::unique_ptr<LoadConnection> connection;
    std::vector<Slot> slots;
    std::deque<Awaited> awaited;
  };

  absl::Status Connect();
  absl::Status OnEvents(Peer* peer);
  absl::Status OnReply(Peer* peer, const LoadConnection::Reply& reply);
  void Begin(Peer* peer, Slot* slot);
  void SendPut(Peer* peer, Slot* slot);
  void SendReserve(Peer* peer, Slot* slot);
  void SendDelete(Peer* peer, Slot* slot, uint64_t id);
  void Tube(Peer* peer, Slot* slot, std::string_view command, std::string_view word);

  const LoadOptions options_;
  const std::string put_;
  int epoll_ = -1;
  std::vector<Peer> peers_;
  Clock::time_point begin_;
  uint64_t begun_ = 0;
  uint64_t done_ = 0;
  bool late_ = false;
};

absl::Status Load::Connect() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return ErrnoStatus(errno, "epoll_create1");
  peers_.resize(options_.connections);
  for (uint32_t i = 0; i < options_.connections; ++i) {
    Peer& peer = peers_[i];
    ASSIGN_OR_RETURN(peer.connection, LoadConnection::Open(options_.port, i));
    peer.slots.resize(options_.window);
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &peer;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, peer.connection->fd(), &event) != 0) {
      return ErrnoStatus(errno, "epoll_ctl");
    }
    // So that it has been accepted before the clock runs.
    RETURN_IF_ERROR(peer.connection->Ask("list-tube-used\r\n").status());
  }
  return absl::OkStatus();
}

absl::StatusOr<LoadResult> Load::Run() {
  RETURN_IF_ERROR(Connect());
  const double cpu = CpuSeconds();
  begin_ = Clock::now();
  for (Peer& peer : peers_) {
    for (Slot& slot : peer.slots) Begin(&peer, &slot);
    RETURN_IF_ERROR(peer.connection->Send());
  }
  std::array<epoll_event, 256> events;
  while (done_ < begun_) {
    const int count =
        epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), kStuckMillis);
    if (count < 0 && errno != EINTR) return ErrnoStatus(errno, "epoll_wait");
    if (count == 0) {
      return absl::DeadlineExceededError(
          absl::StrCat("nothing came for 60 s; ", done_, " of ", begun_, " jobs were done"));
    }
    if (options_.seconds > 0) late_ = SecondsSince(begin_) >= options_.seconds;
    for (int i = 0; i < count; ++i) {
      RETURN_IF_ERROR(OnEvents(static_cast<Peer*>(events[static_cast<size_t>(i)].data.ptr)));
    }
  }
  return LoadResult{
      .jobs = done_, .seconds = SecondsSince(begin_), .cpu_seconds = CpuSeconds() - cpu};
}

absl::Status Load::OnEvents(Peer* peer) {
  RETURN_IF_ERROR(peer->connection->Receive(
      [this, peer](const LoadConnection::Reply& reply) { return OnReply(peer, reply); }));
  return peer->connection->Send();
}

absl::Status Load::OnReply(Peer* peer, const LoadConnection::Reply& reply) {
  if (peer->awaited.empty() || peer->awaited.front().word != reply.word) {
    const std::string_view wanted = peer->awaited.empty() ? "nothing" : peer->awaited.front().word;
    return absl::InternalError("the server answered " + std::string(reply.word) + " where " +
                               std::string(wanted) + " was expected");
  }
  const Awaited awaited = peer->awaited.front();
  peer->awaited.pop_front();
  if (!awaited.last) return absl::OkStatus();
  Slot* const slot = awaited.slot;
  if (slot->step == Step::kInserted && options_.shape == LoadShape::kCycle) {
    SendReserve(peer, slot);
  } else if (slot->step == Step::kReserved) {
    if (reply.body.size() != options_.body_bytes) {
      return absl::InternalError(
          absl::StrCat("job ", reply.id, " has a body of ", reply.body.size(), " bytes"));
    }
    SendDelete(peer, slot, reply.id);
  } else {
    ++done_;
    Begin(peer, slot);
  }
  return absl::OkStatus();
}

void Load::Begin(Peer* peer, Slot* slot) {
  if (begun_ >= options_.jobs || late_) return;
  slot->tube = begun_++ % std::max(options_.tubes, 1u);
  return options_.shape == LoadShape::kTake ? SendReserve(peer, slot) : SendPut(peer, slot);
}

void Load::SendPut(Peer* peer, Slot* slot) {
  if (options_.tubes > 0) Tube(peer, slot, "use", "USING");
  peer->connection->output()->append(put_);
  slot->step = Step::kInserted;
  peer->awaited.push_back({slot, "INSERTED", true});
}

void Load::SendReserve(Peer* peer, Slot* slot) {
  if (options_.tubes > 0) Tube(peer, slot, "watch", "WATCHING");
  peer->connection->output()->append("reserve\r\n");
  slot->step = Step::kReserved;
  peer->awaited.push_back({slot, "RESERVED", true});
}

void Load::SendDelete(Peer* peer, Slot* slot, uint64_t id) {
  if (options_.tubes > 0) Tube(peer, slot, "ignore", "WATCHING");
  absl::StrAppend(peer->connection->output(), "delete ", id, "\r\n");
  slot->step = Step::kDeleted;
  peer->awaited.push_back({slot, "DELETED", true});
}

void Load::Tube(Peer* peer, Slot* slot, std::string_view command, std::string_view word) {
  std::string* const output = peer->connection->output();
  absl::StrAppend(&output->append(command), " tube-", slot->tube, "\r\n");
  peer->awaited.push_back({slot, word, false});
}

}  // namespace

absl::StatusOr<LoadResult> RunLoad(const LoadOptions& options) { return Load(options).Run(); }

}  // namespace holdfast::testing
