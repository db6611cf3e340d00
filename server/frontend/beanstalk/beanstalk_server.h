// Serves the beanstalkd protocol: listens, and spreads connections over event loops.
//
// Thread-safety: Start and Stop from one thread; the rest is thread-safe.

#ifndef HOLDFAST_SERVER_FRONTEND_BEANSTALK_BEANSTALK_SERVER_H_
#define HOLDFAST_SERVER_FRONTEND_BEANSTALK_BEANSTALK_SERVER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/engine/engine.h"
#include "server/frontend/beanstalk/node_view.h"
#include "server/frontend/beanstalk/session.h"
#include "server/net/listener.h"

namespace holdfast {

struct BeanstalkServerOptions {
  uint32_t job_bytes_max = 65535;  // a larger body is JOB_TOO_BIG
  uint32_t loops = 1;              // own threads for connections, [1, 64]
  // Connections live here instead. It runs until Stop has returned.
  EventLoop* loop = nullptr;
  // What stats tells as binlog-max-size.
  uint64_t binlog_bytes_max = 10'485'760;
};

class BeanstalkServer {
 public:
  // Serves on a listening socket (ListenOn), which it takes over. `engine` answers until Stop has
  // returned. What it answers later is dropped, but the server must outlive that too.
  BeanstalkServer(const BeanstalkServerOptions& options, int listening_fd, Engine* engine);
  // Stops if that was not done.
  ~BeanstalkServer();

  // Where it listens, in the form of ListenOn.
  const std::string& address() const { return address_; }
  // Every put is refused from now on.
  void Drain() { node_.draining = true; }
  // Accepts no more, closes all connections, which gives their jobs back, and ends its threads.
  void Stop();

 private:
  // A loop and the connections on it.
  struct Lane {
    std::unique_ptr<EventLoop> own;  // nullptr: another's
    EventLoop* loop = nullptr;
    absl::flat_hash_map<beanstalk::Session*, std::shared_ptr<beanstalk::Session>> sessions;
  };

  void AddLane(EventLoop* loop, std::unique_ptr<EventLoop> own);
  void Accept(int fd);
  void Begin(Lane* lane, int fd);

  const std::string address_;
  beanstalk::NodeView node_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<Listener> listener_;  // on the first lane
  size_t next_lane_ = 0;                // that lane's own
  std::atomic<bool> stopped_{false};
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_FRONTEND_BEANSTALK_BEANSTALK_SERVER_H_
