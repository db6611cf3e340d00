#include "client/bench/bench_run.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

namespace holdfast {

BenchRun::BenchRun(const BenchOptions& options)
    : options_(options), body_(options.body_bytes, 'x') {}

std::string BenchRun::QueueName(uint64_t n) const {
  if (options_.queues == 1) return options_.queue;
  return options_.queue + "-" + std::to_string(n % options_.queues);
}

void BenchRun::Connect(uint32_t connections) {
  for (uint32_t i = 0; i < connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    arguments.SetMaxReceiveMessageSize(-1);
    channels_.push_back(grpc::CreateCustomChannel(options_.endpoint,
                                                  grpc::InsecureChannelCredentials(), arguments));
    stubs_.push_back(holdfast::v1::Holdfast::NewStub(channels_.back()));
  }
}

void BenchRun::Begin() {
  begin_ = BenchClock::now();
  absl::MutexLock lock(&mutex_);
  last_ = begin_;
}

void BenchRun::AtStart(const Ticket& ticket, grpc::Alarm* alarm, std::function<void()> task) {
  const auto ahead = ticket.start - BenchClock::now();
  if (ahead <= BenchClock::duration::zero()) return task();
  alarm->Set(std::chrono::system_clock::now() + ahead, [task = std::move(task)](bool) { task(); });
}

holdfast::v1::Subscribe BenchRun::Subscription(uint32_t credits) const {
  holdfast::v1::Subscribe subscribe;
  for (uint32_t i = 0; i < std::min(options_.queues, 1000u); ++i) {
    subscribe.add_queues(QueueName(i));
  }
  subscribe.set_credits(credits);
  subscribe.set_on_disconnect(holdfast::v1::ON_DISCONNECT_RELEASE);
  return subscribe;
}

bool BenchRun::TimeIsUp() const {
  return options_.seconds > 0 &&
         BenchClock::now() - begin_ >= std::chrono::duration<double>(options_.seconds);
}

std::optional<BenchRun::Ticket> BenchRun::Take(uint32_t jobs) {
  if (TimeIsUp()) return std::nullopt;
  Ticket ticket;
  const uint64_t before = taken_jobs_.fetch_add(jobs);
  ticket.jobs = jobs;
  if (options_.jobs > 0) {
    if (before >= options_.jobs) return std::nullopt;
    ticket.jobs = static_cast<uint32_t>(std::min<uint64_t>(jobs, options_.jobs - before));
  }
  ticket.number = taken_operations_.fetch_add(1);
  ticket.start = BenchClock::now();
  if (options_.rate > 0) {
    ticket.start =
        begin_ + std::chrono::duration_cast<BenchClock::duration>(std::chrono::duration<double>(
                     static_cast<double>(ticket.number) / options_.rate));
  }
  return ticket;
}

void BenchRun::Succeeded(uint64_t jobs, BenchClock::time_point start) {
  const BenchClock::time_point now = BenchClock::now();
  absl::MutexLock lock(&mutex_);
  report_.jobs += jobs;
  last_ = std::max(last_, now);
  report_.latency.Record(
      std::chrono::duration_cast<std::chrono::microseconds>(now - start).count());
}

void BenchRun::Failed(const std::string& why) {
  absl::MutexLock lock(&mutex_);
  if (report_.failures++ == 0) report_.first_failure = why;
}

void BenchRun::Failed(const grpc::Status& status) {
  Failed("gRPC status " + std::to_string(status.error_code()) + ": " + status.error_message());
}

void BenchRun::SourceStarted() {
  absl::MutexLock lock(&mutex_);
  ++sources_;
}

void BenchRun::SourceEnded() {
  absl::MutexLock lock(&mutex_);
  --sources_;
}

void BenchRun::Wait() {
  absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return sources_ == 0; };
  mutex_.Await(absl::Condition(&none));
}

void BenchRun::WaitUntil(const std::function<bool()>& done) {
  absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return sources_ == 0; };
  while (!done() && !mutex_.AwaitWithTimeout(absl::Condition(&none), absl::Milliseconds(5))) {
  }
}

BenchRun::Report BenchRun::Finish() {
  absl::MutexLock lock(&mutex_);
  report_.seconds = std::chrono::duration<double>(last_ - begin_).count();
  return std::move(report_);
}

}  // namespace holdfast
