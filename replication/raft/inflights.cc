#include "replication/raft/inflights.h"

#include "base/check.h"

namespace holdfast::raft {

void Inflights::Add(LogIndex last, uint64_t bytes, const Limits& limits) {
  CHECK(!Full(limits));
  CHECK_GT(last, this->last());
  sent_.PushBack({.last = last, .bytes = bytes});
  bytes_ += bytes;
}

void Inflights::FreeUpTo(LogIndex index) {
  while (!sent_.empty() && sent_.front().last <= index) {
    bytes_ -= sent_.front().bytes;
    sent_.PopFront();
  }
}

void Inflights::Clear() {
  sent_.Clear();
  bytes_ = 0;
}

}  // namespace holdfast::raft
