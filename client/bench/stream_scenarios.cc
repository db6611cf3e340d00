#include <algorithm>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "client/bench/scenarios.h"

namespace holdfast {
namespace {

namespace v1 = holdfast::v1;

// One EnqueueStream, kept full up to the window.
class Producer final
    : public grpc::ClientBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse> {
 public:
  Producer(BenchRun* run, uint32_t number) : run_(run) {
    run_->SourceStarted();
    run_->stub(number)->async()->EnqueueStream(&context_, this);
    StartRead(&response_);
    StartCall();
  }

  void Begin() {
    absl::MutexLock lock(&mutex_);
    Fill();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    absl::MutexLock lock(&mutex_);
    for (const v1::EnqueueAcknowledgement& acknowledgement : response_.acknowledgements()) {
      Acknowledged(acknowledgement);
    }
    Fill();
    StartRead(&response_);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) ended_ = true;
    Fill();
  }

  void OnDone(const grpc::Status& status) override {
    if (!status.ok()) run_->Failed(status);
    run_->SourceEnded();
  }

 private:
  void Acknowledged(const v1::EnqueueAcknowledgement& acknowledgement)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto sent = std::find_if(sent_.begin(), sent_.end(), [&](const BenchRun::Ticket& t) {
      return t.number == acknowledgement.sequence();
    });
    if (sent == sent_.end()) return run_->Failed("acknowledgement of nothing that was sent");
    uint32_t good = 0;
    for (const v1::EnqueueResult& result : acknowledgement.results()) {
      if (!result.has_error()) ++good;
    }
    if (good < sent->jobs) run_->Failed(acknowledgement.ShortDebugString());
    run_->Succeeded(good, sent->start);
    sent_.erase(sent);
  }

  void Fill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || closed_) return;
    if (!ended_ && sent_.size() < run_->options().window) {
      const std::optional<BenchRun::Ticket> ticket = run_->Take(run_->options().batch);
      if (ticket.has_value()) return Send(*ticket);
      ended_ = true;
    }
    if (ended_ && sent_.empty()) {
      closed_ = true;
      StartWritesDone();
    }
  }

  void Send(const BenchRun::Ticket& ticket) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    request_.set_sequence(ticket.number);
    request_.set_queue(run_->QueueName(ticket.number));
    while (request_.jobs_size() < static_cast<int>(ticket.jobs)) {
      request_.add_jobs()->set_body(run_->body());
    }
    while (request_.jobs_size() > static_cast<int>(ticket.jobs)) {
      request_.mutable_jobs()->RemoveLast();
    }
    sent_.push_back(ticket);
    writing_ = true;
    BenchRun::AtStart(ticket, &alarm_, [this] { StartWrite(&request_); });
  }

  BenchRun* const run_;
  grpc::ClientContext context_;
  grpc::Alarm alarm_;
  v1::EnqueueStreamResponse response_;
  absl::Mutex mutex_;
  v1::EnqueueStreamRequest request_;
  std::deque<BenchRun::Ticket> sent_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// One Work stream that deletes everything it is given.
class Consumer final : public grpc::ClientBidiReactor<v1::WorkRequest, v1::WorkResponse> {
 public:
  Consumer(BenchRun* run, uint32_t number, uint64_t jobs_all, std::atomic<uint64_t>* jobs_done)
      : run_(run), jobs_all_(jobs_all), jobs_done_(jobs_done) {
    run_->SourceStarted();
    *request_.mutable_subscribe() = run->Subscription(run->options().credits);
    run_->stub(number)->async()->Work(&context_, this);
  }

