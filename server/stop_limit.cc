#include "server/stop_limit.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

namespace holdfast {

StopLimit::StopLimit(absl::Duration limit)
    : thread_([this, limit] {
        if (stopped_.WaitForNotificationWithTimeout(limit)) return;
        spdlog::critical(
            "holdfast did not stop within {} s: it still waits for {}. It ends as in a crash, "
            "which loses nothing that was acknowledged",
            absl::ToDoubleSeconds(limit), what_.load(std::memory_order_relaxed));
        spdlog::shutdown();
        _exit(1);
      }) {}

StopLimit::~StopLimit() {
  stopped_.Notify();
  thread_.join();
}

}  // namespace holdfast
