// Producers and workers that use a real server, over gRPC or beanstalkd's protocol, survive its
// crashes, and write down what they saw.
//
// A client lives through many rounds; in each it runs on a thread of its own until the round is
// over or the server stops answering. Between rounds it keeps what it does not know: requests
// with a request_id whose answer was lost are sent again, and leases are used after the crash.
// Clients misbehave: they forget jobs, go away while a reserve waits, and use leases that have
// expired, or that they have given back or used up. Those of beanstalkd's protocol, where a lease
// is the connection's, also break off in the middle of a command, and delete on one connection what
// they had on another.

#ifndef HOLDFAST_TESTS_INTEGRATION_WORKLOAD_H_
#define HOLDFAST_TESTS_INTEGRATION_WORKLOAD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/prng.h"
#include "proto/holdfast/v1/holdfast.grpc.pb.h"
#include "tests/integration/beanstalk_connection.h"
#include "tests/support/history.h"

namespace holdfast::testing {

// Thread-safety: thread-safe.
class StopSignal {
 public:
  void Set() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    set_ = true;
  }
  bool IsSet() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return set_;
  }
  // True iff it was set within `timeout`.
  bool WaitFor(absl::Duration timeout) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&set_), timeout);
  }

 private:
  mutable absl::Mutex mutex_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

// Producers pause while this many jobs wait, so that the workers keep up.
inline constexpr int64_t kOutstandingMax = 4000;

// What all clients of a run share. Thread-safety: thread-safe.
struct SharedState {
  History history;
  std::vector<std::string> queues;
  std::atomic<uint64_t> next_key{1};
  std::atomic<uint64_t> next_request{1};
  std::atomic<uint64_t> next_hold{1};
  std::string request_prefix;              // makes request ids unique between runs
  std::atomic<int64_t> outstanding{0};     // enqueued and not deleted, about
  std::atomic<uint64_t> acknowledged{0};   // commands that were answered with OK
  std::atomic<uint64_t> by_beanstalkd{0};  // of these
  std::atomic<uint64_t> unknown{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<uint64_t> repeated{0};  // requests sent again after a crash
  std::atomic<uint64_t> enqueued{0};
  std::atomic<uint64_t> deleted{0};
};

// One round's connection, of the protocol that the client speaks.
struct Round {
  v1::Holdfast::StubInterface* server = nullptr;
  BeanstalkConnection* beanstalkd = nullptr;
  const StopSignal* stop = nullptr;
  absl::Time until = absl::InfiniteFuture();  // or until the stop, what comes first

  bool Over() const { return stop->IsSet() || absl::Now() >= until; }
  // A client that was refused does not ask again at once.
  void PauseAfterRefusal() const { stop->WaitFor(absl::Milliseconds(20)); }
};

// Microseconds since the Unix epoch.
int64_t NowMicros();

// Thread-safety: thread-compatible; one thread at a time.
class Client {
 public:
  virtual ~Client() = default;
  // Uses the server until the round stops or a call is left without an answer.
  virtual void Run(const Round& round) = 0;
  // Sends again what is not known yet, and writes down as unknown what still is not known then.
  virtual void Settle(const Round& round) = 0;
};

std::unique_ptr<Client> MakeProducer(SharedState* shared, uint64_t seed);
std::unique_ptr<Client> MakeWorker(SharedState* shared, uint64_t seed);
// On Work streams, of which some end in good order and others are broken off.
std::unique_ptr<Client> MakeStreamWorker(SharedState* shared, uint64_t seed);
// Of beanstalkd's protocol.
std::unique_ptr<Client> MakeBeanstalkProducer(SharedState* shared, uint64_t seed);
std::unique_ptr<Client> MakeBeanstalkWorker(SharedState* shared, uint64_t seed);

// Kicks, reserves and deletes until all the queues are empty. DEADLINE_EXCEEDED, with the counts,
// when they are not within `timeout`.
absl::Status Drain(SharedState* shared, v1::Holdfast::StubInterface* server,
                   absl::Duration timeout);

// Makes the queues, with an option each so that they stay when they are empty.
absl::Status MakeQueues(const SharedState& shared, v1::Holdfast::StubInterface* server);

// Reads every queue's counts into the history.
absl::Status SampleCounts(SharedState* shared, v1::Holdfast::StubInterface* server);

}  // namespace holdfast::testing

#endif  // HOLDFAST_TESTS_INTEGRATION_WORKLOAD_H_
