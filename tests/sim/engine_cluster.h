// The nodes of one engine run, who is whose disk, and what may be done to them.
//
// As core_cluster.h, with the daemon's own group and shard in each node. Thread-safety:
// thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_ENGINE_CLUSTER_H_
#define HOLDFAST_TESTS_SIM_ENGINE_CLUSTER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/testing/simulated_executor.h"
#include "base/types.h"
#include "tests/sim/engine_node.h"
#include "tests/sim/job_clients.h"
#include "tests/sim/network.h"
#include "tests/sim/raft_checker.h"
#include "tests/sim/schedule.h"

namespace holdfast::sim {

class EngineCluster final : public EngineHost, public RaftChecker::Disks {
 public:
  // The initial members are started. What is given outlives it.
  EngineCluster(const Schedule& schedule, holdfast::EventQueue* events, Timeline* timeline,
                RunStats* stats, Trace* trace);
  ~EngineCluster() override;

  void Do(const Action& action);
  // Everything is well again, but for the minority that the schedule takes away for good.
  void Heal();
  // Starts members that are down or have ended, and has the leader repair the configuration. For
  // the time after Heal.
  void Operate();

  RaftChecker& checker() { return checker_; }
  JobClients& clients() { return clients_; }
  uint64_t hash() const { return hash_; }
  // nullopt: every enqueue is answered and every living member has applied the whole log.
  // Otherwise what is missing.
  std::optional<std::string> Unsettled() const;

  // EngineHost.
  EngineNode* NodeOf(ReplicaId replica) override;
  // RaftChecker::Disks.
  bool HasEntry(ReplicaId replica, raft::EntryId entry) const override;
  raft::HardState HardStateOf(ReplicaId replica) const override;

 private:
  EngineNode* Find(Slot slot);
  EngineNode* Leader();
  void Start(EngineNode* node);
  void CrashFor(EngineNode* node, SimTime span);
  void DoToNode(const Action& action, EngineNode* node);
  void FailWriteFor(const Action& action, EngineNode* node);
  void Wipe(EngineNode* node, SimTime span);
  void ChangeMembers(uint64_t choice);
  void StepClock(const Action& action, EngineNode* node);
  bool MayLose(const std::set<ReplicaId>& lost) const;
  bool ConfigurationUnderWay() const;
  std::vector<const EngineNode*> LivingMembers() const;

  const Schedule& schedule_;
  Timeline* const timeline_;
  RunStats* const stats_;
  Trace* const trace_;
  Network network_;
  uint64_t hash_ = 0;
  std::vector<ReplicaId> initial_;
  std::map<ReplicaId, raft::HardState> wiped_;
  std::set<ReplicaId> gone_;  // wiped, or away for good
  std::optional<Slot> wrong_clock_;
  RaftChecker checker_;
  std::vector<std::unique_ptr<EngineNode>> nodes_;  // by slot
  JobClients clients_;
  uint64_t disks_ = 0;  // ever
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_ENGINE_CLUSTER_H_
