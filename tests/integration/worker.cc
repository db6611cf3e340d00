#include <deque>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "tests/integration/lease_calls.h"
#include "tests/integration/workload.h"

namespace holdfast::testing {
namespace {

using google::protobuf::util::TimeUtil;

// Leases kept for later, some of them past their expiry and over crashes.
constexpr size_t kHeldMax = 8;

class Worker final : public Client {
 public:
  Worker(SharedState* shared, uint64_t seed) : shared_(shared), random_(seed) {}

  void Run(const Round& round) override {
    if (pending_.has_value()) {
      shared_->repeated.fetch_add(1);
      if (!SendDelete(round)) return;
    }
    while (!round.Over()) {
      if (!held_.empty() && (held_.size() > kHeldMax || random_.Chance(1, 3))) {
        const HeldLease late = held_.front();
        held_.pop_front();
        if (!Delete(round, {late})) return;
      }
      if (!ReserveAndWork(round)) return;
    }
  }

  void Settle(const Round& round) override {
    if (pending_.has_value() && !SendDelete(round)) RecordDelete({}, Ended::kUnknown);
  }

 private:
  struct Pending {
    v1::DeleteRequest request;
    Operation operation;
  };

  // Each returns false when an answer is lost.
  bool ReserveAndWork(const Round& round) {
    v1::ReserveRequest request;
    for (const std::string& queue : shared_->queues) {
      if (random_.Chance(1, 2)) request.add_queues(queue);
    }
    if (request.queues().empty()) request.add_queues(shared_->queues[0]);
    request.set_max_jobs(static_cast<uint32_t>(random_.Between(1, 10)));
    *request.mutable_wait() =
        TimeUtil::MillisecondsToDuration(static_cast<int64_t>(random_.Between(0, 200)));
    constexpr int64_t kLeaseMillis[] = {200, 1000, 4000};
    *request.mutable_lease() =
        TimeUtil::MillisecondsToDuration(kLeaseMillis[random_.Below(std::size(kLeaseMillis))]);
    grpc::ClientContext context;
    SetDeadline(&context);
    const bool goes_away = random_.Chance(1, 30);
    if (goes_away) {
      const auto within = absl::Microseconds(static_cast<int64_t>(random_.Below(100'000)));
      context.set_deadline(absl::ToChronoTime(absl::Now() + within));
    }
    v1::ReserveResponse response;
    Operation operation;
    operation.kind = OperationKind::kReserve;
    operation.begin_micros = NowMicros();
    const RpcOutcome outcome = JudgeCall(round.server->Reserve(&context, request, &response));
    operation.end_micros = NowMicros();
    if (outcome.ended == Ended::kUnknown) {
      shared_->unknown.fetch_add(1);
      return goes_away;
    }
    if (outcome.ended == Ended::kRefused) round.PauseAfterRefusal();
    std::vector<HeldLease> leases;
    for (const v1::Job& job : response.jobs()) {
      operation.grants.push_back(GrantOf(job));
      leases.push_back({.lease = job.lease(), .key = operation.grants.back().key});
    }
    if (leases.empty()) return true;
    shared_->acknowledged.fetch_add(1);
    shared_->history.Add(std::move(operation));
    return Work(round, leases);
  }

  bool Work(const Round& round, const std::vector<HeldLease>& leases) {
    std::vector<HeldLease> done, given_back, touched;
    for (const HeldLease& lease : leases) {
      const uint64_t chance = random_.Below(100);
      if (chance < 70) {
        done.push_back(lease);
      } else if (chance < 80) {
        given_back.push_back(lease);
      } else if (chance < 87) {
        touched.push_back(lease);
      } else if (chance < 96) {
        held_.push_back(lease);
      }  // else forgotten: its lease expires
      // Used once more, when it is too late.
      if (chance < 80 && random_.Chance(1, 12)) held_.push_back(lease);
    }
    if (!touched.empty() && !Touch(round, touched)) return false;
    if (!given_back.empty() && !Release(round, given_back)) return false;
    done.insert(done.end(), touched.begin(), touched.end());
    return done.empty() || Delete(round, done);
  }

  bool Touch(const Round& round, const std::vector<HeldLease>& leases) {
    v1::TouchRequest request;
    for (const HeldLease& held : leases) *request.add_leases() = held.lease;
    Operation operation = BeginSettling(OperationKind::kTouch, leases);
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::TouchResponse response;
    const RpcOutcome outcome = JudgeCall(round.server->Touch(&context, request, &response));
    return Finish(outcome.ended, response.results(), std::move(operation));
  }

  bool Release(const Round& round, const std::vector<HeldLease>& leases) {
    v1::ReleaseRequest request;
    for (const HeldLease& held : leases) *request.add_leases() = held.lease;
    *request.mutable_delay() =
        TimeUtil::MillisecondsToDuration(static_cast<int64_t>(random_.Below(500)));
    Operation operation = BeginSettling(OperationKind::kRelease, leases);
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::ReleaseResponse response;
    const RpcOutcome outcome = JudgeCall(round.server->Release(&context, request, &response));
    return Finish(outcome.ended, response.results(), std::move(operation));
  }

  bool Delete(const Round& round, const std::vector<HeldLease>& leases) {
    Pending pending;
    for (const HeldLease& held : leases) *pending.request.add_leases() = held.lease;
    if (random_.Chance(1, 3)) {
      pending.request.set_request_id(
          absl::StrCat(shared_->request_prefix, shared_->next_request.fetch_add(1)));
    }
    pending.operation = BeginSettling(OperationKind::kDelete, leases);
    pending_ = std::move(pending);
    return SendDelete(round);
  }

  bool SendDelete(const Round& round) {
    grpc::ClientContext context;
    SetDeadline(&context);
    v1::DeleteResponse response;
    const RpcOutcome outcome =
        JudgeCall(round.server->Delete(&context, pending_->request, &response));
    if (outcome.ended == Ended::kUnknown) {
      shared_->unknown.fetch_add(1);
      if (pending_->request.request_id().empty()) RecordDelete({}, Ended::kUnknown);
      return false;
    }
    RecordDelete(response, outcome.ended);
    return true;
  }

  void RecordDelete(const v1::DeleteResponse& response, Ended ended) {
    Operation operation = std::move(pending_->operation);
    pending_.reset();
    JudgeLeases(ended, response.results(), &operation);
    for (const Settled& settled : operation.settled) {
      if (settled.ended != Ended::kOk) continue;
      shared_->outstanding.fetch_sub(1);
      shared_->deleted.fetch_add(1);
    }
    if (ended == Ended::kOk) shared_->acknowledged.fetch_add(1);
    operation.end_micros = NowMicros();
    shared_->history.Add(std::move(operation));
  }

  template <class Results>
  bool Finish(Ended ended, const Results& results, Operation operation) {
    JudgeLeases(ended, results, &operation);
    operation.end_micros = NowMicros();
    if (ended == Ended::kOk) shared_->acknowledged.fetch_add(1);
    if (ended == Ended::kUnknown) shared_->unknown.fetch_add(1);
    shared_->history.Add(std::move(operation));
    return ended != Ended::kUnknown;
  }

  SharedState* const shared_;
  Prng random_;
  std::deque<HeldLease> held_;
  std::optional<Pending> pending_;
};

}  // namespace

std::unique_ptr<Client> MakeWorker(SharedState* shared, uint64_t seed) {
  return std::make_unique<Worker>(shared, seed);
}

}  // namespace holdfast::testing
