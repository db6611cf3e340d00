// What all benchmark scenarios share: their options, the count of operations to do, when each is
// to start, and what they measured.

#ifndef HOLDFAST_CLIENT_BENCH_BENCH_RUN_H_
#define HOLDFAST_CLIENT_BENCH_BENCH_RUN_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/bench/histogram.h"
#include "grpcpp/alarm.h"
#include "grpcpp/grpcpp.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"

namespace holdfast {

struct BenchOptions {
  std::string endpoint = "127.0.0.1:7400";
  std::string queue = "bench";  // with `queues` > 1 a prefix: bench-0, bench-1, ...
  uint32_t queues = 1;
  uint32_t body_bytes = 100;
  uint64_t jobs = 0;         // stop after so many; 0: by time
  double seconds = 10;       // stop after so long; with `jobs` set 0: no limit
  uint32_t in_flight = 64;   // unary scenarios: calls at a time; work: workers
  uint32_t streams = 8;      // stream scenarios
  uint32_t batch = 100;      // jobs a message, or a settlement
  uint32_t window = 16;      // enqueue-stream: messages unacknowledged, a stream
  uint32_t credits = 2000;   // drain: jobs leased at a time, a stream
  double rate = 0;           // operations a second in all; 0: closed loop
  uint32_t connections = 4;  // unary scenarios, work
};

using BenchClock = std::chrono::steady_clock;

// One run of one scenario. Thread-safety: thread-safe.
class BenchRun {
 public:
  explicit BenchRun(const BenchOptions& options);

  const BenchOptions& options() const { return options_; }
  const std::string& body() const { return body_; }
  // The name of queue `n` modulo their number.
  std::string QueueName(uint64_t n) const;
  // Stubs on different connections; `n` modulo their number.
  holdfast::v1::Holdfast::Stub* stub(uint64_t n) const { return stubs_[n % stubs_.size()].get(); }
  // The connection of that stub.
  const std::shared_ptr<grpc::Channel>& channel(uint64_t n) const {
    return channels_[n % channels_.size()];
  }
  void Connect(uint32_t connections);
  // To the queues of the run, the first 1000; what is leased is given back when the stream ends.
  holdfast::v1::Subscribe Subscription(uint32_t credits) const;

  // The next operation of `jobs` jobs to do; nullopt: there is none left.
  struct Ticket {
    uint64_t number = 0;  // from 0
    uint32_t jobs = 1;
    BenchClock::time_point start;  // when it is meant to start; latency counts from here
  };
  std::optional<Ticket> Take(uint32_t jobs);
  // Calls `task` when the ticket is meant to start: within the call, if that is now or past.
  static void AtStart(const Ticket& ticket, grpc::Alarm* alarm, std::function<void()> task);
  bool TimeIsUp() const;

  void Succeeded(uint64_t jobs, BenchClock::time_point start);
  void Failed(const grpc::Status& status);
  void Failed(const std::string& why);

  // The sources of load (slots, streams) that still run; Wait returns when none does.
  void SourceStarted();
  void SourceEnded();
  // Starts the clock of the run. Before the first Take.
  void Begin();
  void Wait();
  // Returns when `done()` is true or no source runs any more; asks every few milliseconds.
  void WaitUntil(const std::function<bool()>& done);

  struct Report {
    uint64_t jobs = 0;
    uint64_t failures = 0;
    std::string first_failure;
    double seconds = 0;
    Histogram latency;
  };
  Report Finish();

 private:
  const BenchOptions options_;
  const std::string body_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<holdfast::v1::Holdfast::Stub>> stubs_;
  std::atomic<uint64_t> taken_operations_{0};
  std::atomic<uint64_t> taken_jobs_{0};
  BenchClock::time_point begin_;

  absl::Mutex mutex_;
  Report report_ ABSL_GUARDED_BY(mutex_);
  uint32_t sources_ ABSL_GUARDED_BY(mutex_) = 0;
  BenchClock::time_point last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_CLIENT_BENCH_BENCH_RUN_H_
