#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "tests/integration/job_body.h"
#include "tests/integration/rpc_outcome.h"
#include "tests/integration/workload.h"

namespace holdfast::testing {
namespace {

using google::protobuf::util::TimeUtil;

class Producer final : public Client {
 public:
  Producer(SharedState* shared, uint64_t seed) : shared_(shared), random_(seed) {}

  void Run(const Round& round) override {
    while (!round.Over()) {
      if (pending_.has_value()) {
        shared_->repeated.fetch_add(1);
      } else if (shared_->outstanding.load() > kOutstandingMax) {
        if (round.stop->WaitFor(absl::Milliseconds(20))) return;
        continue;
      } else {
        Prepare();
      }
      if (!Send(round)) return;
    }
  }

  void Settle(const Round& round) override {
    if (pending_.has_value() && !Send(round)) Record({}, Ended::kUnknown);
  }

 private:
  struct Pending {
    v1::EnqueueRequest request;
    Operation operation;
  };

  void Prepare() {
    Pending pending;
    pending.operation.kind = OperationKind::kEnqueue;
    pending.operation.begin_micros = NowMicros();
    pending.request.set_queue(shared_->queues[random_.Below(shared_->queues.size())]);
    if (random_.Chance(1, 2)) {
      pending.request.set_request_id(
          absl::StrCat(shared_->request_prefix, shared_->next_request.fetch_add(1)));
    }
    const uint64_t jobs = random_.Chance(3, 4) ? 1 : random_.Between(2, 20);
    for (uint64_t i = 0; i < jobs; ++i) {
      const uint64_t key = shared_->next_key.fetch_add(1);
      const int64_t delay =
          random_.Chance(1, 10) ? static_cast<int64_t>(random_.Between(1'000, 1'500'000)) : 0;
      v1::JobSpec* const spec = pending.request.add_jobs();
      spec->set_body(MakeBody(key));
      spec->set_priority(static_cast<uint32_t>(random_.Below(4)));
      *spec->mutable_lease() = TimeUtil::SecondsToDuration(LeaseSecondsOf(key));
      if (delay > 0) *spec->mutable_delay() = TimeUtil::MicrosecondsToDuration(delay);
      pending.operation.enqueued.push_back(
          {.key = key, .ended = Ended::kUnknown, .id = 0, .delay_micros = delay});
    }
    pending_ = std::move(pending);
  }

  // False when the answer is lost, so that the round is over for this client.
  bool Send(const Round& round) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
    v1::EnqueueResponse response;
    const grpc::Status status = round.server->Enqueue(&context, pending_->request, &response);
    const RpcOutcome outcome = JudgeCall(status);
    if (outcome.ended == Ended::kUnknown) {
      shared_->unknown.fetch_add(1);
      // With a request id the next round will tell; without one it never will.
      if (pending_->request.request_id().empty()) Record({}, Ended::kUnknown);
      return false;
    }
    if (outcome.ended == Ended::kRefused) {
      shared_->refused.fetch_add(1);
      round.PauseAfterRefusal();
    }
    Record(response, outcome.ended);
    return true;
  }

  void Record(const v1::EnqueueResponse& response, Ended ended) {
    Operation operation = std::move(pending_->operation);
    pending_.reset();
    operation.end_micros = NowMicros();
    for (size_t i = 0; i < operation.enqueued.size(); ++i) {
      EnqueuedJob& job = operation.enqueued[i];
      job.ended = ended;
      if (ended != Ended::kOk) continue;
      if (static_cast<int>(i) >= response.results_size()) {
        job.ended = Ended::kUnknown;  // the contract is one result for each job
        continue;
      }
      const v1::EnqueueResult& result = response.results(static_cast<int>(i));
      job.ended = result.has_error() ? JudgeItem(result.error()).ended : Ended::kOk;
      job.id = result.job_id();
      if (job.ended != Ended::kOk) continue;
      shared_->outstanding.fetch_add(1);
      shared_->enqueued.fetch_add(1);
    }
    if (ended == Ended::kOk) shared_->acknowledged.fetch_add(1);
    shared_->history.Add(std::move(operation));
  }

  SharedState* const shared_;
  Prng random_;
  std::optional<Pending> pending_;  // sent at least once or about to be
};

}  // namespace

int64_t NowMicros() { return absl::ToUnixMicros(absl::Now()); }

std::unique_ptr<Client> MakeProducer(SharedState* shared, uint64_t seed) {
  return std::make_unique<Producer>(shared, seed);
}

}  // namespace holdfast::testing
