#include "server/engine/testing/scripted_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace holdfast {

void ScriptedLog::Attach(Executor* executor, LogObserver* observer) {
  executor_ = executor;
  observer_ = observer;
  leading_ = false;
  stopped_ = absl::UnavailableError("the log has not started");
}

absl::Status ScriptedLog::Start(LogPosition applied) {
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

void ScriptedLog::Append(EntryType type, std::shared_ptr<const std::string> data) {
  entries_.push_back({term_, Next(last()), type, std::move(data)});
}

void ScriptedLog::Lead() {
  CHECK(executor_->IsCurrent());
  CHECK(!leading_);
  term_ = Term(term_.value() + 1);
  Append(EntryType::kNoOp, std::make_shared<const std::string>());
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
    const CommittedEntry next = entry(committed_);
    observer_->OnCommitted(absl::MakeConstSpan(&next, 1));
  }
  return done;
}

void ScriptedLog::Replace(EntryType type, std::string data) {
  CHECK(!leading_);
  entries_.resize(committed_.value());
  term_ = Term(term_.value() + 1);
  Append(type, std::make_shared<const std::string>(std::move(data)));
}

absl::StatusOr<LogPosition> ScriptedLog::Propose(EntryType type,
                                                 std::shared_ptr<const std::string> data) {
  CHECK(executor_->IsCurrent());
  if (!leading_) return stopped_;
  if (!refusal_.ok()) return refusal_;
  Append(type, std::move(data));
  if (commits_ == Commits::kAtOnce) executor_->Post([this] { Commit(1); });
  return LogPosition{term_, last()};
}

void ScriptedLog::ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) {
  CHECK(executor_->IsCurrent());
  if (!leading_) return std::move(done)(stopped_);
  if (!barrier_refusal_.ok()) return std::move(done)(barrier_refusal_);
  std::move(done)(committed_);
}

void ScriptedLog::Compact(LogIndex index) {
  CHECK(executor_->IsCurrent());
  CHECK_LE(index, committed_);
  compacted_ = std::max(compacted_, index);
}

uint64_t ScriptedLog::RetainedBytes() const {
  uint64_t bytes = 0;
  for (size_t i = compacted_.value(); i < entries_.size(); ++i) bytes += entries_[i].data->size();
  return bytes;
}

}  // namespace holdfast
