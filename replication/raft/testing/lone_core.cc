#include "replication/raft/testing/lone_core.h"

#include <utility>

#include "base/check.h"
#include "replication/raft/configuration.h"

namespace holdfast::raft {

std::vector<Entry> EntriesOf(uint64_t first, const std::vector<uint64_t>& terms) {
  static const auto kData = std::make_shared<const std::string>("x");
  std::vector<Entry> entries;
  for (const uint64_t term : terms) {
    entries.push_back({.term = Term(term),
                       .index = LogIndex(first++),
                       .type = EntryType::kCommands,
                       .data = kData});
  }
  return entries;
}

Entry ConfigEntry(uint64_t term, uint64_t index, const ConfigChange& change) {
  return {.term = Term(term),
          .index = LogIndex(index),
          .type = EntryType::kConfiguration,
          .data = std::make_shared<const std::string>(EncodeConfigChange(change))};
}

ConfigChange OneStep(ConfigStep::Kind kind, uint64_t replica) {
  ConfigChange change;
  change.steps.push_back({.kind = kind, .replica = ReplicaId(replica)});
  return change;
}

Configuration VotersOnly(const std::vector<uint64_t>& ids) {
  Configuration configuration;
  for (const uint64_t id : ids) configuration.voters.push_back(ReplicaId(id));
  return configuration;
}

Message MessageFrom(uint64_t from, uint64_t term, MessageType type) {
  Message message;
  message.type = type;
  message.from = ReplicaId(from);
  message.to = ReplicaId(1);
  message.term = Term(term);
  return message;
}

Message AppendFrom(uint64_t from, uint64_t term, EntryId previous, std::vector<Entry> entries,
                   uint64_t commit) {
  Message message = MessageFrom(from, term, MessageType::kAppend);
  message.index = previous.index;
  message.log_term = previous.term;
  message.entries = std::move(entries);
  message.commit = LogIndex(commit);
  return message;
}

Message AppendResponseFrom(uint64_t from, uint64_t term, uint64_t index) {
  Message message = MessageFrom(from, term, MessageType::kAppendResponse);
  message.index = LogIndex(index);
  return message;
}

Message RefusalFrom(uint64_t from, uint64_t term, uint64_t refused, EntryId hint) {
  Message message = AppendResponseFrom(from, term, refused);
  message.reject = true;
  message.reject_hint = hint.index;
  message.log_term = hint.term;
  return message;
}

Message VoteRequestFrom(uint64_t from, uint64_t term, EntryId last) {
  Message message = MessageFrom(from, term, MessageType::kVote);
  message.index = last.index;
  message.log_term = last.term;
  return message;
}

Message VoteResponseFrom(uint64_t from, uint64_t term) {
  return MessageFrom(from, term, MessageType::kVoteResponse);
}

LoneCore::LoneCore(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& terms,
                   const Adjust& adjust)
    : voters_(voters) {
  Ready stored;
  stored.entries = EntriesOf(1, terms);
  log_->Write(stored);
  Core::Options options;
  options.id = ReplicaId(1);
  options.pre_vote = false;
  options.configuration = VotersOnly(voters);
  if (!terms.empty()) options.hard_state.term = Term(terms.back());
  if (adjust) adjust(&options);
  log_->hard_state = options.hard_state;
  core_ = std::make_unique<Core>(options, log_.get());
}

Progress LoneCore::progress(uint64_t id) {
  for (const auto& [peer, progress] : core_->GetStatus().progress) {
    if (peer == ReplicaId(id)) return progress;
  }
  CHECK(false);
}

const Ready& LoneCore::Take() {
  writing_.push_back(core_->TakeReady());
  core_->CheckInvariants();
  Ready& ready = writing_.back();
  sent_.insert(sent_.end(), ready.messages.begin(), ready.messages.end());
  committed_.insert(committed_.end(), ready.committed.begin(), ready.committed.end());
  reads_.insert(reads_.end(), ready.read_states.begin(), ready.read_states.end());
  return ready;
}

void LoneCore::Written() {
  const Ready ready = std::move(writing_.front());
  writing_.pop_front();
  log_->Write(ready);
  for (const Message& message : ready.messages_after_write) {
    if (message.to == core_->id()) {
      core_->Step(message);
    } else {
      sent_.push_back(message);
    }
  }
  core_->OnWritten(ready.write);
  core_->CheckInvariants();
}

void LoneCore::Apply() {
  while (!committed_.empty()) {
    const Entry entry = std::move(committed_.front());
    committed_.pop_front();
    if (entry.type == EntryType::kConfiguration) {
      core_->ApplyConfigChange(
          *DecodeConfigChange(entry.data == nullptr ? std::string_view() : *entry.data));
    }
    applied_.push_back(entry);
    core_->OnApplied(entry.index);
    core_->CheckInvariants();
  }
}

void LoneCore::Settle() {
  while (core_->HasReady() || !writing_.empty() || !committed_.empty()) {
    if (core_->HasReady()) Take();
    if (!writing_.empty()) Written();
    Apply();
  }
}

void LoneCore::Step(Message message) {
  core_->Step(std::move(message));
  core_->CheckInvariants();
}

void LoneCore::Tick(int ticks) {
  for (int i = 0; i < ticks; ++i) core_->Tick();
  core_->CheckInvariants();
}

void LoneCore::Lead() {
  core_->Campaign();
  Settle();
  const uint64_t term = core_->term().value();
  for (const uint64_t id : voters_) {
    if (id != 1) Step(VoteResponseFrom(id, term));
  }
  Settle();
  CHECK(core_->role() == Role::kLeader);
  sent_.clear();
}

ProposeResult LoneCore::Propose(const std::string& data) {
  const ProposeResult result =
      core_->Propose(EntryType::kCommands, std::make_shared<const std::string>(data));
  core_->CheckInvariants();
  return result;
}

std::vector<Message> LoneCore::Sent() { return std::exchange(sent_, {}); }

std::vector<Message> LoneCore::Sent(MessageType type) {
  std::vector<Message> all = Sent();
  std::erase_if(all, [type](const Message& message) { return message.type != type; });
  return all;
}

}  // namespace holdfast::raft
