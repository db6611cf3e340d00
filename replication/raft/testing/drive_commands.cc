// What moves things on: Readys, storage threads, and all of it until nothing is left to do.

#include <utility>

#include "base/check.h"
#include "replication/raft/configuration.h"
#include "replication/raft/testing/describe.h"
#include "replication/raft/testing/interaction_env.h"

namespace holdfast::raft {
namespace {

constexpr int kStabilizeRoundsMax = 1000;

std::string Header(ReplicaId id, std::string_view what) {
  return "> " + std::to_string(id.value()) + " " + std::string(what) + "\n";
}

AppendWork WorkOf(ReplicaId owner, const Ready& ready) {
  AppendWork work{owner, ready.hard_state, ready.entries, ready.snapshot, {}};
  for (const Message& message : ready.messages_after_write) {
    work.responses.push_back({message.to, message});
  }
  if (!ready.write.empty()) {
    work.responses.push_back({owner, StorageAppended{ready.write, ready.snapshot}});
  }
  return work;
}

}  // namespace

InteractionEnv::Error InteractionEnv::RunDrive(const Command& command, bool* known) {
  const auto each = [&](std::string_view header, void (InteractionEnv::*what)(Replica*)) {
    return OnEach(command.args, header, [this, what](Replica* replica) -> Error {
      (this->*what)(replica);
      return std::nullopt;
    });
  };
  if (command.name == "stabilize") return Stabilize(command.args);
  if (command.name == "deliver-msgs") return DeliverMessages(command.args);
  if (command.name == "process-ready") return each("handling Ready", &InteractionEnv::ProcessReady);
  if (command.name == "process-append-thread") {
    return each("processing append thread", &InteractionEnv::ProcessAppendThread);
  }
  if (command.name == "process-apply-thread") {
    return each("processing apply thread", &InteractionEnv::ProcessApplyThread);
  }
  *known = false;
  return std::nullopt;
}

InteractionEnv::Error InteractionEnv::Stabilize(const Args& args) {
  auto named = Replicas(args);
  if (const auto* error = std::get_if<std::string>(&named)) return *error;
  auto& replicas = std::get<std::vector<Replica*>>(named);
  if (replicas.empty()) {
    for (Replica& replica : replicas_) replicas.push_back(&replica);
  }
  const ScriptOutput::Level before = output_.level();
  const Command command{"", args};
  if (const CommandArg* level = command.Find("log-level"); level != nullptr) {
    if (Error error = LogLevel({{level->values[0], {}}}); error.has_value()) return error;
  }
  Error error = "stabilize does not end";
  for (int round = 0; error.has_value() && round < kStabilizeRoundsMax; ++round) {
    const bool ready = StabilizeReady(replicas);
    const bool messages = StabilizeMessages(replicas);
    const bool threads = StabilizeThreads(replicas);
    if (!ready && !messages && !threads) error = std::nullopt;
  }
  output_.SetLevel(before);
  return error;
}

bool InteractionEnv::StabilizeReady(const std::vector<Replica*>& replicas) {
  bool any = false;
  for (Replica* const replica : replicas) {
    if (!replica->core->HasReady()) continue;
    any = true;
    output_.Print(Header(replica->id(), "handling Ready"));
    output_.Indented([&] { ProcessReady(replica); });
  }
  return any;
}

bool InteractionEnv::StabilizeMessages(const std::vector<Replica*>& replicas) {
  bool any = false;
  for (Replica* const replica : replicas) {
    const std::vector<Envelope> received =
        TakeInFlight([&](const Envelope& envelope) { return envelope.to == replica->id(); });
    if (received.empty()) continue;
    any = true;
    output_.Print(Header(replica->id(), "receiving messages"));
    output_.Indented([&] {
      for (const Envelope& envelope : received) Deliver(envelope);
    });
  }
  return any;
}

bool InteractionEnv::StabilizeThreads(const std::vector<Replica*>& replicas) {
  bool any = false;
  for (Replica* const replica : replicas) {
    if (replica->append_work.empty()) continue;
    any = true;
    output_.Print(Header(replica->id(), "processing append thread"));
    while (!replica->append_work.empty()) {
      output_.Indented([&] { ProcessAppendThread(replica); });
    }
  }
  for (Replica* const replica : replicas) {
    if (replica->apply_work.empty()) continue;
    any = true;
    output_.Print(Header(replica->id(), "processing apply thread"));
    while (!replica->apply_work.empty()) {
      output_.Indented([&] { ProcessApplyThread(replica); });
    }
  }
  return any;
}

void InteractionEnv::ProcessReady(Replica* replica) {
  if (!replica->core->HasReady()) {
    output_.Print("<empty Ready>");
    return;
  }
  const Ready ready = replica->core->TakeReady();
  const AppendWork append = WorkOf(replica->id(), ready);
  const ApplyWork apply{replica->id(), {ready.committed}};
  if (!replica->asynchronous()) {
    ProcessTogether(replica, ready, append);
    return;
  }
  std::string thread_messages;
  if (ready.needs_write()) thread_messages += append.Describe(WithResponses::kYes) + "\n";
  if (!ready.committed.empty()) thread_messages += apply.Describe(WithResponses::kYes) + "\n";
  output_.Print(DescribeReady(*replica, ready, thread_messages));
  replica->shown = ready.hard_state.value_or(replica->shown);
  for (const Message& message : ready.messages) Send(*replica, message);
  if (ready.needs_write()) replica->append_work.push_back(append);
  if (!ready.committed.empty()) replica->apply_work.push_back(apply);
}

void InteractionEnv::ProcessTogether(Replica* replica, const Ready& ready, const AppendWork& work) {
  std::vector<Message> after_write;
  for (const Message& message : ready.messages_after_write) {
    if (message.to != replica->id()) after_write.push_back(message);
  }
  std::string text;
  for (const Message& message : after_write) text += DescribeMessage(message) + "\n";
  output_.Print(DescribeReady(*replica, ready, text));
  replica->shown = ready.hard_state.value_or(replica->shown);
  Write(replica, work);
  Apply(replica, ready.committed);
  for (const Message& message : ready.messages) Send(*replica, message);
  for (const Message& message : after_write) Send(*replica, message);
  replica->core->Advance();
}

void InteractionEnv::ProcessAppendThread(Replica* replica) {
  if (replica->append_work.empty()) {
    output_.Print("no append work to perform");
    return;
  }
  const AppendWork work = std::move(replica->append_work.front());
  replica->append_work.pop_front();
  output_.Print("Processing:\n" + work.Describe(WithResponses::kNo) + "\n");
  Write(replica, work);
  output_.Print("Responses:\n");
  for (const Envelope& response : work.responses) {
    output_.Print(response.Describe() + "\n");
    if (const auto* message = std::get_if<Message>(&response.content)) {
      Send(*replica, *message);
    } else {
      in_flight_.push_back(response);
    }
  }
}

void InteractionEnv::ProcessApplyThread(Replica* replica) {
  if (replica->apply_work.empty()) {
    output_.Print("no apply work to perform");
    return;
  }
  const ApplyWork work = std::move(replica->apply_work.front());
  replica->apply_work.pop_front();
  output_.Print("Processing:\n" + work.Describe(WithResponses::kNo) + "\n");
  Apply(replica, work.response.entries);
  const Envelope response{replica->id(), work.response};
  output_.Print("Responses:\n" + response.Describe() + "\n");
  in_flight_.push_back(response);
}

void InteractionEnv::Write(Replica* replica, const AppendWork& work) {
  if (work.snapshot != nullptr) {
    safety_.Installs(replica->id(), *work.snapshot);
    replica->log->Reset(*work.snapshot);
  }
  replica->log->Append(work.entries);
  if (!work.hard_state.has_value()) return;
  safety_.Writes(replica->id(), *work.hard_state);
  replica->log->SetHardState(*work.hard_state);
}

void InteractionEnv::Apply(Replica* replica, const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    safety_.Applies(replica->id(), entry);
    Configuration configuration = replica->log->applied().configuration;
    if (entry.type == EntryType::kConfiguration) {
      const std::optional<ConfigChange> change =
          DecodeConfigChange(entry.data == nullptr ? std::string_view() : *entry.data);
      CHECK(change.has_value());
      configuration = replica->core->ApplyConfigChange(*change);
    }
    replica->log->Applied(entry, configuration);
  }
}

void InteractionEnv::Send(const Replica& replica, Message message) {
  safety_.Sends(message, *replica.log);
  const ReplicaId to = message.to;
  in_flight_.push_back({to, std::move(message)});
}

}  // namespace holdfast::raft
