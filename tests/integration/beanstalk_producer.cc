#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/integration/beanstalk_calls.h"
#include "tests/integration/job_body.h"
#include "tests/integration/workload.h"

namespace holdfast::testing {
namespace {

class BeanstalkProducer final : public Client {
 public:
  BeanstalkProducer(SharedState* shared, uint64_t seed) : shared_(shared), random_(seed) {}

  void Run(const Round& round) override {
    while (!round.Over()) {
      if (shared_->outstanding.load() > kOutstandingMax) {
        round.PauseAfterRefusal();
      } else if (random_.Chance(1, 100)) {
        return PutHalf(round.beanstalkd);
      } else if (!Put(round)) {
        return;
      }
    }
  }
  // The protocol knows no way to ask again.
  void Settle(const Round&) override {}

 private:
  // A new job: adds it to the operation, and what puts it to `bytes`.
  void Prepare(Operation* operation, std::string* bytes) {
    const uint64_t key = shared_->next_key.fetch_add(1);
    uint64_t delay_s = 0;
    if (random_.Chance(1, 10)) delay_s = random_.Chance(1, 4) ? 6 : 1;
    const std::string body = MakeBody(key);
    absl::StrAppend(bytes, "put ", random_.Below(4), " ", delay_s, " ", LeaseSecondsOf(key), " ",
                    body.size(), "\r\n", body, "\r\n");
    operation->enqueued.push_back({.key = key,
                                   .ended = Ended::kUnknown,
                                   .id = 0,
                                   .delay_micros = static_cast<int64_t>(delay_s) * 1'000'000});
  }

  // Some jobs at once; false when an answer is lost.
  bool Put(const Round& round) {
    const std::string& tube = shared_->queues[random_.Below(shared_->queues.size())];
    std::string bytes = absl::StrCat("use ", tube, "\r\n");
    Operation operation;
    operation.kind = OperationKind::kEnqueue;
    const uint64_t jobs = random_.Chance(3, 4) ? 1 : random_.Between(2, 20);
    for (uint64_t i = 0; i < jobs; ++i) Prepare(&operation, &bytes);
    operation.begin_micros = NowMicros();
    const bool used = round.beanstalkd->Send(bytes) && Said(round.beanstalkd, {"USING"}).ok();
    bool refused = false;
    for (EnqueuedJob& job : operation.enqueued) {
      if (!used) break;
      const BeanstalkReply reply = Said(round.beanstalkd, {"INSERTED"});
      if (reply.ended == Ended::kUnknown) break;
      job.ended = reply.ended;
      refused |= reply.ended == Ended::kRefused;
      Count(reply, shared_);
      if (!reply.ok()) continue;
      job.id = reply.numbers.at(0);
      shared_->outstanding.fetch_add(1);
      shared_->enqueued.fetch_add(1);
    }
    operation.end_micros = NowMicros();
    shared_->history.Add(std::move(operation));
    if (round.beanstalkd->broken()) shared_->unknown.fetch_add(1);
    if (refused) round.PauseAfterRefusal();
    return !round.beanstalkd->broken();
  }

  // Goes away in the middle of a put: there is no job then.
  void PutHalf(BeanstalkConnection* connection) {
    std::string bytes;
    Operation operation;
    operation.kind = OperationKind::kEnqueue;
    Prepare(&operation, &bytes);
    operation.enqueued[0].ended = Ended::kRefused;
    operation.begin_micros = NowMicros();
    connection->Send(bytes.substr(0, random_.Between(1, bytes.size() - 1)));
    operation.end_micros = NowMicros();
    shared_->history.Add(std::move(operation));
  }

  SharedState* const shared_;
  Prng random_;
};

}  // namespace

std::unique_ptr<Client> MakeBeanstalkProducer(SharedState* shared, uint64_t seed) {
  return std::make_unique<BeanstalkProducer>(shared, seed);
}

}  // namespace holdfast::testing
