#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "client/bench/scenarios.h"

namespace holdfast {
namespace {

namespace v1 = holdfast::v1;

class Worker;

// Whose jobs are under way. Of enqueued and deleted either may be heard of first.
class JobBoard {
 public:
  // True: it has been deleted already.
  bool Enqueued(uint64_t job, Worker* worker) {
    absl::MutexLock lock(&mutex_);
    const auto [place, inserted] = jobs_.emplace(job, worker);
    if (!inserted) jobs_.erase(place);
    return !inserted;
  }
  // Who waits for that; nullptr: nobody yet.
  Worker* Deleted(uint64_t job) {
    absl::MutexLock lock(&mutex_);
    const auto [place, inserted] = jobs_.emplace(job, nullptr);
    if (inserted) return nullptr;
    Worker* const worker = place->second;
    jobs_.erase(place);
    return worker;
  }

  void WorkerEnded() { ended_.fetch_add(1); }
  size_t ended() const { return ended_.load(); }

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<uint64_t, Worker*> jobs_ ABSL_GUARDED_BY(mutex_);  // nullptr: deleted
  std::atomic<size_t> ended_{0};
};

// A stream on which one message is being written, and one waits to be, from any thread.
template <class Request, class Response>
class OneWriteAtATime : public grpc::ClientBidiReactor<Request, Response> {
 public:
  // `edit` makes the next message; if the one before is not written yet, of the same.
  template <class Edit>
  void Write(Edit edit) {
    absl::MutexLock lock(&mutex_);
    if (!waits_) next_.Clear();
    edit(&next_);
    waits_ = true;
    StartNext();
  }
  // Nothing more will be written.
  void End() {
    {
      absl::MutexLock lock(&mutex_);
      ending_ = true;
      StartNext();
    }
    this->RemoveHold();
  }
  void OnReadDone(bool ok) final {
    if (!ok) return OnBroken();
    OnResponse(response_);
    this->StartRead(&response_);
  }
  void OnWriteDone(bool ok) final {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (ok) StartNext();
  }

 protected:
  // When the method has been called with context(). Until End() it is open to Write.
  void Start() {
    this->StartRead(&response_);
    this->AddHold();
    this->StartCall();
  }
  grpc::ClientContext* context() { return &context_; }
  virtual void OnResponse(const Response& response) = 0;
  // Nothing more can be read.
  virtual void OnBroken() = 0;

 private:
  void StartNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_) return;
    if (waits_) {
      waits_ = false;
      writing_ = true;
      written_.Swap(&next_);
      this->StartWrite(&written_);
    } else if (ending_) {
      writing_ = true;
      this->StartWritesDone();
    }
  }

  grpc::ClientContext context_;
  Response response_;
  absl::Mutex mutex_;
  Request next_ ABSL_GUARDED_BY(mutex_);
  Request written_;
  bool waits_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
};

// Enqueues a job, and when it has been deleted, whoever did that, the next. Meanwhile it takes one
// job at a time, whosesoever it is, and deletes it.
class Worker {
 public:
  Worker(BenchRun* run, uint32_t number, JobBoard* board)
      : run_(run), board_(board), producer_(this, number), consumer_(this, number) {}

  void Begin() {
    consumer_.Subscribe();
    Next();
  }
  void End() {
    producer_.End();
    consumer_.End();
  }

  void JobDeleted() {
    run_->Succeeded(1, ticket_.start);
    Next();
  }

 private:
  class Producer final
      : public OneWriteAtATime<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse> {
   public:
    Producer(Worker* worker, uint32_t number) : worker_(worker) {
      worker->run_->SourceStarted();
      worker->run_->stub(number)->async()->EnqueueStream(context(), this);
      Start();
    }
    void OnResponse(const v1::EnqueueStreamResponse& response) override {
      for (const v1::EnqueueAcknowledgement& one : response.acknowledgements()) {
        worker_->OnEnqueued(one);
      }
    }
    void OnBroken() override { worker_->Stop(); }
    void OnDone(const grpc::Status& status) override { worker_->OnStreamDone(status); }

   private:
    Worker* const worker_;
  };

  class Consumer final : public OneWriteAtATime<v1::WorkRequest, v1::WorkResponse> {
   public:
    Consumer(Worker* worker, uint32_t number) : worker_(worker) {
      worker->run_->SourceStarted();
      worker->run_->stub(number)->async()->Work(context(), this);
      Start();
    }
    void Subscribe() {
      Write([&](v1::WorkRequest* request) {
        *request->mutable_subscribe() = worker_->run_->Subscription(1);
      });
    }
    void OnResponse(const v1::WorkResponse& response) override {
      for (const v1::Job& job : response.jobs()) {
        Write([&](v1::WorkRequest* request) {
          v1::Settlement* const settlement = request->add_settlements();
          settlement->set_sequence(job.id());
          *settlement->mutable_delete_jobs()->add_leases() = job.lease();
          request->set_add_credits(static_cast<uint32_t>(request->settlements_size()));
        });
      }
      for (const v1::SettlementResult& result : response.results()) worker_->OnSettled(result);
    }
    void OnBroken() override { worker_->Stop(); }
    void OnDone(const grpc::Status& status) override { worker_->OnStreamDone(status); }

   private:
    Worker* const worker_;
  };

  void Next() {
    const std::optional<BenchRun::Ticket> ticket = run_->Take(1);
    if (!ticket.has_value()) return Stop();
    ticket_ = *ticket;
    BenchRun::AtStart(ticket_, &alarm_, [this] { Enqueue(); });
  }

  void Enqueue() {
    producer_.Write([&](v1::EnqueueStreamRequest* request) {
      request->set_sequence(ticket_.number);
      request->set_queue(run_->QueueName(ticket_.number));
      request->add_jobs()->set_body(run_->body());
    });
  }

  void OnEnqueued(const v1::EnqueueAcknowledgement& acknowledgement) {
    if (acknowledgement.results_size() != 1 || acknowledgement.results(0).has_error()) {
      run_->Failed(acknowledgement.ShortDebugString());
      return Next();
    }
    if (board_->Enqueued(acknowledgement.results(0).job_id(), this)) JobDeleted();
  }

  void OnSettled(const v1::SettlementResult& result) {
    if (result.results_size() != 1 || result.results(0).has_error()) {
      return run_->Failed(result.ShortDebugString());
    }
    Worker* const owner = board_->Deleted(result.sequence());
    if (owner != nullptr) owner->JobDeleted();
  }

  void OnStreamDone(const grpc::Status& status) {
    if (!status.ok()) run_->Failed(status);
    run_->SourceEnded();
  }

  void Stop() {
    if (!stopped_.exchange(true)) board_->WorkerEnded();
  }

  BenchRun* const run_;
  JobBoard* const board_;
  BenchRun::Ticket ticket_;
  std::atomic<bool> stopped_{false};
  grpc::Alarm alarm_;
  Producer producer_;
  Consumer consumer_;
};

}  // namespace

void RunWork(BenchRun* run) {
  run->Connect(std::min(run->options().connections, run->options().in_flight));
  JobBoard board;
  std::vector<std::unique_ptr<Worker>> workers;
  for (uint32_t i = 0; i < run->options().in_flight; ++i) {
    workers.push_back(std::make_unique<Worker>(run, i, &board));
  }
  run->Begin();
  for (const auto& worker : workers) worker->Begin();
  run->WaitUntil([&] { return board.ended() == workers.size(); });
  for (const auto& worker : workers) worker->End();
  run->Wait();
}

}  // namespace holdfast
