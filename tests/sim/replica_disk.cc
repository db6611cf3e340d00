#include "tests/sim/replica_disk.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace holdfast::sim {

ReplicaDisk::ReplicaDisk(std::shared_ptr<const MachineState> state, uint32_t cached_entries)
    : state_(std::move(state)), cached_entries_(cached_entries) {
  log_.Reset(state_->ledger.applied());
  hard_state_.term = log_.base().term;
  hard_state_.commit = synced_commit_ = log_.base().index;
}

void ReplicaDisk::Put(const DiskWrite& write, RunStats* stats) {
  if (write.snapshot != nullptr) {
    ++stats->snapshots;
    state_ = write.snapshot;
    log_.Reset(state_->ledger.applied());
  }
  if (log_.Write(write.entries) > 0) ++stats->truncations;
  if (write.hard_state.has_value()) hard_state_ = *write.hard_state;
  if (write.synced) synced_commit_ = hard_state_.commit;
}

DiskWrite ReplicaDisk::Complete(RunStats* stats) {
  CHECK(!pending_.empty());
  DiskWrite write = std::move(pending_.front());
  pending_.pop_front();
  Put(write, stats);
  return write;
}

void ReplicaDisk::Crash(Prng* random, RunStats* stats) {
  uint64_t survive = random->Below(pending_.size() + 1);
  for (; survive > 0; --survive) Complete(stats);
  if (!pending_.empty() && random->Chance(1, 2)) {
    // A prefix of the next: snapshot, then entries; the hard state is last and lost.
    DiskWrite torn = std::move(pending_.front());
    torn.hard_state.reset();
    torn.entries.resize(random->Below(torn.entries.size() + 1));
    Put(torn, stats);
    ++stats->torn_writes;
  }
  stats->lost_writes += pending_.size();
  pending_.clear();
  hard_state_.commit = synced_commit_;
  // What had been fetched into memory is gone.
  fetched_from_ = wanted_ = LogIndex(UINT64_MAX);
}

void ReplicaDisk::Flush(std::shared_ptr<const MachineState> state) {
  if (state->ledger.applied().index <= state_->ledger.applied().index) return;
  CHECK_LE(state->ledger.applied().index, log_.last());
  state_ = std::move(state);
}

void ReplicaDisk::CutLog(LogIndex index, RunStats* stats) {
  index = std::min(index, state_->ledger.applied().index);
  if (index <= log_.base().index) return;
  log_.CutTo(index);
  ++stats->log_cuts;
}

raft::LogRead ReplicaDisk::TermAt(LogIndex index, Term* term) const {
  if (index > log_.last()) return raft::LogRead::kAbsent;
  const std::optional<Term> found = log_.TermAt(index);
  if (!found.has_value()) return raft::LogRead::kCompacted;
  *term = *found;
  return raft::LogRead::kOk;
}

raft::LogRead ReplicaDisk::Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                                std::vector<raft::Entry>* entries) const {
  CHECK_LT(begin, end);
  if (begin < log_.first()) return raft::LogRead::kCompacted;
  if (end > Next(log_.last())) return raft::LogRead::kAbsent;
  const bool cached = begin.value() + cached_entries_ > log_.last().value();
  if (!cached && begin < fetched_from_) {
    if (begin < wanted_) {
      wanted_ = begin;
      fetch_();
    }
    return raft::LogRead::kNotYet;
  }
  uint64_t bytes = 0;
  for (LogIndex index = begin; index < end; index = Next(index)) {
    const raft::Entry& entry = log_.At(index);
    bytes += entry.size_bytes();
    if (index != begin && bytes > bytes_max) break;
    entries->push_back(entry);
  }
  return raft::LogRead::kOk;
}

raft::LogRead ReplicaDisk::Snapshot(raft::SnapshotDescriptor* snapshot) {
  if (++snapshots_asked_ % 3 == 1) {
    flush_();
    return raft::LogRead::kNotYet;
  }
  snapshot->index = state_->ledger.applied().index;
  snapshot->term = state_->ledger.applied().term;
  snapshot->configuration = state_->configuration;
  snapshot->source = pin_(state_);
  return raft::LogRead::kOk;
}

}  // namespace holdfast::sim