  void Begin() {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = true;
    }
    StartWrite(&request_);
    StartRead(&response_);
    StartCall();
  }

  // All is done, by whichever stream: nothing more will come.
  void End() {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    Settle();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    {
      absl::MutexLock lock(&mutex_);
      for (const v1::Job& job : response_.jobs()) leases_.push_back(job.lease());
      for (const v1::SettlementResult& result : response_.results()) Settled(result);
      if (run_->TimeIsUp()) ended_ = true;
      Settle();
    }
    StartRead(&response_);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) closed_ = true;
    Settle();
  }

  void OnDone(const grpc::Status& status) override {
    if (!status.ok()) run_->Failed(status);
    run_->SourceEnded();
  }

 private:
  void Settled(const v1::SettlementResult& result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (sent_.empty() || result.has_error()) return run_->Failed(result.ShortDebugString());
    uint64_t good = 0;
    for (const v1::LeaseResult& one : result.results()) {
      if (one.has_error()) {
        run_->Failed(one.ShortDebugString());
      } else {
        ++good;
      }
    }
    const auto sent = std::find_if(sent_.begin(), sent_.end(),
                                   [&](const Sent& s) { return s.sequence == result.sequence(); });
    if (sent == sent_.end()) return run_->Failed("a result of nothing that was sent");
    run_->Succeeded(good, sent->start);
    sent_.erase(sent);
    if (jobs_done_->fetch_add(good) + good >= jobs_all_) ended_ = true;
  }

  void Settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || closed_) return;
    if (leases_.empty()) {
      if (!ended_ || !sent_.empty()) return;
      closed_ = true;
      return StartWritesDone();
    }
    request_.Clear();
    uint32_t added = 0;
    while (!leases_.empty() && request_.settlements_size() < 100) {
      v1::Settlement* settlement = request_.add_settlements();
      settlement->set_sequence(++sequence_);
      for (uint32_t i = 0; i < run_->options().batch && !leases_.empty(); ++i, ++added) {
        *settlement->mutable_delete_jobs()->add_leases() = std::move(leases_.front());
        leases_.pop_front();
      }
      sent_.push_back({sequence_, BenchClock::now()});
    }
    if (!ended_) request_.set_add_credits(added);
    writing_ = true;
    StartWrite(&request_);
  }

  struct Sent {
    uint64_t sequence;
    BenchClock::time_point start;
  };

  BenchRun* const run_;
  const uint64_t jobs_all_;
  std::atomic<uint64_t>* const jobs_done_;
  grpc::ClientContext context_;
  v1::WorkResponse response_;
  absl::Mutex mutex_;
  v1::WorkRequest request_;
  std::deque<v1::Lease> leases_ ABSL_GUARDED_BY(mutex_);
  std::deque<Sent> sent_ ABSL_GUARDED_BY(mutex_);
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// How many jobs are ready in the queues of the run.
uint64_t CountReady(BenchRun* run) {
  uint64_t ready = 0;
  v1::ListQueuesRequest request;
  request.set_page_size(1000);
  for (;;) {
    grpc::ClientContext context;
    v1::ListQueuesResponse response;
    const grpc::Status status = run->stub(0)->ListQueues(&context, request, &response);
    if (!status.ok()) {
      run->Failed(status);
      return ready;
    }
    for (const v1::Queue& queue : response.queues()) {
      if (queue.name().rfind(run->options().queue, 0) == 0) ready += queue.counts().ready();
    }
    if (response.next_page_token().empty()) return ready;
    request.set_page_token(response.next_page_token());
  }
}

}  // namespace

void RunEnqueueStream(BenchRun* run) {
  run->Connect(run->options().streams);
  std::vector<std::unique_ptr<Producer>> producers;
  for (uint32_t i = 0; i < run->options().streams; ++i) {
    producers.push_back(std::make_unique<Producer>(run, i));
  }
  run->Begin();
  for (auto& producer : producers) producer->Begin();
  run->Wait();
}

void RunDrain(BenchRun* run) {
  run->Connect(run->options().streams);
  uint64_t jobs = CountReady(run);
  if (run->options().jobs > 0) jobs = std::min(jobs, run->options().jobs);
  std::atomic<uint64_t> done{0};
  std::vector<std::unique_ptr<Consumer>> consumers;
  for (uint32_t i = 0; i < run->options().streams && jobs > 0; ++i) {
    consumers.push_back(std::make_unique<Consumer>(run, i, jobs, &done));
  }
  run->Begin();
  for (auto& consumer : consumers) consumer->Begin();
  const auto all_done = [&] { return done.load() >= jobs || run->TimeIsUp(); };
  run->WaitUntil(all_done);
  for (auto& consumer : consumers) consumer->End();
  run->Wait();
}

}  // namespace holdfast
