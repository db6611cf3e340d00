#include <algorithm>
#include <utility>

#include "base/check.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {
namespace {

// A Ready is as large as the one before, or is grown into.
constexpr size_t kMessagesExpectedMax = 64;

}  // namespace

bool Core::Impl::HasReady() const {
  return !messages_.empty() || !messages_after_write_.empty() ||
         log_.unstable().HasEntriesToWrite() || (!fetching_ && log_.HasCommitted()) ||
         hard_state() != last_hard_state_ || soft_state() != last_soft_state_ ||
         log_.unstable().HasSnapshotToWrite() || !read_states_.empty();
}

// The write attests everything that is not known to be stored, not only what is new in it: the
// write that stored the rest may have been of an earlier term and so did not count.
WriteToken Core::Impl::TokenFor(const Ready& ready) const {
  WriteToken token{.term = term_, .last = {}, .snapshot = {}};
  if (!log_.unstable().empty()) token.last = log_.LastId();
  if (ready.snapshot != nullptr) token.snapshot = ready.snapshot->index;
  return token;
}

Ready Core::Impl::TakeReady() {
  CHECK(HasReady());
  Ready ready;
  if (soft_state() != last_soft_state_) ready.soft_state = soft_state();
  if (hard_state() != last_hard_state_) ready.hard_state = hard_state();
  UnstableLog& unstable = log_.unstable();
  if (unstable.HasSnapshotToWrite()) ready.snapshot = unstable.snapshot();
  ready.write = TokenFor(ready);
  unstable.TakeEntries(&ready.entries);
  unstable.TakeSnapshot();
  if (!fetching_) fetching_ = log_.TakeCommitted(&ready.committed) == LogRead::kNotYet;
  ready.must_sync = !ready.entries.empty() || ready.snapshot != nullptr ||
                    vote_ != last_hard_state_.vote || term_ != last_hard_state_.term;
  messages_expected_ = std::min(messages_.size(), kMessagesExpectedMax);
  ready.messages = std::exchange(messages_, {});
  ready.messages_after_write = std::exchange(messages_after_write_, {});
  ready.read_states = std::exchange(read_states_, {});
  queued_heartbeats_ = 0;
  last_soft_state_ = soft_state();
  last_hard_state_ = hard_state();
  if (MutantIs(Mutant::kVoteBeforeDurable)) HurryVotes(&ready);
  if (options_.write_mode == WriteMode::kTogether) KeepForAdvance(&ready);
  return ready;
}

// The mutant: answers to candidates do not wait for the write.
void Core::Impl::HurryVotes(Ready* ready) const {
  std::vector<Message> waiting;
  for (Message& message : ready->messages_after_write) {
    const bool hurry = message.type != MessageType::kAppendResponse && message.to != options_.id;
    (hurry ? ready->messages : waiting).push_back(std::move(message));
  }
  ready->messages_after_write = std::move(waiting);
}

void Core::Impl::KeepForAdvance(Ready* ready) {
  CHECK(!advance_pending_);
  advance_pending_ = true;
  write_on_advance_ = ready->write;
  applied_on_advance_ = ready->committed.empty() ? LogIndex() : ready->committed.back().index;
  for (Message& message : ready->messages_after_write) {
    auto& where = message.to == options_.id ? steps_on_advance_ : ready->messages;
    where.push_back(std::move(message));
  }
  ready->messages_after_write.clear();
}

void Core::Impl::Advance() {
  CHECK(options_.write_mode == WriteMode::kTogether && advance_pending_);
  advance_pending_ = false;
  for (Message& message : std::exchange(steps_on_advance_, {})) Step(std::move(message));
  if (!write_on_advance_.empty()) OnWritten(write_on_advance_);
  if (applied_on_advance_ != LogIndex()) OnApplied(applied_on_advance_);
}

void Core::Impl::OnWritten(const WriteToken& write) {
  CHECK_LE(write.term, term_);
  // With the term, the entries may have been replaced, and the replacement may still be on its way
  // to the storage. Then only a write of this term says what is stored.
  const bool of_this_term = write.term == term_ || MutantIs(Mutant::kCampaignDuringWrite);
  if (of_this_term && write.last.index != LogIndex()) log_.unstable().OnStored(write.last);
  if (write.snapshot == LogIndex()) return;
  // What a snapshot holds is committed, in whichever term.
  if (MutantIs(Mutant::kSnapshotIgnoredAtHigherTerm) && write.term != term_) return;
  log_.OnSnapshotInstalled(write.snapshot);
}

void Core::Impl::OnApplied(LogIndex applied) {
  const uint64_t bytes = log_.OnApplied(std::max(applied, log_.applied()));
  MaybeLeaveJoint();
  uncommitted_bytes_ -= std::min(uncommitted_bytes_, bytes);
}

}  // namespace holdfast::raft
