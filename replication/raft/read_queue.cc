#include "replication/raft/read_queue.h"

namespace holdfast::raft {

ReadQueue::Read ReadQueue::TakeWaiting() {
  const Read read = waiting_.front();
  waiting_.PopFront();
  return read;
}

bool ReadQueue::TakeConfirmed(uint64_t confirmed, Read* read) {
  if (unconfirmed_.empty() || confirmed <= confirmed_) return false;
  *read = unconfirmed_.front();
  unconfirmed_.PopFront();
  ++confirmed_;
  return true;
}

void ReadQueue::Clear() {
  waiting_.Clear();
  unconfirmed_.Clear();
  confirmed_ = 0;
}

void ReadQueue::ReleaseIfEmpty() {
  waiting_.ReleaseIfEmpty();
  unconfirmed_.ReleaseIfEmpty();
}

}  // namespace holdfast::raft
