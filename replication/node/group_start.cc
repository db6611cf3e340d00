// How a Group begins: from what is on disk, at the start of the process and after a full disk.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/mutant.h"
#include "base/status_macros.h"
#include "replication/node/group.h"
#include "replication/raft/configuration.h"

namespace holdfast {
namespace {

using raft::EntryType;

// A log that was never written, or in which the first write was torn.
bool IsNew(const ShardLog& log) {
  return log.hard_state == HardState() && log.first == LogIndex(1) && log.last <= LogIndex(1);
}

// Entry 1 of term 1, agreed on by definition: the members begin with the same log.
LogWrite FirstWrite(const std::vector<ReplicaId>& voters) {
  raft::ConfigChange change;
  for (const ReplicaId voter : voters) {
    change.steps.push_back({.kind = raft::ConfigStep::Kind::kAddVoter, .replica = voter});
  }
  LogWrite write;
  write.entries.push_back(
      {.term = Term(1),
       .index = LogIndex(1),
       .type = EntryType::kConfiguration,
       .data = std::make_shared<const std::string>(raft::EncodeConfigChange(change))});
  write.hard_state = raft::HardState{.term = Term(1), .vote = ReplicaId(), .commit = LogIndex(1)};
  write.sync = SyncMode::kNow;
  return write;
}

}  // namespace

absl::Status Group::CheckLog(const AppliedState& applied) const {
  const ShardLog log = store_->Describe(options_.shard);
  const std::string shard = absl::StrCat("shard ", options_.shard.value(), ": ");
  const LogIndex at = applied.position.index;
  if (log.hard_state.commit > log.last) {
    return absl::DataLossError(
        absl::StrCat(shard, "entries through ", log.hard_state.commit.value(),
                     " were agreed on, but the log ends at ", log.last.value()));
  }
  if (applied.installing) return absl::OkStatus();
  if (log.last < at) {
    return absl::DataLossError(absl::StrCat(shard, "the state has entries through ", at.value(),
                                            ", but the log ends at ", log.last.value(),
                                            ": the log lost synced entries"));
  }
  if (log.first > Next(at)) {
    return absl::DataLossError(absl::StrCat(shard, "the state has entries through ", at.value(),
                                            ", but the log begins at ", log.first.value(),
                                            ": the state lost a flush that the log was cut by"));
  }
  if (at >= Previous(log.first) && at != LogIndex()) {
    ASSIGN_OR_RETURN(const Term term, store_->TermAt(options_.shard, at));
    if (term != applied.position.term) {
      return absl::DataLossError(absl::StrCat(shard, "entry ", at.value(), " has term ",
                                              term.value(), " in the log and ",
                                              applied.position.term.value(), " in the state"));
    }
  }
  if (at != LogIndex() || log.last == LogIndex()) return absl::OkStatus();
  std::vector<StoredEntry> first;
  RETURN_IF_ERROR(store_->ReadEntries(options_.shard, LogIndex(1), LogIndex(2), 0, &first));
  if (first.empty() || first[0].type != static_cast<uint8_t>(EntryType::kConfiguration)) {
    return absl::FailedPreconditionError(
        absl::StrCat(shard,
                     "the log does not begin with the shard's replicas: it was written by "
                     "an unreleased version; start with an empty data directory"));
  }
  return absl::OkStatus();
}

absl::Status Group::Start(const AppliedState& applied) {
  CHECK(executor_->IsCurrent());
  CHECK(core_ == nullptr && delivered_.index == LogIndex());
  if (applied.position.index != LogIndex()) {
    const auto configuration = raft::DecodeConfiguration(applied.configuration);
    if (!configuration.has_value()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "shard ", options_.shard.value(),
          ": the state does not name the shard's replicas: it was written by an unreleased "
          "version; start with an empty data directory"));
    }
    configuration_ = *configuration;
  }
  RETURN_IF_ERROR(CheckLog(applied));
  if (options_.forced_alone) {
    configuration_ = raft::Configuration();
    configuration_.voters = {options_.self};
    forced_through_ = store_->Describe(options_.shard).last;
  }
  delivered_ = applied.position;
  applied_ = applied.position.index;
  state_ahead_ = applied.installing;
  Begin();
  return absl::OkStatus();
}

