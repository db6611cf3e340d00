#include <memory>
#include <utility>

#include "base/check.h"
#include "replication/raft/config_changer.h"
#include "replication/raft/core_impl.h"

namespace holdfast::raft {

// What the peer needs next is gone from the log.
bool Core::Impl::MaybeSendSnapshot(Peer* peer) {
  // One that does not answer would not take it.
  if (!peer->progress.recent_active) return false;
  SnapshotDescriptor snapshot;
  if (log_.Snapshot(&snapshot) != LogRead::kOk) return false;  // tried again at a heartbeat
  CHECK(!snapshot.empty());
  if (MutantIs(Mutant::kUncommittedConfigInSnapshot)) {
    std::vector<Entry> unapplied;
    log_.Read(Next(log_.applied()), Next(log_.last()), UINT64_MAX, &unapplied);
    snapshot.configuration = ConfigurationAfter(unapplied);
  }
  Trace(Options::LogLevel::kDebug, options_.id, " sent snapshot[index: ", snapshot.index,
        ", term: ", snapshot.term, "] to ", peer->id);
  peer->BecomeSnapshot(snapshot.index);
  Message message = To(peer->id, MessageType::kSnapshot);
  message.snapshot = std::make_shared<const SnapshotDescriptor>(std::move(snapshot));
  Send(std::move(message));
  return true;
}

void Core::Impl::HandleSnapshot(const Message& message) {
  if (message.snapshot == nullptr) return;
  const bool restored = Restore(message.snapshot);
  Trace(Options::LogLevel::kInfo, options_.id, " [commit: ", log_.commit(),
        restored ? "] restored snapshot [index: " : "] ignored snapshot [index: ",
        message.snapshot->index, ", term: ", message.snapshot->term, "]");
  Message response = To(message.from, MessageType::kAppendResponse);
  response.index = restored ? log_.last() : log_.commit();
  Send(std::move(response));
  if (MutantIs(Mutant::kSnapshotAckBeforeDurable)) {
    messages_.push_back(std::move(messages_after_write_.back()));
    messages_after_write_.pop_back();
  }
}

// False: there is no use in it.
bool Core::Impl::Restore(const std::shared_ptr<const SnapshotDescriptor>& snapshot) {
  if (!MutantIs(Mutant::kSnapshotOverNewerEntries) || snapshot->index <= log_.applied()) {
    if (snapshot->index <= log_.commit()) return false;
    if (log_.Has({.term = snapshot->term, .index = snapshot->index})) {
      // The log has it all and perhaps more, so it only tells what is committed.
      log_.CommitTo(snapshot->index);
      return false;
    }
  }
  if (!IsMember(snapshot->configuration, options_.id) || !IsValid(snapshot->configuration)) {
    Trace(Options::LogLevel::kWarn, options_.id,
          " attempted to restore snapshot but it is not in its configuration");
    return false;
  }
  log_.Restore(snapshot);
  tracker_.Restore(snapshot->configuration, log_.last());
  Trace(Options::LogLevel::kInfo, options_.id, " switched to the configuration of a snapshot");
  return true;
}

void Core::Impl::ReportSnapshot(ReplicaId id, SnapshotResult result) {
  Peer* peer = tracker_.Find(id);
  if (role_ != Role::kLeader || peer == nullptr) return;
  HandleSnapshotStatus(peer, result);
}

void Core::Impl::HandleSnapshotStatus(Peer* peer, SnapshotResult result) {
  if (peer->progress.state != ProgressState::kSnapshot) return;
  // One that did not arrive is nothing to go on from.
  if (result == SnapshotResult::kFailed) peer->progress.pending_snapshot = LogIndex();
  peer->BecomeProbe();
  // Its acknowledgement is on its way; after a failure, not before the next heartbeat.
  peer->progress.append_paused = true;
}

}  // namespace holdfast::raft
