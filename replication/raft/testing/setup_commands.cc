// What there is: replicas, their logs, the log level.

#include <algorithm>
#include <limits>
#include <utility>

#include "replication/raft/testing/describe.h"
#include "replication/raft/testing/interaction_env.h"

namespace holdfast::raft {
namespace {

// As etcd-raft's tests have it: no limits, and every option off.
Core::Options PlainOptions() {
  Core::Options options;
  options.election_ticks = 3;
  options.heartbeat_ticks = 1;
  options.write_mode = Core::WriteMode::kTogether;
  options.pre_vote = false;
  options.check_quorum = false;
  options.step_down_on_removal = false;
  options.forward_proposals = true;
  options.message_bytes_max = std::numeric_limits<uint64_t>::max();
  options.committed_bytes_max = std::numeric_limits<uint64_t>::max();
  options.inflight_messages_max = std::numeric_limits<int32_t>::max();
  return options;
}

// What `add-nodes` is told.
struct NewNodes {
  Core::Options options = PlainOptions();
  SnapshotDescriptor start;
  bool lease_based_reads = false;
};

void AddIds(const CommandArg& arg, std::vector<ReplicaId>* ids) {
  for (const std::string& value : arg.values) {
    ids->push_back(ReplicaId(ParseNumber(value).value_or(0)));
  }
}

// nullopt: not the name of a switch.
std::optional<bool Core::Options::*> SwitchNamed(std::string_view key) {
  if (key == "prevote") return &Core::Options::pre_vote;
  if (key == "checkquorum") return &Core::Options::check_quorum;
  if (key == "step-down-on-removal") return &Core::Options::step_down_on_removal;
  return std::nullopt;
}

bool SetSwitch(const CommandArg& arg, bool on, NewNodes* nodes) {
  if (const auto member = SwitchNamed(arg.key)) {
    nodes->options.*(*member) = on;
  } else if (arg.key == "async-storage-writes") {
    nodes->options.write_mode = on ? Core::WriteMode::kApart : Core::WriteMode::kTogether;
  } else if (arg.key == "disable-conf-change-validation") {
    nodes->options.validate_config_changes = !on;
  } else if (arg.key == "disable-proposal-forwarding") {
    nodes->options.forward_proposals = !on;
  } else {
    return false;
  }
  return true;
}

bool SetNumber(const CommandArg& arg, uint64_t number, NewNodes* nodes) {
  if (arg.key == "inflight") {
    nodes->options.inflight_messages_max = static_cast<uint32_t>(number);
  } else if (arg.key == "max-inflight-bytes") {
    nodes->options.inflight_bytes_max = number;
  } else if (arg.key == "max-message-bytes") {
    nodes->options.message_bytes_max = number;
  } else if (arg.key == "max-uncommitted-bytes") {
    nodes->options.uncommitted_bytes_max = number;
  } else if (arg.key == "max-committed-size-per-ready") {
    nodes->options.committed_bytes_max = number;
  } else if (arg.key == "election-tick") {
    nodes->options.election_ticks = static_cast<uint32_t>(number);
  } else if (arg.key == "heartbeat-tick") {
    nodes->options.heartbeat_ticks = static_cast<uint32_t>(number);
  } else if (arg.key == "index") {
    nodes->start.index = LogIndex(number);
    nodes->start.term = Term(1);
  } else {
    return false;
  }
  return true;
}

enum class OptionResult : uint8_t { kOk, kUnknown };

OptionResult SetOption(const CommandArg& arg, NewNodes* nodes) {
  const std::string& value = arg.values[0];
  bool known = true;
  if (arg.key == "voters") {
    AddIds(arg, &nodes->start.configuration.voters);
  } else if (arg.key == "learners") {
    AddIds(arg, &nodes->start.configuration.learners);
  } else if (arg.key == "content") {
    // The original's state machine; nothing that is printed shows it.
  } else if (arg.key == "read-only") {
    nodes->lease_based_reads = value != "safe";
  } else if (value == "true" || value == "false") {
    known = SetSwitch(arg, value == "true", nodes);
  } else {
    const std::optional<uint64_t> number = ParseNumber(value);
    known = number.has_value() && SetNumber(arg, *number, nodes);
  }
  return known ? OptionResult::kOk : OptionResult::kUnknown;
}

}  // namespace

InteractionEnv::Error InteractionEnv::RunSetup(const Command& command, bool* known) {
  if (command.name == "add-nodes") return AddNodes(command.args);
  if (command.name == "log-level") return LogLevel(command.args);
  if (command.name == "set-randomized-election-timeout") return SetElectionTimeout(command.args);
  if (command.name == "compact") return Compact(command.args);
  if (command.name == "log-reads") return LogReads(command.args);
  if (command.name == "_breakpoint") return std::nullopt;
  if (command.name == "restart") {
    return OnEach(command.args, "restarting", [this, &command](Replica* replica) -> Error {
      if (const CommandArg* const commit = command.Find("commit")) {
        const std::optional<uint64_t> index = ParseNumber(commit->values[0]);
        if (!index.has_value()) return "commit must be an index";
        HardState kept = replica->log->hard_state();
        kept.commit = std::min(kept.commit, LogIndex(*index));
        replica->log->SetHardState(kept);
      }
      Restart(replica);
      return std::nullopt;
    });
  }
  *known = false;
  return std::nullopt;
}

InteractionEnv::Error InteractionEnv::AddNodes(const Args& args) {
  const std::optional<uint64_t> count = args.empty() ? std::nullopt : ParseNumber(args[0].key);
  if (!count.has_value()) return "how many replicas?";
  NewNodes nodes;
  for (const CommandArg& arg : args) {
    if (arg.values.empty()) continue;
    // As in the original, they are not refused: scripts of its branches have more of them.
    if (SetOption(arg, &nodes) == OptionResult::kUnknown) {
      output_.Log(ScriptOutput::Level::kWarn, "option " + Quoted(arg.key) + " is not known");
    }
  }
  if (nodes.start.configuration != Configuration() && nodes.start.index <= LogIndex(1)) {
    return "index must be specified as > 1 due to bootstrap";
  }
  for (uint64_t i = 0; i < *count; ++i) {
    Replica& replica = replicas_.emplace_back();
    replica.options = nodes.options;
    replica.options.id = ReplicaId(replicas_.size());
    replica.options.seed = replicas_.size();
    replica.refuses_to_forget = nodes.lease_based_reads;
    replica.log = std::make_unique<MemoryLog>(nodes.start);
    Start(&replica);
  }
  return std::nullopt;
}

void InteractionEnv::Start(Replica* replica) {
  Core::Options options = replica->options;
  options.hard_state = replica->log->hard_state();
  options.applied = replica->log->applied().index;
  options.configuration = replica->log->applied().configuration;
  options.log = [this](Core::Options::LogLevel level, std::string_view text) {
    output_.Log(static_cast<ScriptOutput::Level>(level), text);
  };
  replica->shown = options.hard_state;
  safety_.Starts(replica->id(), *replica->log);
  replica->core = std::make_unique<Core>(std::move(options), replica->log.get());
}

void InteractionEnv::Restart(Replica* replica) {
  replica->append_work.clear();
  replica->apply_work.clear();
  TakeInFlight(
      [&](const Envelope& envelope) { return envelope.to == replica->id() && envelope.local(); });
  Start(replica);
}

InteractionEnv::Error InteractionEnv::LogLevel(const Args& args) {
  const auto level = args.empty() ? std::nullopt : ScriptOutput::LevelNamed(args[0].key);
  if (!level.has_value()) {
    return "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]";
  }
  output_.SetLevel(*level);
  return std::nullopt;
}

InteractionEnv::Error InteractionEnv::SetElectionTimeout(const Args& args) {
  const Command command{"", args};
  const CommandArg* const timeout = command.Find("timeout");
  if (timeout == nullptr) return "missing argument: timeout";
  const uint64_t ticks = ParseNumber(timeout->values[0]).value_or(0);
  return OnFirst(args, [ticks](Replica* replica) {
    replica->core->SetRandomizedElectionTicks(static_cast<uint32_t>(ticks));
    return std::nullopt;
  });
}

InteractionEnv::Error InteractionEnv::Compact(const Args& args) {
  return OnFirst(args, [&](Replica* replica) -> Error {
    const std::optional<uint64_t> index = args.size() < 2 ? std::nullopt : ParseNumber(args[1].key);
    if (!index.has_value()) return "up to which index?";
    if (Error error = replica->log->CompactTo(LogIndex(*index)); error.has_value()) return error;
    RaftLog(*replica);
    return std::nullopt;
  });
}

InteractionEnv::Error InteractionEnv::LogReads(const Args& args) {
  return OnFirst(args, [&](Replica* replica) -> Error {
    const bool fetching = args.size() > 1 && args[1].key == "not-yet";
    replica->log->SetFetching(fetching);
    if (!fetching) replica->core->LogFetched();
    return std::nullopt;
  });
}

}  // namespace holdfast::raft
