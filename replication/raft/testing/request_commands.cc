// What is asked of a replica.

#include <utility>

#include "replication/raft/testing/describe.h"
#include "replication/raft/testing/interaction_env.h"

namespace holdfast::raft {
namespace {

constexpr const char* kDropped = "raft proposal dropped";

std::optional<ConfigStep::Kind> StepKind(char letter) {
  switch (letter) {
    case 'v':
      return ConfigStep::Kind::kAddVoter;
    case 'l':
      return ConfigStep::Kind::kAddLearner;
    case 'r':
      return ConfigStep::Kind::kRemove;
    case 'u':
      return ConfigStep::Kind::kUpdate;
    default:
      return std::nullopt;
  }
}

// The text of what is wrong; nullopt: nothing.
std::optional<std::string> ParseSteps(std::string_view text, std::vector<ConfigStep>* steps) {
  const std::optional<Command> words = ParseCommand("steps " + std::string(text));
  if (!words.has_value()) return "unknown input: " + std::string(text);
  for (const CommandArg& word : words->args) {
    if (word.key.size() < 2) return "unknown token " + word.key;
    const std::optional<ConfigStep::Kind> kind = StepKind(word.key[0]);
    if (!kind.has_value()) return "unknown input: " + word.key;
    const std::optional<uint64_t> id = ParseNumber(std::string_view(word.key).substr(1));
    if (!id.has_value()) return "invalid replica in " + word.key;
    steps->push_back({*kind, ReplicaId(*id)});
  }
  return std::nullopt;
}

std::optional<ConfigChange::Transition> TransitionNamed(std::string_view name) {
  if (name == "auto") return ConfigChange::Transition::kAuto;
  if (name == "implicit") return ConfigChange::Transition::kImplicit;
  if (name == "explicit") return ConfigChange::Transition::kExplicit;
  return std::nullopt;
}

// What the options of propose-conf-change say.
std::optional<std::string> ParseChange(const Command& command, std::string_view input,
                                       ConfigChange* change) {
  for (const CommandArg& arg : command.args) {
    if (arg.values.empty()) continue;
    if (arg.key == "v1") {
      if (arg.values[0] == "true") change->context = kFirstVersionContext;
    } else if (arg.key == "transition") {
      const auto transition = TransitionNamed(arg.values[0]);
      if (!transition.has_value()) return "unknown transition " + arg.values[0];
      change->transition = *transition;
    } else {
      return "unknown command " + arg.key;
    }
  }
  std::string line(input);
  for (char& c : line) c = c == '\n' ? ' ' : c;
  if (auto error = ParseSteps(line, &change->steps); error.has_value()) return error;
  if (!change->context.empty() &&
      (change->steps.size() != 1 || change->transition != ConfigChange::Transition::kAuto)) {
    return "v1 conf change can only have one operation and no transition";
  }
  return std::nullopt;
}

bool IsDropped(ProposeResult result) {
  return result != ProposeResult::kOk && result != ProposeResult::kConfigPending;
}

}  // namespace

InteractionEnv::Error InteractionEnv::RunRequest(const Command& command, bool* known) {
  const Args& args = command.args;
  const auto on_first = [&](auto what) {
    return OnFirst(args, [&](Replica* replica) -> Error {
      what(replica);
      return std::nullopt;
    });
  };
  if (command.name == "campaign") return on_first([](Replica* r) { r->core->Campaign(); });
  if (command.name == "stop-leading") return on_first([](Replica* r) { r->core->StopLeading(); });
  if (command.name == "propose") return Propose(args);
  if (command.name == "transfer-leadership") return TransferLeadership(args);
  if (command.name == "forget-leader") return ForgetLeader(args);
  if (command.name == "send-snapshot") return SendSnapshot(args);
  if (command.name == "report-snapshot") return ReportSnapshot(args);
  if (command.name == "read-index") return ReadIndex(args);
  if (command.name.starts_with("tick")) return Tick(command);
  if (command.name == "report-unreachable") {
    return OnTwo(args, [](Replica* replica, ReplicaId peer) -> Error {
      replica->core->ReportUnreachable(peer);
      return std::nullopt;
    });
  }
  *known = false;
  return std::nullopt;
}

InteractionEnv::Error InteractionEnv::Propose(const Args& args) {
  return OnFirst(args, [&](Replica* replica) -> Error {
    if (args.size() != 2 || !args[1].values.empty()) return "expected exactly one key with no vals";
    const ProposeResult result = replica->core->Propose(
        EntryType::kCommands, std::make_shared<const std::string>(args[1].key));
    if (IsDropped(result)) return kDropped;
    return std::nullopt;
  });
}

InteractionEnv::Error InteractionEnv::ProposeConfigChange(const Command& command,
                                                          std::string_view input) {
  return OnFirst(command.args, [&](Replica* replica) -> Error {
    ConfigChange change;
    if (Error error = ParseChange(command, input, &change); error.has_value()) return error;
    if (IsDropped(replica->core->ProposeConfigChange(change))) return kDropped;
    return std::nullopt;
  });
}

InteractionEnv::Error InteractionEnv::TransferLeadership(const Args& args) {
  const Command command{"", args};
  const CommandArg* const from = command.Find("from");
  const CommandArg* const to = command.Find("to");
  if (from == nullptr || to == nullptr) return "from= and to= are needed";
  Replica* const leader = Find(ReplicaId(ParseNumber(from->values[0]).value_or(0)));
  if (leader == nullptr) return "no replica " + Quoted(from->values[0]);
  leader->core->TransferLeadership(ReplicaId(ParseNumber(to->values[0]).value_or(0)));
  return std::nullopt;
}

InteractionEnv::Error InteractionEnv::ForgetLeader(const Args& args) {
  return OnFirst(args, [this](Replica* replica) -> Error {
    if (replica->refuses_to_forget) {
      output_.Log(ScriptOutput::Level::kError,
                  "ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
    } else {
      replica->core->ForgetLeader();
    }
    return std::nullopt;
  });
}

InteractionEnv::Error InteractionEnv::SendSnapshot(const Args& args) {
  return OnTwo(args, [this](Replica* replica, ReplicaId to) -> Error {
    Message message;
    message.type = MessageType::kSnapshot;
    message.to = to;
    message.from = replica->id();
    message.term = replica->core->term();
    message.snapshot = std::make_shared<const SnapshotDescriptor>(replica->log->applied());
    output_.Print(DescribeMessage(message));
    in_flight_.push_back({to, std::move(message)});
    return std::nullopt;
  });
}

InteractionEnv::Error InteractionEnv::ReportSnapshot(const Args& args) {
  return OnTwo(args, [&](Replica* replica, ReplicaId peer) -> Error {
    const bool failed = args.size() > 2 && args[2].key == "failed";
    replica->core->ReportSnapshot(
        peer, failed ? Core::SnapshotResult::kFailed : Core::SnapshotResult::kInstalled);
    return std::nullopt;
  });
}

InteractionEnv::Error InteractionEnv::ReadIndex(const Args& args) {
  return OnFirst(args, [&](Replica* replica) -> Error {
    const std::optional<uint64_t> context =
        args.size() < 2 ? std::nullopt : ParseNumber(args[1].key);
    if (!context.has_value()) return "which number has the read?";
    replica->core->ReadIndex(*context);
    return std::nullopt;
  });
}

// tick ID N | tick-heartbeat ID | tick-election ID
InteractionEnv::Error InteractionEnv::Tick(const Command& command) {
  return OnFirst(command.args, [&](Replica* replica) -> Error {
    std::optional<uint64_t> ticks;
    if (command.name == "tick-heartbeat") ticks = replica->options.heartbeat_ticks;
    if (command.name == "tick-election") ticks = replica->options.election_ticks;
    if (command.name == "tick" && command.args.size() == 2)
      ticks = ParseNumber(command.args[1].key);
    if (!ticks.has_value()) return "how many ticks?";
    for (uint64_t i = 0; i < *ticks; ++i) replica->core->Tick();
    return std::nullopt;
  });
}

}  // namespace holdfast::raft
