#include "queue/deadlines.h"

#include "base/check.h"

namespace holdfast {

void Deadlines::Move(QueueId queue, LogTime before, LogTime after) {
  if (before == after) return;
  if (before != LogTime::Never()) {
    const size_t erased = order_.erase(Entry{before, queue});
    CHECK_EQ(erased, size_t{1});
  }
  if (after != LogTime::Never()) {
    const bool inserted = order_.insert(Entry{after, queue}).second;
    CHECK(inserted);
  }
}

LogTime Deadlines::Earliest() const {
  return order_.empty() ? LogTime::Never() : order_.begin()->deadline;
}

std::vector<QueueId> Deadlines::Due(LogTime now, size_t limit) const {
  std::vector<QueueId> due;
  for (const Entry& entry : order_) {
    if (entry.deadline > now || due.size() >= limit) break;
    due.push_back(entry.queue);
  }
  return due;
}

}  // namespace holdfast
