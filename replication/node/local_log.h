// The log of a cluster of one voter: what is durable on this node's disk is committed.
//
// It keeps Raft's forms (terms, hard state, a no-op at the start of each term, positions), so
// that a node's log means the same when a Raft group takes over.
//
//   Start: entries after `applied` are read back and delivered ─▶ new term, no-op written ─▶
//   OnLeaderStart ─▶ Propose … OnCommitted …
//   full disk: OnLeaderStop ─▶ (after a pause) a new term, OnLeaderStart
//
// Thread-safety: loop-bound to the executor. Ownership: executor, store, writer and observer
// outlive it; the writer must be stopped, and the executor drained, before it is destroyed.

#ifndef HOLDFAST_REPLICATION_NODE_LOCAL_LOG_H_
#define HOLDFAST_REPLICATION_NODE_LOCAL_LOG_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/types.h"
#include "replication/node/log_writer.h"
#include "replication/replicated_log.h"
#include "storage/log_store.h"

namespace holdfast {

class LocalLog final : public ReplicatedLog {
 public:
  LocalLog(ShardId shard, NodeId self, Executor* executor, LogStore* store, LogWriter* writer,
           LogObserver* observer);

  absl::Status Start(LogPosition applied) override;
  absl::StatusOr<LogPosition> Propose(EntryType type,
                                      std::shared_ptr<const std::string> data) override;
  void ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) override;
  void Compact(LogIndex index) override;
  uint64_t RetainedBytes() const override;

 private:
  absl::Status Replay(LogPosition applied, LogIndex last);
  void Write(CommittedEntry entry);
  void OnWritten(LogIndex index, const absl::Status& status);
  void OnFailed(const absl::Status& status);
  void TryAgain();

  const ShardId shard_;
  const NodeId self_;
  Executor* const executor_;
  LogStore* const store_;
  LogWriter* const writer_;
  LogObserver* const observer_;

  Term term_;
  bool leading_ = false;
  absl::Status stopped_ = absl::UnavailableError("the shard is starting");
  LogIndex committed_;
  LogIndex compacted_;
  std::deque<CommittedEntry> in_flight_;  // after committed_, in order
};

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_NODE_LOCAL_LOG_H_
