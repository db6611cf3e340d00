// The reads that a leader has been asked for and not answered yet.
//
// The leader numbers them itself, from 1 on. A heartbeat carries the newest number; a response to
// it confirms, for its sender, that read and all before it. A read is answered, with the commit
// index of when it was asked for, when a majority has confirmed it: nobody else can have
// committed anything before it was asked for.
//
//   asked ──▶ [waiting: nothing is committed in the term yet] ──▶ [unconfirmed] ──▶ answered
//
// Thread-safety: thread-compatible. Bounds: the caller's, by how many it asks for.

#ifndef HOLDFAST_REPLICATION_RAFT_READ_QUEUE_H_
#define HOLDFAST_REPLICATION_RAFT_READ_QUEUE_H_

#include <cstdint>

#include "base/types.h"
#include "replication/raft/ring.h"

namespace holdfast::raft {

class ReadQueue {
 public:
  struct Read {
    ReplicaId from;
    uint64_t context = 0;
    LogIndex index;  // unconfirmed: what it will be answered with
  };

  void Wait(Read read) { waiting_.PushBack(read); }
  bool HasWaiting() const { return !waiting_.empty(); }
  // REQUIRES: HasWaiting().
  Read TakeWaiting();

  void Add(Read read) { unconfirmed_.PushBack(read); }
  // The number of the newest read that is not confirmed; 0: there is none.
  uint64_t newest() const { return unconfirmed_.empty() ? 0 : confirmed_ + unconfirmed_.size(); }
  // Whether a read up to number `confirmed` is left, and then which is the oldest.
  bool TakeConfirmed(uint64_t confirmed, Read* read);

  void Clear();
  void ReleaseIfEmpty();

 private:
  Ring<Read> waiting_;
  Ring<Read> unconfirmed_;
  uint64_t confirmed_ = 0;  // the number of the last one that was taken
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_READ_QUEUE_H_
