// What is printed and changes nothing.

#include "replication/raft/config_changer.h"
#include "replication/raft/testing/describe.h"
#include "replication/raft/testing/interaction_env.h"

namespace holdfast::raft {
namespace {

std::string DescribeReads(const std::vector<ReadState>& reads) {
  std::string text = "ReadStates [";
  for (size_t i = 0; i < reads.size(); ++i) {
    text += std::string(i > 0 ? " " : "") + "{" + std::to_string(reads[i].index.value()) + " " +
            std::to_string(reads[i].context) + "}";
  }
  return text + "]\n";
}

}  // namespace

InteractionEnv::Error InteractionEnv::RunShow(const Command& command, bool* known) {
  if (command.name == "raft-state") {
    RaftState();
    return std::nullopt;
  }
  if (command.name == "raft-log") {
    return OnFirst(command.args, [this](Replica* replica) -> Error {
      RaftLog(*replica);
      return std::nullopt;
    });
  }
  if (command.name == "status") {
    return OnFirst(command.args, [this](Replica* replica) -> Error {
      output_.Print(DescribeProgresses(replica->core->GetStatus()));
      return std::nullopt;
    });
  }
  *known = false;
  return std::nullopt;
}

void InteractionEnv::RaftState() {
  for (const Replica& replica : replicas_) {
    const Core& core = *replica.core;
    const bool voter = IsVoter(core.configuration(), replica.id());
    output_.Print(std::to_string(replica.id().value()) + ": " +
                  std::string(DescribeRole(core.role())) + (voter ? " (Voter)" : " (Non-Voter)") +
                  " Term:" + std::to_string(core.term().value()) +
                  " Lead:" + std::to_string(core.leader().value()) + "\n");
  }
}

void InteractionEnv::RaftLog(const Replica& replica) {
  const MemoryLog& log = *replica.log;
  if (log.entries().empty()) {
    output_.Print("log is empty: first index=" + std::to_string(log.First().value()) +
                  ", last index=" + std::to_string(log.Last().value()));
  } else {
    output_.Print(DescribeEntries(log.entries()));
  }
}

std::string InteractionEnv::DescribeReady(const Replica& replica, const Ready& ready,
                                          const std::string& more_messages) const {
  std::string text;
  if (ready.soft_state.has_value()) text += DescribeSoftState(*ready.soft_state) + "\n";
  if (ready.hard_state.has_value()) {
    text += "HardState " + DescribeHardState(*ready.hard_state) + "\n";
  }
  if (!ready.read_states.empty()) text += DescribeReads(ready.read_states);
  if (!ready.entries.empty()) text += "Entries:\n" + DescribeEntries(ready.entries);
  if (ready.snapshot != nullptr) text += "Snapshot " + DescribeSnapshot(*ready.snapshot) + "\n";
  if (!ready.committed.empty()) text += "CommittedEntries:\n" + DescribeEntries(ready.committed);
  std::string messages;
  for (const Message& message : ready.messages) messages += DescribeMessage(message) + "\n";
  messages += more_messages;
  if (!messages.empty()) text += "Messages:\n" + messages;
  if (text.empty()) return "<empty Ready>";
  return std::string("Ready MustSync=") + (MustSync(replica, ready) ? "true" : "false") + ":\n" +
         text;
}

bool InteractionEnv::MustSync(const Replica& replica, const Ready& ready) const {
  if (ready.snapshot == nullptr) return ready.must_sync;
  const HardState state = ready.hard_state.value_or(replica.shown);
  return !ready.entries.empty() || state.term != replica.shown.term ||
         state.vote != replica.shown.vote;
}

}  // namespace holdfast::raft
