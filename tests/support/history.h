// What clients saw of a queue: every operation with when it began and ended and what came of it.
//
// The clients give each job a key of their own and put it into the body, so that a job can be
// followed whether or not its enqueue was answered. The checkers (checkers.h) read this.
//
// A lease has a token, or, over a protocol that tells none (beanstalkd's), it is a hold: the
// connection's own for as long as it is open. The clients number the holds of a history. What may
// have ended one, its connection's end too, is written down as a settling that began when it can
// have happened at the earliest.

#ifndef HOLDFAST_TESTS_SUPPORT_HISTORY_H_
#define HOLDFAST_TESTS_SUPPORT_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace holdfast::testing {

// How an operation, or its part that concerns one job, ended.
enum class Ended {
  kOk,       // the server said that it was done
  kRefused,  // the server said that it was certainly not done
  kUnknown,  // no answer, or one that says that it cannot be known
};

struct EnqueuedJob {
  uint64_t key = 0;  // unique in the history; a repeat of the same request has the same keys
  Ended ended = Ended::kUnknown;
  uint64_t id = 0;  // 0 unless kOk
  int64_t delay_micros = 0;
};

// One job that a reserve handed out. Times are in log time, as the server told them.
struct Grant {
  uint64_t id = 0;
  uint64_t key = 0;         // as found in the body; 0: the body holds none
  bool body_intact = true;  // the body is what was enqueued under that key
  uint64_t token = 0;       // 0: a hold
  uint64_t hold = 0;        // 0: it has a token
  // Of a hold the first and the last are 0, and the expiry is reckoned from the operation's begin
  // by the test's clock: no earlier than it.
  int64_t granted_micros = 0;  // expiry less duration
  int64_t expiry_micros = 0;
  int64_t created_micros = 0;
};

// One lease of a delete, release, touch or bury; or a delete without one, by id.
struct Settled {
  uint64_t id = 0;
  uint64_t key = 0;  // of the job, as its grant told
  uint64_t token = 0;
  uint64_t hold = 0;
  Ended ended = Ended::kUnknown;
  bool not_found = false;     // refused because the job does not exist
  int64_t expiry_micros = 0;  // touch: the new expiry, as a grant's; 0 unless kOk
};

enum class OperationKind { kEnqueue, kReserve, kDelete, kRelease, kTouch, kBury };

struct Operation {
  OperationKind kind = OperationKind::kEnqueue;
  int64_t begin_micros = 0;  // the test's clock
  int64_t end_micros = 0;    // the test's clock; of an unknown outcome: when it was given up
  std::vector<EnqueuedJob> enqueued = {};
  std::vector<Grant> grants = {};
  std::vector<Settled> settled = {};
};

// A queue's counts as the server told them when nothing else was under way.
struct CountsSample {
  std::string queue = {};
  uint64_t ready = 0;
  uint64_t delayed = 0;
  uint64_t reserved = 0;
  uint64_t buried = 0;
  uint64_t total_enqueued = 0;
  uint64_t total_deleted = 0;
};

// Thread-safety: thread-safe.
class History {
 public:
  void Add(Operation operation) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    operations_.push_back(std::move(operation));
  }
  void AddCounts(CountsSample sample) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    counts_.push_back(std::move(sample));
  }
  // Copies; in no particular order.
  std::vector<Operation> operations() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return operations_;
  }
  std::vector<CountsSample> counts() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return counts_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<Operation> operations_ ABSL_GUARDED_BY(mutex_);
  std::vector<CountsSample> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_SUPPORT_HISTORY_H_