void Group::Begin() {
  const ShardLog log = store_->Describe(options_.shard);
  if (IsNew(log) && delivered_.index == LogIndex() && !options_.initial_voters.empty()) {
    return BeginAfter(FirstWrite(options_.initial_voters));
  }
  if (state_ahead_) {
    // An installed snapshot, to which the log may not have been reset.
    const auto term = store_->TermAt(options_.shard, delivered_.index);
    if (!term.ok() || *term != delivered_.term) {
      LogWrite reset;
      reset.reset = delivered_;
      reset.sync = SyncMode::kNow;
      return BeginAfter(std::move(reset));
    }
  }
  StartCore();
}

void Group::BeginAfter(LogWrite write) {
  shell_->Write(std::move(write), [this](const absl::Status& status) {
    CHECK(executor_->IsCurrent());
    if (status.ok()) return StartCore();
    if (!absl::IsResourceExhausted(status)) return Fail(status);
    restarting_ = false;
    WaitToStartAnew();
  });
}

void Group::StartCore() {
  if (dead_) return;
  restarting_ = false;
  log_.Load(*store_, options_.shard);
  const ShardLog log = store_->Describe(options_.shard);
  raft::HardState state = {log.hard_state.term, log.hard_state.vote, log.hard_state.commit};
  // The commit index on disk is a hint, and entries may have been written without the hard state
  // that was to follow them: then nothing was promised in their term.
  state.commit = std::max(state.commit, delivered_.index);
  if (log.last_term > state.term) state = {log.last_term, ReplicaId(), state.commit};
  core_from_ = delivered_.index;
  raft::Core::Options options;
  options.id = options_.self;
  options.election_ticks = options_.election_ticks;
  options.heartbeat_ticks = options_.heartbeat_ticks;
  options.seed = options_.seed;
  options.hard_state = state;
  options.applied = delivered_.index;
  options.configuration = configuration_;
  options.message_bytes_max = options_.message_bytes_max;
  options.inflight_messages_max = options_.inflight_messages_max;
  options.inflight_bytes_max = options_.inflight_bytes_max;
  core_ = std::make_unique<raft::Core>(std::move(options), &log_);
  write_failure_ = absl::OkStatus();
  not_leading_ = absl::UnavailableError("this replica does not lead the shard");
  Process();
}

// --- A failed write.

void Group::OnWriteFailed(const absl::Status& status) {
  do {
    writes_.pop_front();
  } while (!writes_.empty() && writes_.front().records.empty());
  if (MutantIs(Mutant::kLeadAfterFailedWrite)) return;
  if (write_failure_.ok()) {
    write_failure_ = status;
    // Peers may have what was not written here: only alone is it certain that it is nowhere.
    const bool certain = IsAlone() && absl::IsResourceExhausted(status);
    core_ = nullptr;
    hint_.reset();
    lead_from_ = LogPosition();
    // A full disk passes; after any other failure nothing more will be known here.
    const bool passes = absl::IsResourceExhausted(status);
    StopLeading(certain  ? status
                : passes ? absl::UnavailableError(status.message())
                         : absl::UnknownError(status.message()));
    RefuseReads(absl::UnavailableError(status.message()));
    TellView();
  }
  if (!absl::IsResourceExhausted(write_failure_)) return Fail(write_failure_);
  if (writes_.empty()) WaitToStartAnew();
}

void Group::WaitToStartAnew() {
  if (std::exchange(restarting_, true)) return;
  executor_->RunAt(executor_->MonotonicMicros() + options_.retry_micros, [this] {
    if (dead_) return;
    if (installing_ || !writes_.empty()) {
      restarting_ = false;  // the end of those brings it here again
      return;
    }
    shell_->Resume([this](const absl::Status& status) {
      CHECK(executor_->IsCurrent());
      if (!status.ok()) return Fail(status);
      Begin();
    });
  });
}

}  // namespace holdfast
