#include "server/engine/testing/scripted_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast {

void ScriptedLog::Attach(Executor* executor, StateMachine* observer) {
  executor_ = executor;
  observer_ = observer;
  leading_ = false;
  stopped_ = absl::UnavailableError("the log has not started");
}

absl::Status ScriptedLog::Start(const AppliedState& state) {
  const LogPosition applied = state.position;
  CHECK(executor_->IsCurrent());
  if (applied.index > committed_ || applied.index < compacted_) {
    return absl::DataLossError(absl::StrCat("the state ends at ", applied.index.value(),
                                            ", the log has ", compacted_.value() + 1, " to ",
                                            committed_.value()));
  }
  if (applied.index != LogIndex()) CHECK_EQ(entry(applied.index).term, applied.term);
  for (LogIndex next = Next(applied.index); next <= committed_; next = Next(next)) {
    observer_->OnCommitted(absl::MakeConstSpan(&entry(next), 1));
  }
  return absl::OkStatus();
}

void ScriptedLog::Append(raft::EntryType type, std::shared_ptr<const std::string> data) {
  entries_.push_back({term_, Next(last()), type, std::move(data)});
}

void ScriptedLog::Lead() {
  CHECK(executor_->IsCurrent());
  CHECK(!leading_);
  term_ = Term(term_.value() + 1);
  Append(raft::EntryType::kNoOp, std::make_shared<const std::string>());
  Commit();
  leading_ = true;
  observer_->OnLeaderStart(term_);
}

void ScriptedLog::StopLeading(const absl::Status& why) {
  CHECK(executor_->IsCurrent());
  CHECK(leading_);
  leading_ = false;
  stopped_ = why;
  observer_->OnLeaderStop(why);
}

size_t ScriptedLog::Commit(size_t count) {
  CHECK(executor_->IsCurrent());
  size_t done = 0;
  for (; done < count && committed_ < last(); ++done) {
    committed_ = Next(committed_);
    const raft::Entry next = entry(committed_);
    observer_->OnCommitted(absl::MakeConstSpan(&next, 1));
  }
  return done;
}

void ScriptedLog::Replace(raft::EntryType type, std::string data) {
  CHECK(!leading_);
  entries_.resize(committed_.value());
  term_ = Term(term_.value() + 1);
  Append(type, std::make_shared<const std::string>(std::move(data)));
}

void ScriptedLog::ResetTo(LogPosition position) {
  CHECK(!leading_);
  entries_.clear();
  term_ = position.term;
  while (last() < position.index) Append(raft::EntryType::kNoOp, nullptr);
  committed_ = compacted_ = position.index;
}

absl::StatusOr<LogPosition> ScriptedLog::Propose(std::shared_ptr<const std::string> data) {
  CHECK(executor_->IsCurrent());
  if (!leading_) return stopped_;
  if (!refusal_.ok()) return refusal_;
  Append(raft::EntryType::kCommands, std::move(data));
  observer_->OnAppended(absl::MakeConstSpan(&entries_.back(), 1));
  if (commits_ == Commits::kAtOnce) executor_->Post([this] { Commit(1); });
  return LogPosition{term_, last()};
}

void ScriptedLog::ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) {
  CHECK(executor_->IsCurrent());
  if (!leading_) return std::move(done)(stopped_);
  if (!barrier_refusal_.ok()) return std::move(done)(barrier_refusal_);
  std::move(done)(committed_);
}

void ScriptedLog::Applied(LogIndex index) {
  CHECK(executor_->IsCurrent());
  CHECK_LE(index, committed_);
}

void ScriptedLog::Flushed(LogIndex index) {
  CHECK(executor_->IsCurrent());
  CHECK_LE(index, committed_);
  ++told_flushed_;
  compacted_ = std::max(compacted_, index);
}

}  // namespace holdfast
