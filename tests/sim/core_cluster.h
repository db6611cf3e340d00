// The nodes of one bare-core run, who is whose disk, and what may be done to them.
//
// Actions that would take away a majority for good (wiping one disk too many) are not done: what
// they would show is not a promise. Thread-safety: thread-compatible.

#ifndef HOLDFAST_TESTS_SIM_CORE_CLUSTER_H_
#define HOLDFAST_TESTS_SIM_CORE_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "tests/sim/core_node.h"
#include "tests/sim/network.h"
#include "tests/sim/raft_checker.h"
#include "tests/sim/schedule.h"
#include "tests/sim/write_clients.h"

namespace holdfast::sim {

class CoreCluster final : public NodeHost, public RaftChecker::Disks {
 public:
  // The initial members are started. `schedule`, `queue`, `stats` and `trace` outlive it.
  CoreCluster(const Schedule& schedule, Timeline* queue, RunStats* stats, Trace* trace);
  ~CoreCluster() override;

  // --- What is done to it.

  // Any kind but kJobs and those of clocks.
  void Do(const Action& action);
  // Everything is well again, but for the minority that the schedule takes away for good.
  void Heal();
  // Starts members that are down, stops who is no member any more, and has the leader repair the
  // configuration. For the time after Heal.
  void Operate();
  // A write, at the leader first.
  void Write() { clients_.Begin(kLeaderSlot); }
  // Asks each living member for a read, unless one has been answered.
  void ReadEverywhere();

  // --- What is so.

  RaftChecker& checker() { return checker_; }
  const WriteClients& clients() const { return clients_; }
  uint64_t hash() const { return hash_; }
  // nullopt: every living member has the whole log applied, has answered a read and remembers each
  // write, and the configuration is at rest. Otherwise what is missing.
  std::optional<std::string> Unsettled() const;

  // NodeHost.
  CoreNode* NodeOf(ReplicaId replica) override;
  void OnAcknowledged(WriteId write, LogIndex index) override;
  void OnReadAnswered(ReadId read) override;
  std::string Pin(std::shared_ptr<const MachineState> state) override;
  std::shared_ptr<const MachineState> Pinned(const std::string& source) override;

  // RaftChecker::Disks.
  bool HasEntry(ReplicaId replica, raft::EntryId entry) const override;
  raft::HardState HardStateOf(ReplicaId replica) const override;

 private:
  struct WipedDisk {
    LogImage log;
    raft::HardState hard_state;
  };

  // nullptr: nobody leads (of those that run), or there is no such slot.
  CoreNode* Find(Slot slot);
  CoreNode* Leader();
  // Whether some log has a configuration beyond the newest that is applied.
  bool ConfigurationUnderWay() const;
  bool MayLose(const std::set<ReplicaId>& lost) const;

  void DoToNode(const Action& action, CoreNode* node);
  void CrashFor(CoreNode* node, SimTime span);
  void FailWriteFor(CoreNode* node, SimTime span);
  void Wipe(CoreNode* node, SimTime span);
  void ChangeMembers(uint64_t choice);
  void LoseMinority();
  std::vector<const CoreNode*> LivingMembers() const;

  const Schedule& schedule_;
  Timeline* const queue_;
  RunStats* const stats_;
  Trace* const trace_;
  Network network_;
  uint64_t hash_ = 0;
  std::map<ReplicaId, WipedDisk> wiped_;  // what was on those disks
  std::set<ReplicaId> gone_;              // wiped, or away for good
  RaftChecker checker_;
  std::vector<std::unique_ptr<CoreNode>> nodes_;  // by slot
  std::vector<std::shared_ptr<const MachineState>> pinned_;
  WriteClients clients_;
  uint64_t disks_ = 0;  // ever
  ReadId reads_ = 0;
  std::map<ReadId, Slot> healed_reads_;
  std::set<Slot> has_read_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_TESTS_SIM_CORE_CLUSTER_H_
