// A group of replicas in one process, driven by the commands of etcd-raft's interaction tests, with
// the same output.
//
// Nothing happens by itself: messages wait until they are delivered or dropped, writes and applies
// of asynchronous replicas until their thread is run, time until it is ticked. After every command
// each core checks its invariants, and what has been applied or led is checked over all replicas;
// what is violated is printed as a line VIOLATION.
//
// The commands are listed in the README of this folder. Replicas have the ids 1, 2, 3, ...
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_INTERACTION_ENV_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_INTERACTION_ENV_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "replication/raft/core.h"
#include "replication/raft/testing/memory_log.h"
#include "replication/raft/testing/safety.h"
#include "replication/raft/testing/script.h"
#include "replication/raft/testing/script_output.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

// What a replica's append thread answers to the replica itself.
struct StorageAppended {
  WriteToken write;
  std::shared_ptr<const SnapshotDescriptor> snapshot;
};
// What its apply thread answers.
struct StorageApplied {
  std::vector<Entry> entries;
};

// Something on its way to replica `to`.
struct Envelope {
  ReplicaId to;
  std::variant<Message, StorageAppended, StorageApplied> content;

  std::string_view type() const;
  std::string Describe(std::string_view indent = "") const;
  // From the replica's own threads, or to itself: is never lost.
  bool local() const;
};

// The work of the threads of replica `owner`, as the messages that etcd-raft makes of it.
enum class WithResponses : uint8_t { kNo, kYes };

// One Ready's write.
struct AppendWork {
  ReplicaId owner;
  std::optional<HardState> hard_state;
  std::vector<Entry> entries;
  std::shared_ptr<const SnapshotDescriptor> snapshot;
  std::vector<Envelope> responses;

  std::string Describe(WithResponses with) const;
};
struct ApplyWork {
  ReplicaId owner;
  StorageApplied response;

  std::string Describe(WithResponses with) const;
};

class InteractionEnv {
 public:
  InteractionEnv() = default;

  // Runs one block and returns what it prints; "ok" if nothing.
  std::string Run(const ScriptBlock& block);

 private:
  // The text of what went wrong; nullopt: nothing did.
  using Error = std::optional<std::string>;
  using Args = std::vector<CommandArg>;

  struct Replica {
    Core::Options options;
    // Stands for lease based reads, which the core does not have.
    bool refuses_to_forget = false;
    std::unique_ptr<MemoryLog> log;
    std::unique_ptr<Core> core;
    HardState shown;  // the hard state of the last Ready
    std::deque<AppendWork> append_work;
    std::deque<ApplyWork> apply_work;

    ReplicaId id() const { return options.id; }
    bool asynchronous() const { return options.write_mode == Core::WriteMode::kApart; }
  };

  // How a command takes the replicas it names.
  using OnReplica = std::function<Error(Replica*)>;

  Error RunCommand(const Command& command);
  Error RunLines(const ScriptBlock& block);
  void CheckSafety();
  Replica* Find(ReplicaId id);
  // The replicas that the bare words name.
  std::variant<std::vector<Replica*>, std::string> Replicas(const Args& args);
  Error OnFirst(const Args& args, const OnReplica& what);
  // With a header line and indented if there are several.
  Error OnEach(const Args& args, std::string_view header, const OnReplica& what);
  // The second one need not be there.
  Error OnTwo(const Args& args, const std::function<Error(Replica*, ReplicaId)>& what);

  // --- setup_commands.cc: what is there.
  Error RunSetup(const Command& command, bool* known);
  Error AddNodes(const Args& args);
  Error LogLevel(const Args& args);
  Error SetElectionTimeout(const Args& args);
  Error Compact(const Args& args);
  Error LogReads(const Args& args);
  void Start(Replica* replica);
  void Restart(Replica* replica);

  // --- request_commands.cc: what is asked of a replica.
  Error RunRequest(const Command& command, bool* known);
  Error Propose(const Args& args);
  Error ProposeConfigChange(const Command& command, std::string_view input);
  Error TransferLeadership(const Args& args);
  Error ForgetLeader(const Args& args);
  Error SendSnapshot(const Args& args);
  Error ReportSnapshot(const Args& args);
  Error ReadIndex(const Args& args);
  Error Tick(const Command& command);

  // --- drive_commands.cc: what moves things on.
  Error RunDrive(const Command& command, bool* known);
  Error Stabilize(const Args& args);
  bool StabilizeReady(const std::vector<Replica*>& replicas);
  bool StabilizeMessages(const std::vector<Replica*>& replicas);
  bool StabilizeThreads(const std::vector<Replica*>& replicas);
  void ProcessReady(Replica* replica);
  void ProcessTogether(Replica* replica, const Ready& ready, const AppendWork& work);
  void ProcessAppendThread(Replica* replica);
  void ProcessApplyThread(Replica* replica);
  void Write(Replica* replica, const AppendWork& work);
  void Apply(Replica* replica, const std::vector<Entry>& entries);
  void Send(const Replica& replica, Message message);

  // --- deliver_commands.cc: what becomes of messages.
  Error DeliverMessages(const Args& args);
  // Takes those that `selected` is true for out of what is in flight, in order.
  std::vector<Envelope> TakeInFlight(const std::function<bool(const Envelope&)>& selected);
  void Deliver(const Envelope& envelope);

  // --- show_commands.cc: what is printed only.
  Error RunShow(const Command& command, bool* known);
  void RaftState();
  void RaftLog(const Replica& replica);
  // `more_messages`: lines to print after Ready::messages.
  std::string DescribeReady(const Replica& replica, const Ready& ready,
                            const std::string& more_messages) const;
  // As etcd-raft has it: a snapshot alone does not ask for a sync.
  bool MustSync(const Replica& replica, const Ready& ready) const;

  ScriptOutput output_;
  Safety safety_;
  // A deque: replicas stay where they are, since cores and commands point to them.
  std::deque<Replica> replicas_;
  std::deque<Envelope> in_flight_;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_INTERACTION_ENV_H_
