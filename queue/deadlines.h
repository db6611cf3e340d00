// Which queue has something to do next, and when: every queue's deadline in one order.
//
// A deadline is a lower bound, kept in the queue's record, so that it is the same on every replica
// and after a restart: it is lowered by what is added to the queue and corrected when an expire
// has visited the queue, never by what happens to be in memory.
//
// Invariants: holds exactly the queues whose deadline is not Never().
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_QUEUE_DEADLINES_H_
#define HOLDFAST_QUEUE_DEADLINES_H_

#include <compare>
#include <cstddef>
#include <vector>

#include "absl/container/btree_set.h"
#include "base/types.h"

namespace holdfast {

class Deadlines {
 public:
  struct Entry {
    LogTime deadline;
    QueueId queue;

    auto operator<=>(const Entry&) const = default;
  };

  // Moves a queue from its old deadline to a new one; Never() is out of the order.
  // REQUIRES: `before` is what it was last moved to (Never() at first).
  void Move(QueueId queue, LogTime before, LogTime after);
  // The earliest deadline; Never() if there is none.
  LogTime Earliest() const;
  // The queues whose deadline is up to `now`, earliest first, at most `limit`.
  std::vector<QueueId> Due(LogTime now, size_t limit) const;
  size_t size() const { return order_.size(); }

 private:
  absl::btree_set<Entry> order_;
};

}  // namespace holdfast

#endif  // HOLDFAST_QUEUE_DEADLINES_H_
