#include "replication/node/local_log.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr uint64_t kReplayBytes = 4 << 20;
constexpr int64_t kRetryMicros = 100'000;

}  // namespace

LocalLog::LocalLog(ShardId shard, NodeId self, Executor* executor, LogStore* store,
                   LogWriter* writer, LogObserver* observer)
    : shard_(shard),
      self_(self),
      executor_(executor),
      store_(store),
      writer_(writer),
      observer_(observer) {}

absl::Status LocalLog::Start(LogPosition applied) {
  CHECK(executor_->IsCurrent());
  const ShardLog log = store_->Describe(shard_);
  if (log.last < applied.index) {
    return absl::DataLossError(absl::StrCat(
        "shard ", shard_.value(), ": the state has entries through ", applied.index.value(),
        ", but the log ends at ", log.last.value(), ": the log lost synced entries"));
  }
  if (log.first > Next(applied.index)) {
    return absl::DataLossError(
        absl::StrCat("shard ", shard_.value(), ": the state has entries through ",
                     applied.index.value(), ", but the log begins at ", log.first.value(),
                     ": the state lost a flush that the log was cut by"));
  }
  RETURN_IF_ERROR(Replay(applied, log.last));
  committed_ = log.last;
  compacted_ = Previous(log.first);
  term_ = Term(std::max(log.hard_state.term, log.last_term).value() + 1);
  writer_->SetHardState(shard_, {.term = term_, .vote = self_, .commit = committed_},
                        [](const absl::Status&) {});
  Write({term_, Next(committed_), EntryType::kNoOp, std::make_shared<const std::string>()});
  return absl::OkStatus();
}

absl::Status LocalLog::Replay(LogPosition applied, LogIndex last) {
  if (applied.index >= Previous(store_->FirstIndex(shard_)) && applied.index != LogIndex()) {
    ASSIGN_OR_RETURN(const Term term, store_->TermAt(shard_, applied.index));
    if (term != applied.term) {
      return absl::DataLossError(
          absl::StrCat("shard ", shard_.value(), ": entry ", applied.index.value(), " has term ",
                       term.value(), " in the log and ", applied.term.value(), " in the state"));
    }
  }
  for (LogIndex next = Next(applied.index); next <= last;) {
    std::vector<StoredEntry> stored;
    RETURN_IF_ERROR(store_->ReadEntries(shard_, next, Next(last), kReplayBytes, &stored));
    if (stored.empty()) {
      return absl::DataLossError(absl::StrCat("shard ", shard_.value(), ": entry ", next.value(),
                                              " of the log cannot be read back"));
    }
    std::vector<CommittedEntry> entries;
    for (StoredEntry& entry : stored) {
      entries.push_back({entry.term, entry.index, static_cast<EntryType>(entry.type),
                         std::make_shared<const std::string>(std::move(entry.payload))});
    }
    next = Next(entries.back().index);
    observer_->OnCommitted(entries);
  }
  return absl::OkStatus();
}

absl::StatusOr<LogPosition> LocalLog::Propose(EntryType type,
                                              std::shared_ptr<const std::string> data) {
  CHECK(executor_->IsCurrent());
  if (!leading_) return stopped_;
  const LogIndex index = LogIndex(committed_.value() + in_flight_.size() + 1);
  Write({term_, index, type, std::move(data)});
  return LogPosition{term_, index};
}

void LocalLog::Write(CommittedEntry entry) {
  in_flight_.push_back(entry);
  const LogIndex index = entry.index;
  writer_->Append({shard_, {entry.term, index}, entry.type, std::move(entry.data)},
                  [this, index](const absl::Status& status) {
                    executor_->Post([this, index, status] { OnWritten(index, status); });
                  });
}

void LocalLog::OnWritten(LogIndex index, const absl::Status& status) {
  if (!status.ok()) return OnFailed(status);
  // After a failure whatever was queued behind it is refused, so this one is the next.
  CHECK(!in_flight_.empty());
  const CommittedEntry entry = std::move(in_flight_.front());
  in_flight_.pop_front();
  CHECK_EQ(entry.index, index);
  committed_ = index;
  observer_->OnCommitted(absl::MakeConstSpan(&entry, 1));
  if (entry.type == EntryType::kNoOp && entry.term == term_ && !leading_) {
    leading_ = true;
    observer_->OnLeaderStart(term_);
  }
}

void LocalLog::OnFailed(const absl::Status& status) {
  if (in_flight_.empty()) return;  // one of those behind the first that failed
  const bool was_leading = std::exchange(leading_, false);
  in_flight_.clear();
  stopped_ = status;
  if (was_leading) observer_->OnLeaderStop(status);
  if (absl::IsResourceExhausted(status)) {
    executor_->RunAt(executor_->MonotonicMicros() + kRetryMicros, [this] { TryAgain(); });
  }
}

void LocalLog::TryAgain() {
  writer_->Resume(shard_, [this](const absl::Status& status) {
    executor_->Post([this, status] {
      if (!status.ok()) return;
      term_ = Term(term_.value() + 1);
      writer_->SetHardState(shard_, {.term = term_, .vote = self_, .commit = committed_},
                            [](const absl::Status&) {});
      Write({term_, Next(committed_), EntryType::kNoOp, std::make_shared<const std::string>()});
    });
  });
}

void LocalLog::ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) {
  CHECK(executor_->IsCurrent());
  if (!leading_) return std::move(done)(stopped_);
  std::move(done)(committed_);
}

void LocalLog::Compact(LogIndex index) {
  CHECK(executor_->IsCurrent());
  if (index <= compacted_) return;
  const absl::StatusOr<Term> term = store_->TermAt(shard_, index);
  if (!term.ok()) return;  // the store has failed, and says so by the next write
  compacted_ = index;
  writer_->Compact(shard_, {*term, index});
}

uint64_t LocalLog::RetainedBytes() const { return store_->RetainedBytes(shard_); }

}  // namespace holdfast
