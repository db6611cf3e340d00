#include "server/frontend/beanstalk/beanstalk_server.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/check.h"

namespace holdfast {

using beanstalk::Session;

BeanstalkServer::BeanstalkServer(const BeanstalkServerOptions& options, int listening_fd,
                                 Engine* engine)
    : address_(AddressOf(listening_fd)),
      node_(engine, options.job_bytes_max, options.binlog_bytes_max) {
  CHECK_GE(options.loops, 1u);
  AllowManyDescriptors();
  if (options.loop != nullptr) AddLane(options.loop, nullptr);
  for (uint32_t i = 0; options.loop == nullptr && i < options.loops; ++i) {
    auto own = std::make_unique<EventLoop>(absl::StrCat("beanstalk/", i));
    EventLoop* const loop = own.get();
    AddLane(loop, std::move(own));
  }
  EventLoop* const first = lanes_.front()->loop;
  listener_ =
      std::make_unique<Listener>(first, listening_fd, [this](int accepted) { Accept(accepted); });
  first->Post([listener = listener_.get()] { listener->Start(); });
}

void BeanstalkServer::AddLane(EventLoop* loop, std::unique_ptr<EventLoop> own) {
  auto lane = std::make_unique<Lane>();
  lane->loop = loop;
  lane->own = std::move(own);
  lanes_.push_back(std::move(lane));
}

BeanstalkServer::~BeanstalkServer() { Stop(); }

void BeanstalkServer::Accept(int fd) {
  Lane* const lane = lanes_[next_lane_++ % lanes_.size()].get();
  if (lane->loop->IsCurrent()) return Begin(lane, fd);
  lane->loop->Post([this, lane, fd] { Begin(lane, fd); });
}

void BeanstalkServer::Begin(Lane* lane, int fd) {
  if (stopped_) {
    close(fd);
    return;
  }
  auto session = std::make_shared<Session>(&node_, lane->loop, fd, [lane](Session* ended) {
    // Later: it is calling.
    lane->loop->Post([lane, ended] { lane->sessions.erase(ended); });
  });
  Session* const started = session.get();
  lane->sessions.emplace(started, std::move(session));
  started->Start();
}

void BeanstalkServer::Stop() {
  if (stopped_.exchange(true)) return;
  const auto run = [](EventLoop* loop, auto task) {
    absl::Notification done;
    loop->Post([&] {
      task();
      done.Notify();
    });
    done.WaitForNotification();
  };
  run(lanes_.front()->loop, [this] { listener_.reset(); });
  for (const auto& lane : lanes_) {
    run(lane->loop, [&lane] {
      for (const auto& [session, held] : lane->sessions) session->End();
    });
    if (lane->own != nullptr) lane->own->Stop();
  }
}

}  // namespace holdfast
