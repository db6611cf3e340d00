#include "replication/raft/testing/interaction_env.h"

#include <utility>

#include "replication/raft/testing/describe.h"

namespace holdfast::raft {
namespace {

std::string Number(ReplicaId id) { return std::to_string(id.value()); }

}  // namespace

std::string_view Envelope::type() const {
  if (const auto* message = std::get_if<Message>(&content)) return MessageTypeName(message->type);
  return std::holds_alternative<StorageAppended>(content) ? "MsgStorageAppendResp"
                                                          : "MsgStorageApplyResp";
}

std::string Envelope::Describe(std::string_view indent) const {
  if (const auto* message = std::get_if<Message>(&content)) {
    return DescribeMessage(*message, indent);
  }
  const std::string arrow = "->" + Number(to) + " " + std::string(type()) + " Term:";
  if (const auto* applied = std::get_if<StorageApplied>(&content)) {
    return "ApplyThread" + arrow + "0 Log:0/0" + DescribeEntryList(applied->entries, indent);
  }
  const auto& appended = std::get<StorageAppended>(content);
  const WriteToken& write = appended.write;
  std::string text = "AppendThread" + arrow + std::to_string(write.term.value()) +
                     " Log:" + std::to_string(write.last.term.value()) + "/" +
                     std::to_string(write.last.index.value());
  if (appended.snapshot != nullptr) {
    text += "\n" + std::string(indent) + "  Snapshot: " + DescribeSnapshot(*appended.snapshot);
  }
  return text;
}

bool Envelope::local() const {
  const auto* message = std::get_if<Message>(&content);
  return message == nullptr || message->from == message->to;
}

std::string AppendWork::Describe(WithResponses with) const {
  std::string text = Number(owner) + "->AppendThread MsgStorageAppend Term:" +
                     std::to_string(hard_state.has_value() ? hard_state->term.value() : 0) +
                     " Log:0/0";
  if (hard_state.has_value() && hard_state->commit != LogIndex()) {
    text += " Commit:" + std::to_string(hard_state->commit.value());
  }
  if (hard_state.has_value() && hard_state->vote != ReplicaId()) {
    text += " Vote:" + Number(hard_state->vote);
  }
  text += DescribeEntryList(entries, "");
  if (snapshot != nullptr) text += "\n  Snapshot: " + DescribeSnapshot(*snapshot);
  if (with == WithResponses::kNo || responses.empty()) return text;
  text += " Responses:[";
  for (const Envelope& response : responses) text += "\n  " + response.Describe("  ");
  return text + "\n]";
}

std::string ApplyWork::Describe(WithResponses with) const {
  std::string text = Number(owner) + "->ApplyThread MsgStorageApply Term:0 Log:0/0" +
                     DescribeEntryList(response.entries, "");
  if (with == WithResponses::kNo) return text;
  return text + " Responses:[\n  " + Envelope{owner, response}.Describe("  ") + "\n]";
}

std::string InteractionEnv::Run(const ScriptBlock& block) {
  const Error error = RunLines(block);
  if (error.has_value()) output_.PrintAlways(*error);
  CheckSafety();
  std::string text = output_.Take();
  return text.empty() ? "ok" : text;
}

InteractionEnv::Error InteractionEnv::RunLines(const ScriptBlock& block) {
  const std::optional<Command> first = ParseCommand(block.command);
  if (!first.has_value()) return "cannot parse the command line " + Quoted(block.command);
  if (first->name == "propose-conf-change") return ProposeConfigChange(*first, block.input);
  if (Error error = RunCommand(*first); error.has_value()) return error;
  for (const std::string& line : SplitLines(block.input)) {
    const std::optional<Command> command = ParseCommand(line);
    if (!command.has_value()) return "cannot parse the command line " + Quoted(line);
    output_.EndLine();
    const Error error = RunCommand(*command);
    if (error.has_value()) output_.PrintAlways(*error + "\n");
  }
  return std::nullopt;
}

InteractionEnv::Error InteractionEnv::RunCommand(const Command& command) {
  bool known = true;
  for (const auto run : {&InteractionEnv::RunSetup, &InteractionEnv::RunRequest,
                         &InteractionEnv::RunDrive, &InteractionEnv::RunShow}) {
    known = true;
    Error error = (this->*run)(command, &known);
    if (known) return error;
  }
  return "unknown command";
}

void InteractionEnv::CheckSafety() {
  for (Replica& replica : replicas_) {
    // A replica that is added with a log is at term 0 all the same, as in the original: no real one
    // is ever behind its log.
    if (replica.core->term() != Term()) replica.core->CheckInvariants();
    if (replica.core->role() == Role::kLeader) safety_.Leads(replica.id(), replica.core->term());
  }
  for (const std::string& violation : safety_.TakeViolations()) {
    output_.EndLine();
    output_.PrintAlways("VIOLATION " + violation + "\n");
  }
}

InteractionEnv::Replica* InteractionEnv::Find(ReplicaId id) {
  if (id == ReplicaId() || id.value() > replicas_.size()) return nullptr;
  return &replicas_[id.value() - 1];
}

std::variant<std::vector<InteractionEnv::Replica*>, std::string> InteractionEnv::Replicas(
    const Args& args) {
  std::vector<Replica*> replicas;
  for (const CommandArg& arg : args) {
    if (!arg.values.empty()) continue;
    Replica* const replica = Find(ReplicaId(ParseNumber(arg.key).value_or(0)));
    if (replica == nullptr) return "no replica " + Quoted(arg.key);
    replicas.push_back(replica);
  }
  return replicas;
}

InteractionEnv::Error InteractionEnv::OnFirst(const Args& args, const OnReplica& what) {
  if (args.empty()) return "which replica?";
  Replica* const replica = Find(ReplicaId(ParseNumber(args[0].key).value_or(0)));
  if (replica == nullptr) return "no replica " + Quoted(args[0].key);
  return what(replica);
}

InteractionEnv::Error InteractionEnv::OnEach(const Args& args, std::string_view header,
                                             const OnReplica& what) {
  const auto replicas = Replicas(args);
  if (const auto* error = std::get_if<std::string>(&replicas)) return *error;
  const auto& named = std::get<std::vector<Replica*>>(replicas);
  for (Replica* const replica : named) {
    Error error;
    if (named.size() == 1) {
      error = what(replica);
    } else {
      output_.Print("> " + Number(replica->id()) + " " + std::string(header) + "\n");
      output_.Indented([&] { error = what(replica); });
    }
    if (error.has_value()) return error;
  }
  return std::nullopt;
}

InteractionEnv::Error InteractionEnv::OnTwo(const Args& args,
                                            const std::function<Error(Replica*, ReplicaId)>& what) {
  const std::optional<uint64_t> second = args.size() < 2 ? std::nullopt : ParseNumber(args[1].key);
  if (!second.has_value()) return "two replicas are needed";
  return OnFirst(args, [&](Replica* first) { return what(first, ReplicaId(*second)); });
}

}  // namespace holdfast::raft
