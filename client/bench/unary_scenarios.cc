#include <memory>
#include <utility>
#include <vector>

#include "client/bench/scenarios.h"
#include "grpcpp/generic/generic_stub.h"

namespace holdfast {
namespace {

namespace v1 = holdfast::v1;

enum class Round { kPing, kEnqueue, kConsume, kCycle };

// One caller: does one round after another until there is nothing left to do.
class Slot {
 public:
  Slot(BenchRun* run, uint32_t number, Round round)
      : run_(run), stub_(run->stub(number)), any_stub_(run->channel(number)), round_(round) {
    run_->SourceStarted();
  }

  void Next() {
    const std::optional<BenchRun::Ticket> ticket = run_->Take(1);
    if (!ticket.has_value()) return run_->SourceEnded();
    ticket_ = *ticket;
    BenchRun::AtStart(ticket_, &alarm_, [this] { Begin(); });
  }

 private:
  void Begin() {
    if (round_ == Round::kPing) return Ping();
    queue_ = run_->QueueName(ticket_.number);
    if (round_ == Round::kConsume) return Reserve();
    enqueue_.set_queue(queue_);
    if (enqueue_.jobs_size() == 0) enqueue_.add_jobs()->set_body(run_->body());
    NewContext();
    stub_->async()->Enqueue(context_.get(), &enqueue_, &enqueued_, [this](grpc::Status status) {
      if (!status.ok()) return Fail(status);
      if (enqueued_.results_size() != 1 || enqueued_.results(0).has_error()) {
        run_->Failed(enqueued_.ShortDebugString());
        return Next();
      }
      if (round_ == Round::kCycle) return Reserve();
      Done();
    });
  }

  void Ping() {
    NewContext();
    any_stub_.UnaryCall(context_.get(), "/grpc.health.v1.Health/Check", grpc::StubOptions(),
                        &check_, &checked_, [this](grpc::Status status) {
                          if (!status.ok()) return Fail(status);
                          Done();
                        });
  }

  void Reserve() {
    reserve_.clear_queues();
    reserve_.add_queues(queue_);
    reserve_.set_max_jobs(1);
    NewContext();
    stub_->async()->Reserve(context_.get(), &reserve_, &reserved_, [this](grpc::Status status) {
      if (!status.ok()) return Fail(status);
      if (reserved_.jobs_size() == 0) {
        if (round_ == Round::kConsume) return run_->SourceEnded();  // drained
        return Next();  // another caller took ours, and we theirs
      }
      Delete();
    });
  }

  void Delete() {
    delete_.clear_leases();
    *delete_.add_leases() = reserved_.jobs(0).lease();
    NewContext();
    stub_->async()->Delete(context_.get(), &delete_, &deleted_, [this](grpc::Status status) {
      if (!status.ok()) return Fail(status);
      if (deleted_.results_size() != 1 || deleted_.results(0).has_error()) {
        run_->Failed(deleted_.ShortDebugString());
        return Next();
      }
      Done();
    });
  }

  void Done() {
    run_->Succeeded(1, ticket_.start);
    Next();
  }
  void Fail(const grpc::Status& status) {
    run_->Failed(status);
    Next();
  }
  void NewContext() { context_ = std::make_unique<grpc::ClientContext>(); }

  BenchRun* const run_;
  v1::Holdfast::Stub* const stub_;
  grpc::GenericStub any_stub_;
  const Round round_;
  BenchRun::Ticket ticket_;
  std::string queue_;
  grpc::Alarm alarm_;
  std::unique_ptr<grpc::ClientContext> context_;
  grpc::Slice no_bytes_;  // asks of the server as a whole
  grpc::ByteBuffer check_{&no_bytes_, 1};
  grpc::ByteBuffer checked_;
  v1::EnqueueRequest enqueue_;
  v1::EnqueueResponse enqueued_;
  v1::ReserveRequest reserve_;
  v1::ReserveResponse reserved_;
  v1::DeleteRequest delete_;
  v1::DeleteResponse deleted_;
};

void RunSlots(BenchRun* run, Round round) {
  run->Connect(std::min(run->options().connections, run->options().in_flight));
  std::vector<std::unique_ptr<Slot>> slots;
  for (uint32_t i = 0; i < run->options().in_flight; ++i) {
    slots.push_back(std::make_unique<Slot>(run, i, round));
  }
  run->Begin();
  for (auto& slot : slots) slot->Next();
  run->Wait();
}

}  // namespace

void RunPing(BenchRun* run) { RunSlots(run, Round::kPing); }
void RunEnqueue(BenchRun* run) { RunSlots(run, Round::kEnqueue); }
void RunConsume(BenchRun* run) { RunSlots(run, Round::kConsume); }
void RunCycle(BenchRun* run) { RunSlots(run, Round::kCycle); }

}  // namespace holdfast
