#include "tests/search/replica.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace holdfast::search {
namespace {

void AppendEntry(std::string* bytes, const raft::Entry& entry) {
  PutVarint(bytes, entry.index.value());
  PutVarint(bytes, entry.term.value());
  PutBytes(bytes, entry.data == nullptr ? std::string_view() : std::string_view(*entry.data));
}

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

void Overwrite(std::vector<raft::Entry>* log, const std::vector<raft::Entry>& entries) {
  if (entries.empty()) return;
  const size_t from = entries.front().index.value() - 1;
  CHECK_LE(from, log->size());
  log->resize(from);
  log->insert(log->end(), entries.begin(), entries.end());
}

void AppendMessage(std::string* bytes, const raft::Message& message) {
  PutVarint(bytes, static_cast<uint64_t>(message.type));
  PutVarint(bytes, message.to.value());
  PutVarint(bytes, message.from.value());
  PutVarint(bytes, message.term.value());
  PutVarint(bytes, message.log_term.value());
  PutVarint(bytes, message.index.value());
  PutVarint(bytes, message.commit.value());
  PutVarint(bytes, message.reject_hint.value());
  PutVarint(bytes, message.context);
  PutVarint(bytes, (message.reject ? 1 : 0) + (message.transfer ? 2 : 0));
  for (const raft::Entry& entry : message.entries) AppendEntry(bytes, entry);
}

Replica::Print PrintOf(const std::string& bytes) {
  uint64_t a = 0x243f6a8885a308d3 ^ bytes.size();
  uint64_t b = 0x13198a2e03707344;
  for (const char c : bytes) {
    a = Mix(a + static_cast<unsigned char>(c) + 0x9e3779b97f4a7c15);
    b = (b ^ static_cast<unsigned char>(c)) * 0x00000100000001b3;
  }
  return {.first = a, .second = Mix(b)};
}

Replica::Replica(ReplicaId id, uint32_t voters) : id_(id), voters_(voters) { Crash(); }

std::unique_ptr<Replica> Replica::Clone() const {
  auto clone = std::unique_ptr<Replica>(new Replica(*this));
  clone->core_ = core_->Clone(clone.get());
  return clone;
}

raft::Core::Options Replica::Options() const {
  raft::Core::Options options;
  options.id = id_;
  options.hard_state = hard_state_;
  for (uint32_t i = 1; i <= voters_; ++i) options.configuration.voters.push_back(ReplicaId(i));
  // Nothing in the search is a tick, so elections are asked for and nobody waits for silence.
  options.pre_vote = false;
  options.check_quorum = false;
  return options;
}

void Replica::Crash() {
  pending_.clear();
  log_ = stored_;
  core_ = std::make_shared<raft::Core>(Options(), this);
}

void Replica::TakeReadys(std::vector<raft::Message>* sent, std::vector<raft::Entry>* applied) {
  while (core_->HasReady()) {
    raft::Ready ready = core_->TakeReady();
    CHECK(ready.snapshot == nullptr);
    sent->insert(sent->end(), ready.messages.begin(), ready.messages.end());
    Overwrite(&log_, ready.entries);
    if (ready.needs_write()) {
      pending_.push_back(std::make_shared<const PendingWrite>(
          PendingWrite{.entries = std::move(ready.entries),
                       .hard_state = ready.hard_state,
                       .messages = std::move(ready.messages_after_write),
                       .token = ready.write}));
    }
    if (!ready.committed.empty()) {
      applied->insert(applied->end(), ready.committed.begin(), ready.committed.end());
      core_->OnApplied(ready.committed.back().index);
    }
  }
}

void Replica::CompleteWrite(std::vector<raft::Message>* sent) {
  CHECK(has_pending_write());
  const std::shared_ptr<const PendingWrite> write = pending_.front();
  pending_.pop_front();
  Overwrite(&stored_, write->entries);
  if (write->hard_state.has_value()) hard_state_ = *write->hard_state;
  for (const raft::Message& message : write->messages) {
    if (message.to == id_) {
      core_->Step(message);
    } else {
      sent->push_back(message);
    }
  }
  core_->OnWritten(write->token);
}

Replica::Print Replica::Fingerprint() const {
  std::string bytes;
  core_->AppendState(&bytes);
  PutVarint(&bytes, hard_state_.term.value());
  PutVarint(&bytes, hard_state_.vote.value());
  PutVarint(&bytes, hard_state_.commit.value());
  PutVarint(&bytes, stored_.size());
  for (const raft::Entry& entry : stored_) AppendEntry(&bytes, entry);
  for (const auto& write : pending_) {
    PutVarint(&bytes, write->entries.size());
    for (const raft::Entry& entry : write->entries) AppendEntry(&bytes, entry);
    const raft::HardState state = write->hard_state.value_or(raft::HardState());
    PutVarint(&bytes, state.term.value());
    PutVarint(&bytes, state.vote.value());
    PutVarint(&bytes, state.commit.value());
    PutVarint(&bytes, write->messages.size());
    for (const raft::Message& message : write->messages) AppendMessage(&bytes, message);
    PutVarint(&bytes, write->token.term.value());
    PutVarint(&bytes, write->token.last.index.value());
    PutVarint(&bytes, write->token.last.term.value());
  }
  return PrintOf(bytes);
}

raft::LogRead Replica::TermAt(LogIndex index, Term* term) const {
  if (index > Last()) return raft::LogRead::kAbsent;
  *term = index == LogIndex() ? Term() : stored_[index.value() - 1].term;
  return raft::LogRead::kOk;
}

raft::LogRead Replica::Read(LogIndex begin, LogIndex end, uint64_t,
                            std::vector<raft::Entry>* entries) const {
  if (end > Next(Last())) return raft::LogRead::kAbsent;
  entries->insert(entries->end(), stored_.begin() + static_cast<int64_t>(begin.value()) - 1,
                  stored_.begin() + static_cast<int64_t>(end.value()) - 1);
  return raft::LogRead::kOk;
}

}  // namespace holdfast::search
