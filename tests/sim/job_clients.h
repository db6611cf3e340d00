// Clients that enqueue, reserve and settle jobs at the nodes, and remember what they were told.
//
// Each job carries a key of its own in its body. An enqueue is repeated under its request id until
// it is answered; other requests are made once. What they saw is the history that
// tests/support/checkers.h judges. Random choices are drawn from the operation's own number.
//
// Thread-safety: thread-compatible. Ownership: what is given outlives it.

#ifndef HOLDFAST_TESTS_SIM_JOB_CLIENTS_H_
#define HOLDFAST_TESTS_SIM_JOB_CLIENTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "server/engine/engine.h"
#include "tests/sim/raft_checker.h"
#include "tests/sim/run_result.h"
#include "tests/sim/schedule.h"
#include "tests/sim/timeline.h"
#include "tests/support/history.h"

namespace holdfast::sim {

class JobClients {
 public:
  // The engine of a node, or of who leads; nullptr: it is down, or nobody leads.
  using EngineAt = std::function<Engine*(Slot slot)>;

  struct Surroundings {
    const Setup* setup;
    Timeline* timeline;
    RaftChecker* checker;
    RunStats* stats;
    EngineAt engine_at;
  };
  JobClients(uint64_t seed, const Surroundings& around) : seed_(seed), around_(around) {}

  // One operation, chosen by `choice`, at `slot` first.
  void Do(uint64_t choice, Slot slot);
  // An enqueue, at the leader first.
  void Enqueue() { BeginEnqueue(kLeaderSlot); }
  // One worker takes everything that is left, until there is nothing; call again after a while.
  void Drain();
  // What is not answered will not be. Call before history().
  void GiveUpAll();

  // Enqueues that have not been answered, and have not been given up.
  size_t unanswered() const { return unanswered_; }
  size_t answered() const { return answered_; }
  bool drained() const { return drained_; }
  const testing::History& history() const { return history_; }

 private:
  // A job as it was handed out.
  struct Lease {
    testing::Grant grant;
    std::string queue;
  };
  struct EnqueueRequest {
    Prng random;
    uint64_t number = 0;
    std::string queue;
    std::vector<uint64_t> keys;
    std::vector<JobSpec> specs;
    uint32_t tries = 0;
  };
  // Ended by its answer, or given up.
  struct Call {
    testing::Operation operation;
    bool over = false;
  };
  using CallPtr = std::shared_ptr<Call>;

  int64_t Now() const;
  std::string BodyOf(uint64_t key) const;
  CallPtr BeginCall(testing::OperationKind kind);
  // True: this is the first that ends it.
  bool EndCall(const CallPtr& call);
  void GiveUpLater(const CallPtr& call, std::function<void()> unknown);

  void BeginEnqueue(Slot slot);
  void TryEnqueue(const std::shared_ptr<EnqueueRequest>& request, Slot slot);
  void OnEnqueued(const std::shared_ptr<EnqueueRequest>& request, const CallPtr& call,
                  const ExecuteResult* result);
  void Reserve(const std::string& queue, uint32_t max, Slot slot,
               std::function<void(std::vector<Lease>)> then);
  std::vector<Lease> OnReserved(const CallPtr& call, const std::string& queue,
                                const ExecuteResult* result);
  void ReserveAfterClose(const std::string& queue, Slot slot);
  void Settle(const Lease& lease, testing::OperationKind kind, Slot slot, Prng random);
  void OnSettled(const CallPtr& call, const ExecuteResult* result);
  void SettleSometime(const Lease& lease, Prng random);
  void Kick(const std::string& queue, Slot slot);
  void Count(const std::string& queue, Slot slot, std::function<void(uint64_t live)> then);

  const uint64_t seed_;
  const Surroundings around_;
  testing::History history_;
  std::vector<Lease> old_leases_;
  std::vector<std::pair<CallPtr, std::function<void()>>> calls_;  // and what to do without answer
  uint64_t requests_ = 0;
  uint64_t keys_ = 0;
  size_t unanswered_ = 0;
  size_t answered_ = 0;
  uint64_t drains_ = 0;
  std::vector<bool> empty_ = {false, false};
  bool drained_ = false;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_JOB_CLIENTS_H_
