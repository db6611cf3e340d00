#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "tests/integration/lease_calls.h"
#include "tests/integration/workload.h"

namespace holdfast::testing {
namespace {

using google::protobuf::util::TimeUtil;

// One Work stream: settles each job that is pushed, until it has had enough or the stream ends.
class Session {
 public:
  Session(SharedState* shared, Prng* random, const Round& round)
      : shared_(*shared), random_(*random), begin_micros_(NowMicros()) {
    const auto life = absl::Milliseconds(static_cast<int64_t>(random_.Between(500, 4000)));
    context_.set_deadline(absl::ToChronoTime(absl::Now() + life));
    stream_ = round.server->Work(&context_);
  }

  // Whether the server ended it in good order.
  bool Run() {
    uint64_t enough = random_.Between(20, 400);
    bool writes = Subscribe();
    v1::WorkResponse response;
    while (stream_->Read(&response)) {
      for (const v1::SettlementResult& result : response.results()) OnResult(result);
      v1::WorkRequest answer = Work(response);
      enough -= std::min<uint64_t>(enough, static_cast<uint64_t>(response.jobs_size()));
      if (!writes || response.jobs().empty()) continue;
      writes = stream_->Write(answer);
      if (enough > 0 || !writes) continue;
      stream_->WritesDone();
      writes = false;
    }
    const bool good = stream_->Finish().ok();
    End();
    return good;
  }

 private:
  bool Subscribe() {
    v1::WorkRequest first;
    v1::Subscribe& subscribe = *first.mutable_subscribe();
    for (const std::string& queue : shared_.queues) {
      if (random_.Chance(1, 2)) subscribe.add_queues(queue);
    }
    if (subscribe.queues().empty()) subscribe.add_queues(shared_.queues[0]);
    subscribe.set_credits(static_cast<uint32_t>(random_.Between(1, 20)));
    *subscribe.mutable_lease() =
        TimeUtil::MillisecondsToDuration(random_.Chance(1, 2) ? 1000 : 4000);
    subscribe.set_on_disconnect(random_.Chance(1, 2) ? v1::ON_DISCONNECT_RELEASE
                                                     : v1::ON_DISCONNECT_EXPIRE);
    return stream_->Write(first);
  }

  // Notes the jobs, and says what becomes of them.
  v1::WorkRequest Work(const v1::WorkResponse& response) {
    v1::WorkRequest answer;
    Operation operation;
    operation.kind = OperationKind::kReserve;
    // They may have been on their way for long.
    operation.begin_micros = begin_micros_;
    operation.end_micros = NowMicros();
    for (const v1::Job& job : response.jobs()) {
      operation.grants.push_back(GrantOf(job));
      const HeldLease held = {.lease = job.lease(), .key = operation.grants.back().key};
      held_[{held.lease.job_id(), held.lease.token()}] = held;
      const uint64_t chance = random_.Below(100);
      if (chance >= 96) continue;  // forgotten
      if (chance >= 85) Settle(OperationKind::kTouch, held, &answer);
      Settle(chance < 75 || chance >= 85 ? OperationKind::kDelete : OperationKind::kRelease, held,
             &answer);
    }
    answer.set_add_credits(static_cast<uint32_t>(response.jobs_size()));
    if (!operation.grants.empty()) shared_.history.Add(std::move(operation));
    return answer;
  }

  void Settle(OperationKind kind, const HeldLease& held, v1::WorkRequest* request) {
    v1::Settlement& settlement = *request->add_settlements();
    settlement.set_sequence(++sequence_);
    if (kind == OperationKind::kDelete) {
      *settlement.mutable_delete_jobs()->add_leases() = held.lease;
    } else if (kind == OperationKind::kTouch) {
      *settlement.mutable_touch_jobs()->add_leases() = held.lease;
    } else {
      *settlement.mutable_release_jobs()->add_leases() = held.lease;
    }
    unsettled_[sequence_] = BeginSettling(kind, {held});
  }

  void OnResult(const v1::SettlementResult& result) {
    const auto at = unsettled_.find(result.sequence());
    if (at == unsettled_.end()) return;
    const Ended call = result.has_error() ? JudgeItem(result.error()).ended : Ended::kOk;
    JudgeLeases(call, result.results(), &at->second);
    const Settled& settled = at->second.settled[0];
    if (settled.ended == Ended::kOk) {
      shared_.acknowledged.fetch_add(1);
      if (at->second.kind != OperationKind::kTouch) held_.erase({settled.id, settled.token});
      if (at->second.kind == OperationKind::kDelete) {
        shared_.outstanding.fetch_sub(1);
        shared_.deleted.fetch_add(1);
      }
    }
    Record(std::move(at->second));
    unsettled_.erase(at);
  }

  // What was not answered is not known; what is still held may be given back by the server.
  void End() {
    for (auto& [sequence, operation] : unsettled_) {
      shared_.unknown.fetch_add(1);
      Record(std::move(operation));
    }
    for (const auto& [lease, held] : held_) {
      Operation operation = BeginSettling(OperationKind::kRelease, {held});
      operation.begin_micros = begin_micros_;  // it may have ended long before this was noticed
      Record(std::move(operation));
    }
  }

  void Record(Operation operation) {
    operation.end_micros = NowMicros();
    shared_.history.Add(std::move(operation));
  }

  SharedState& shared_;
  Prng& random_;
  const int64_t begin_micros_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriterInterface<v1::WorkRequest, v1::WorkResponse>> stream_;
  uint64_t sequence_ = 0;
  std::map<uint64_t, Operation> unsettled_;                  // by sequence
  std::map<std::pair<uint64_t, uint64_t>, HeldLease> held_;  // by job and token
};

class StreamWorker final : public Client {
 public:
  StreamWorker(SharedState* shared, uint64_t seed) : shared_(shared), random_(seed) {}

  void Run(const Round& round) override {
    while (!round.Over() && Session(shared_, &random_, round).Run()) continue;
  }
  // It keeps nothing between its streams.
  void Settle(const Round&) override {}

 private:
  SharedState* const shared_;
  Prng random_;
};

}  // namespace

std::unique_ptr<Client> MakeStreamWorker(SharedState* shared, uint64_t seed) {
  return std::make_unique<StreamWorker>(shared, seed);
}

}  // namespace holdfast::testing
