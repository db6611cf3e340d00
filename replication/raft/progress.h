// What a leader knows of one follower, and what it has sent it: etcd-raft's flow control.
//
//   kProbe       the follower's log end is not known: one append a heartbeat interval
//   kReplicate   it is known: appends are sent ahead, within the windows
//   kSnapshot    it is too far behind: nothing is sent until the snapshot's end is reported
//
// Invariants: match < next; kReplicate: inflight indexes ascend, all in (match, next).
// Bounds: the windows of Core::Options. Thread-safety: thread-compatible; owned by the core.

#ifndef HOLDFAST_REPLICATION_RAFT_PROGRESS_H_
#define HOLDFAST_REPLICATION_RAFT_PROGRESS_H_

#include <cstdint>

#include "base/types.h"

namespace holdfast::raft {

enum class ProgressState : uint8_t { kProbe, kReplicate, kSnapshot };

struct Progress {
  LogIndex match;  // stored there, checked against this leader's log
  LogIndex next;   // the next to send
  ProgressState state = ProgressState::kProbe;
  LogIndex pending_snapshot;       // kSnapshot
  bool recent_active = false;      // heard of since the last check of the quorum
  bool append_paused = false;      // kProbe: one is under way; kReplicate: the window is full
  uint32_t inflight_messages = 0;  // kAppend messages under way
  bool inflight_full = false;      // the window, by count or by bytes
  bool learner = false;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_PROGRESS_H_
