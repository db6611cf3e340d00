// Runs a handler for each job of some queues, several at a time, over one Work stream.
//
//   Worker worker(&client, {.queues = {"mail"}, .parallel = 4}, [](const WorkItem& item) {
//     Send(item.job().body());
//     return Verdict::Done();
//   });
//   absl::Status status = worker.Run();   // until Stop(), or an error that does not go away
//
// It keeps the leases of running jobs alive by touching them at a third of their length, tells
// handlers whose lease has ended anyway, reconnects after the connection broke (jobs in progress
// are then settled on the new stream, if their lease still holds), and stops gracefully: no new
// jobs, then the running ones to their end.
//
// Thread-safety: Run once; Stop from any thread. The handler runs on up to `parallel` threads.

#ifndef HOLDFAST_CLIENT_WORKER_H_
#define HOLDFAST_CLIENT_WORKER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "client/work_stream.h"

namespace holdfast {

// What became of a job.
struct Verdict {
  enum class Kind : uint8_t { kDelete, kReturn, kFail, kBury } kind = Kind::kDelete;
  std::optional<absl::Duration> delay;  // kReturn, kFail: until it is ready; unset: the queue's

  static Verdict Done() { return {}; }
  // Counts a failure; the queue's retry policy applies.
  static Verdict Failed() { return {.kind = Kind::kFail, .delay = std::nullopt}; }
  // Given back untried, for no fault of the job.
  static Verdict Returned() { return {.kind = Kind::kReturn, .delay = std::nullopt}; }
  static Verdict Buried() { return {.kind = Kind::kBury, .delay = std::nullopt}; }
};

// A job in the hands of a handler.
class WorkItem {
 public:
  explicit WorkItem(v1::Job job) : job_(std::move(job)) {}

  const v1::Job& job() const { return job_; }
  // The lease has ended: what the handler does from here on may be done by another as well.
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  const v1::Job job_;
  std::atomic<bool> cancelled_{false};
};

class Worker {
 public:
  struct Options {
    std::vector<std::string> queues;  // 1..1000
    uint32_t parallel = 1;            // [1, 1000]
    absl::Duration lease;             // zero: each job's own
    // Stop after so many settled jobs; 0: never.
    uint64_t jobs_max = 0;
    // Stop when the server, being reached, has sent nothing for so long and nothing runs;
    // infinite: never.
    absl::Duration idle_exit = absl::InfiniteDuration();
    // Give up when the server could not be reached for so long.
    absl::Duration give_up = absl::Seconds(60);
    // Called once each time that the server cannot be reached any more. May be empty.
    std::function<void(const absl::Status&)> on_unreachable;
  };
  struct Counts {
    uint64_t done = 0;
    uint64_t returned = 0;
    uint64_t failed = 0;
    uint64_t buried = 0;
    uint64_t lost = 0;  // the lease had ended before it could be settled
  };
  using Handler = std::function<Verdict(const WorkItem&)>;

  Worker(Client* client, Options options, Handler handler);
  ~Worker();

  // Works until Stop(), jobs_max or idle_exit: ok. Errors: INVALID_ARGUMENT and others of the
  // Work method that a retry does not mend; UNAVAILABLE after give_up.
  absl::Status Run();
  // Takes no more jobs; Run returns when the running ones are settled. Async-signal-safe.
  void Stop() { stop_.store(true); }

  Counts counts() const;

 private:
  struct Running;  // an item in the hands of a handler
  // A settlement without a result yet.
  struct Unsettled {
    v1::Settlement settlement;
    bool sent_before = false;  // perhaps executed, its result being lost with a stream
    absl::Time again_at = absl::InfiniteFuture();
  };
  // Everything below runs under mutex_.
  bool MayConnect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Connect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ShouldEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasBeenIdle(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TouchLeases(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(const v1::Job& job, const Verdict& verdict) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sends what was refused for now, or was sent on a stream that broke, again.
  void SettleAgain(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnTouchResult(uint64_t job, const v1::SettlementResult& result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnResult(const v1::SettlementResult& result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Count(const Unsettled& sent, const v1::SettlementResult& result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives back what came after the end had been decided.
  void ReturnLate();

  // From the stream's threads and the handlers' threads.
  void OnResponse(const v1::WorkResponse& response);
  void OnStreamEnded(const absl::Status& status);
  void RunHandlers();
  // The next job to handle; nullptr when there will be none.
  std::shared_ptr<WorkItem> TakeItem();

  Client* const client_;
  const Options options_;
  const Handler handler_;
  std::atomic<bool> stop_{false};

  mutable absl::Mutex mutex_;
  absl::CondVar changed_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<WorkStream> stream_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<WorkItem>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Running> running_ ABSL_GUARDED_BY(mutex_);  // by job id
  // Sent or to be sent, without a result yet; sent again on a new stream.
  std::map<uint64_t, Unsettled> unsettled_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, uint64_t> touches_ ABSL_GUARDED_BY(mutex_);  // sequence to job id
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t settled_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;  // handlers' threads return
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Time unreachable_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::Time next_connect_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time last_job_ ABSL_GUARDED_BY(mutex_);
  absl::Time connected_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_WORKER_H_
