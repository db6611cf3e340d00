#include "server/frontend/beanstalk/beanstalk_server.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace holdfast {

using beanstalk::Session;

absl::StatusOr<std::unique_ptr<BeanstalkServer>> BeanstalkServer::Start(
    const BeanstalkServerOptions& options, Engine* engine) {
  ASSIGN_OR_RETURN(const int fd, ListenOn(options.listen));
  std::unique_ptr<BeanstalkServer> server(new BeanstalkServer(options, engine, fd));
  EventLoop* const loop = &server->lanes_.front()->loop;
  loop->Post([listener = server->listener_.get()] { listener->Start(); });
  return server;
}

BeanstalkServer::BeanstalkServer(const BeanstalkServerOptions& options, Engine* engine, int fd)
    : address_(AddressOf(fd)), node_(engine, options.job_bytes_max) {
  CHECK_GE(options.loops, 1u);
  for (uint32_t i = 0; i < options.loops; ++i) {
    lanes_.push_back(std::make_unique<Lane>(absl::StrCat("beanstalk/", i)));
  }
  listener_ = std::make_unique<Listener>(&lanes_.front()->loop, fd,
                                         [this](int accepted) { Accept(accepted); });
}

BeanstalkServer::~BeanstalkServer() { Stop(); }

void BeanstalkServer::Accept(int fd) {
  Lane* const lane = lanes_[next_lane_++ % lanes_.size()].get();
  if (lane->loop.IsCurrent()) return Begin(lane, fd);
  lane->loop.Post([this, lane, fd] { Begin(lane, fd); });
}

void BeanstalkServer::Begin(Lane* lane, int fd) {
  if (stopped_) {
    close(fd);
    return;
  }
  auto session = std::make_shared<Session>(&node_, &lane->loop, fd, [lane](Session* ended) {
    // Later: it is calling.
    lane->loop.Post([lane, ended] { lane->sessions.erase(ended); });
  });
  Session* const started = session.get();
  lane->sessions.emplace(started, std::move(session));
  started->Start();
}

void BeanstalkServer::Stop() {
  if (stopped_.exchange(true)) return;
  absl::Notification closed;
  lanes_.front()->loop.Post([&] {
    listener_.reset();
    closed.Notify();
  });
  closed.WaitForNotification();
  for (const auto& lane : lanes_) {
    lane->loop.Post([lane = lane.get()] {
      for (const auto& [session, held] : lane->sessions) session->End();
    });
    lane->loop.Stop();
  }
}

}  // namespace holdfast
