// One participant as this replica sees it: its vote, and, for a leader, how far its log is known
// to go and what has been sent to it. Flow control as in etcd-raft:
//
//              append refused, unreachable
//             ┌─────────────────────────────┐
//             ▼        append acknowledged  │
//        ┌─────────┐ ───────────────▶ ┌─────┴─────┐
//        │  probe  │                  │ replicate │
//        └──┬───▲──┘                  └──▲────┬───┘
//  compacted│   │snapshot ended  reaches │    │ compacted
//           ▼   │                the log │    ▼
//        ┌──────┴─────────────────────────────────┐
//        │               snapshot                 │
//        └────────────────────────────────────────┘
//
// Invariants: those of Progress. Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_PEER_H_
#define HOLDFAST_REPLICATION_RAFT_PEER_H_

#include <cstdint>

#include "base/types.h"
#include "replication/raft/inflights.h"
#include "replication/raft/progress.h"

namespace holdfast::raft {

struct Peer {
  enum class Vote : uint8_t { kNone, kGranted, kRefused };

  ReplicaId id;
  Progress progress;      // the counts of what is in flight are filled in by Shown()
  LogIndex sent_commit;   // the newest commit index that it was sent
  uint64_t read_ack = 0;  // the newest read that its heartbeat responses confirm
  Vote vote = Vote::kNone;
  Inflights inflights;

  // Knows nothing of it but that it may have everything up to `next` - 1.
  void Reset(LogIndex next);
  void BecomeProbe();
  void BecomeReplicate();
  void BecomeSnapshot(LogIndex index);

  // No append may be sent now.
  bool IsPaused() const;
  // An append of `entries` entries from `next` on has been sent.
  void OnSent(uint64_t entries, uint64_t bytes, const Inflights::Limits& limits);
  void OnCommitSent(LogIndex commit) { sent_commit = commit; }
  // Whether being sent this commit index may move the peer's own.
  bool CanUseCommit(LogIndex commit) const;
  // The peer has stored up to `index`. False: that was known.
  bool OnStored(LogIndex index);
  // The peer refused the append after `refused` and may agree up to `hint`. False: stale news.
  bool OnRefused(LogIndex refused, LogIndex hint);

  Progress Shown(const Inflights::Limits& limits) const;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_PEER_H_
