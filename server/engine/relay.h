// One shard's commands, wherever it leads: executes them here if this node leads the shard, passes
// them to the node that does otherwise, and keeps each until its outcome is known.
//
//                      ┌─ this node leads ──▶ Shard
//   Router ──▶ Relay ──┤                        │ given back: leads no more
//                ▲     └─ another ──▶ Forwarder ─▶ its ForwardServer
//                └── not executed, or nobody knows: again ──┘
//
// Exactly once. What may have been executed is sent again under the same identity: the caller's own
// request id, or a number in a session that this relay opens in the shard when it first needs one.
// So a change of the leader is seen as latency. Only what is not decided within
// Options::wait_micros is answered: UNAVAILABLE if it was certainly not executed, else UNKNOWN.
// While this node leads, commands go to the shard as they are, without a session.
//
// Only commands travel. A reserve that finds nothing waits at the local replica, which learns of
// every job, for an offer; then it asks the leader again.
//
// Bounds: Options. What waits is further bounded by its permits (Admission).
// Thread-safety: loop-bound with its shard. Ownership: Parts outlive it.

#ifndef HOLDFAST_SERVER_ENGINE_RELAY_H_
#define HOLDFAST_SERVER_ENGINE_RELAY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/executor.h"
#include "base/types.h"
#include "server/engine/shard.h"

namespace holdfast {

// Passes requests to other nodes. Thread-safety: called on the shard's loop; calls `done` there,
// exactly once, not before the call has returned.
class Forwarder {
 public:
  enum class Result : uint8_t {
    kReplied,
    kNotSent,  // certainly not executed
    kUnknown,  // it may have been executed
  };
  using Done = absl::AnyInvocable<void(Result, std::shared_ptr<const std::string>) &&>;

  virtual ~Forwarder() = default;
  // To the node that has the replica.
  virtual void Forward(ReplicaId to, ShardId shard, std::shared_ptr<const std::string> request,
                       Done done) = 0;
};

class Relay final : public ShardClient {
 public:
  struct Options {
    ShardId shard;
    ReplicaId self;
    int64_t wait_micros = 10'000'000;  // for an outcome, while leaders change
    int64_t retry_micros = 20'000;     // the pause after a refusal
    // Commands that are sent and not answered. Below Settings::session_outcomes_max.
    size_t in_flight_max = 1024;
    size_t reserves_max = 100'000;  // that wait for an offer or an answer of the leader
  };
  struct Parts {
    Executor* executor = nullptr;
    Shard* shard = nullptr;
    Forwarder* forwarder = nullptr;  // nullptr: there are no other nodes
  };

  Relay(const Options& options, const Parts& parts);
  ~Relay() override;

  Shard* shard() const { return parts_.shard; }
  ReplicaId leader() const { return leader_; }

  void Submit(Submission submission);
  void Reserve(WaiterPtr waiter);
  void CancelReserve(ReserveId id);
  // Reserves do not wait any more. Tell the shard, too.
  void Drain() { draining_ = true; }
  // The node ends: answers everything, what is not known with UNKNOWN. Before the shard's Stop.
  void Stop();

  // The replica that leads the shard, as far as this node knows; ReplicaId(): none. Told when it
  // changes.
  void OnLeader(ReplicaId leader);

  // --- ShardClient.
  void OnLeading() override;
  void Return(Submission submission) override;
  void Return(WaiterPtr waiter) override;

 private:
  // Numbered as they come.
  struct Call {
    std::string command;
    ExecuteDone done;
    Admission::Permit permit;
    int64_t deadline_micros = 0;
    uint64_t session = 0;  // which of this relay's sessions; 0: none (yet)
    uint64_t sequence = 0;
    uint64_t attempt = 0;
    ReplicaId sent_to;
    bool is_sent = false;         // the latest attempt is under way
    bool maybe_executed = false;  // by an earlier one
  };
  using Calls = std::map<uint64_t, Call>;

  void Begin(Submission submission);
  void Keep(Submission submission);
  void Pump();
  void PumpLater();
  bool Send(uint64_t number, Call* call);
  void SendTo(std::string request, ExecuteDone done);
  bool Identify(Call* call);
  void OpenSession();
  void Answered(uint64_t number, uint64_t attempt, ExecuteResult result);
  void Retry(uint64_t number);
  void LeaveSession(Call* call);
  void Finish(Calls::iterator it, ExecuteResult result);
  absl::Status Undecided(const Call& call) const;
  void WatchDeadlines();

  // --- Reserves while another node leads.
  void TryReserve(ReserveId id);
  void OnLoop(ReserveId id, ExecuteResult result);
  void Reserved(ReserveId id, ExecuteResult result);
  void ReserveAnew(ReserveId id, ExecuteResult refusal);
  void WaitForOffer(ReserveId id);
  void OfferCame(ReserveId id, ExecuteResult result);
  void GiveBack(const Outcome& outcome);
  void FinishReserve(ReserveId id, ExecuteResult result);

  const Options options_;
  const Parts parts_;
  ReplicaId leader_;
  bool draining_ = false;
  bool stopped_ = false;

  Calls calls_;
  uint64_t calls_made_ = 0;
  absl::btree_set<uint64_t> unsent_;  // numbers of calls
  size_t in_flight_ = 0;
  bool pumping_ = false;
  bool pump_later_ = false;
  bool watching_ = false;

  SessionId session_;  // open; SessionId(): none
  uint64_t sessions_made_ = 0;
  uint64_t openings_ = 0;
  bool opening_ = false;
  // Of the present session.
  uint64_t sequences_made_ = 0;
  absl::btree_set<uint64_t> undecided_;  // without an answer

  absl::flat_hash_map<ReserveId, WaiterPtr> reserves_;
  std::vector<ReserveId> returned_;  // of reserves_; to be tried with the next Pump()
};

// A relay and the executor that it is bound to.
struct RelayOnLoop {
  Executor* loop = nullptr;
  Relay* relay = nullptr;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_RELAY_H_
