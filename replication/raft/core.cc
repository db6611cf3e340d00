#include "replication/raft/core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {
namespace {

Core::Options Checked(Core::Options options) {
  CHECK_NE(options.id, ReplicaId());
  CHECK_GT(options.heartbeat_ticks, 0u);
  CHECK_GT(options.election_ticks, options.heartbeat_ticks);
  CHECK_GT(options.inflight_messages_max, 0u);
  CHECK_GE(options.inflight_bytes_max, options.message_bytes_max);
  CHECK_GT(options.committed_bytes_max, 0u);
  if (MutantIs(Mutant::kAppendUnbounded)) {
    options.message_bytes_max = UINT64_MAX;
    options.inflight_messages_max = UINT32_MAX;
    options.inflight_bytes_max = UINT64_MAX;
  }
  return options;
}

RaftLog::Options LogOptions(const Core::Options& options, LogReader* log) {
  const bool unstored =
      options.write_mode == Core::WriteMode::kTogether || MutantIs(Mutant::kFlushAheadOfLog);
  return {.reader = log,
          .applying_bytes_max = options.committed_bytes_max,
          .apply_from = unstored ? RaftLog::ApplyFrom::kUnstored : RaftLog::ApplyFrom::kStored};
}

}  // namespace

Core::Impl::Impl(Options options, LogReader* log)
    : options_(Checked(std::move(options))),
      log_(LogOptions(options_, log)),
      tracker_({.messages_max = options_.inflight_messages_max,
                .bytes_max = options_.inflight_bytes_max}),
      // Replicas that are given one seed must not draw the same timeouts.
      random_(options_.seed ^ (options_.id.value() * 0x9e3779b97f4a7c15)),
      term_(options_.hard_state.term),
      vote_(options_.hard_state.vote) {
  tracker_.Restore(options_.configuration, log_.last());
  log_.Load(options_.hard_state.commit, options_.applied);
  BecomeFollower(term_, ReplicaId());
  last_hard_state_ = hard_state();
  last_soft_state_ = soft_state();
}

bool Core::Impl::committed_in_term() const {
  Term term;
  return log_.TermAt(log_.commit(), &term) == LogRead::kOk && term == term_;
}

Status Core::Impl::GetStatus() const {
  Status status{.id = options_.id,
                .hard_state = hard_state(),
                .soft_state = soft_state(),
                .applied = log_.applied(),
                .transferee = transferee_,
                .configuration = tracker_.configuration(),
                .progress = {}};
  if (role_ == Role::kLeader) {
    for (const Peer& peer : tracker_.peers()) {
      status.progress.emplace_back(peer.id, peer.Shown(tracker_.limits()));
    }
  }
  return status;
}

Core::Core(Options options, LogReader* log)
    : impl_(std::make_unique<Impl>(std::move(options), log)) {}
Core::Core(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Core::~Core() = default;

void Core::Tick() { impl_->Tick(); }
void Core::Step(Message message) { impl_->Step(std::move(message)); }
ProposeResult Core::Propose(EntryType type, std::shared_ptr<const std::string> data,
                            EntryId* where) {
  return impl_->Propose(type, std::move(data), where);
}
ProposeResult Core::ProposeConfigChange(const ConfigChange& change, EntryId* where) {
  return impl_->ProposeConfigChange(change, where);
}
void Core::ReadIndex(uint64_t context) { impl_->ReadIndex(context); }
void Core::Campaign() { impl_->Campaign(); }
void Core::TransferLeadership(ReplicaId to) { impl_->TransferLeadership(to); }
void Core::GiveUpTransfer() { impl_->GiveUpTransfer(); }
bool Core::IsLeaderSilent() const { return impl_->IsLeaderSilent(); }
void Core::ForgetLeader() { impl_->ForgetLeader(); }
void Core::StopLeading() { impl_->StopLeading(); }
void Core::ReportUnreachable(ReplicaId peer) { impl_->ReportUnreachable(peer); }
void Core::ReportSnapshot(ReplicaId peer, SnapshotResult result) {
  impl_->ReportSnapshot(peer, result);
}
void Core::LogFetched() { impl_->LogFetched(); }
bool Core::HasReady() const { return impl_->HasReady(); }
Ready Core::TakeReady() { return impl_->TakeReady(); }
void Core::OnWritten(const WriteToken& write) { impl_->OnWritten(write); }
void Core::OnApplied(LogIndex applied) { impl_->OnApplied(applied); }
void Core::Advance() { impl_->Advance(); }
Configuration Core::ApplyConfigChange(const ConfigChange& change) {
  return impl_->ApplyConfigChange(change);
}
Status Core::GetStatus() const { return impl_->GetStatus(); }
ReplicaId Core::id() const { return impl_->id(); }
ReplicaId Core::leader() const { return impl_->leader(); }
Role Core::role() const { return impl_->role(); }
ReplicaId Core::transferee() const { return impl_->transferee(); }
Term Core::term() const { return impl_->term(); }
LogIndex Core::commit() const { return impl_->log().commit(); }
LogIndex Core::last_index() const { return impl_->log().last(); }
const Configuration& Core::configuration() const { return impl_->configuration(); }
bool Core::committed_in_term() const { return impl_->committed_in_term(); }
void Core::CheckInvariants() const { impl_->CheckInvariants(); }
std::unique_ptr<Core> Core::Clone(LogReader* log) const {
  return std::unique_ptr<Core>(new Core(std::make_unique<Impl>(*impl_, log)));
}
void Core::AppendState(std::string* bytes) const { impl_->AppendState(bytes); }
void Core::SetRandomizedElectionTicks(uint32_t ticks) {
  impl_->set_randomized_election_ticks(ticks);
}

}  // namespace holdfast::raft
