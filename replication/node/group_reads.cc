// Group's read barriers: on any replica, by a question to the leader (ReadIndex).
//
// One question is under way at a time, for all who wait: those that come meanwhile wait for the
// next, since an answer holds only for what was asked before it. A question may be lost, and so may
// its answer, so it is asked again.

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "replication/node/group.h"

namespace holdfast {

void Group::ReadBarrier(BarrierDone done) {
  CHECK(executor_->IsCurrent());
  if (dead_ || core_ == nullptr) return std::move(done)(not_leading_);
  reads_waiting_.push_back(
      {executor_->MonotonicMicros() + options_.read_timeout_micros, std::move(done)});
  AskReads();
  Process();
}

void Group::AskReads() {
  if (!reads_asked_.empty() || reads_waiting_.empty() || core_->leader() == ReplicaId()) return;
  reads_asked_ = std::exchange(reads_waiting_, {});
  reads_asked_micros_ = executor_->MonotonicMicros();
  core_->ReadIndex(++reads_made_);
}

// The leader is another one, or did not answer. The number stays: an answer that is only late holds
// as well.
void Group::AskAgain() {
  if (reads_asked_.empty() || core_->leader() == ReplicaId()) return AskReads();
  reads_asked_micros_ = executor_->MonotonicMicros();
  core_->ReadIndex(reads_made_);
}

void Group::AnswerReads(const std::vector<raft::ReadState>& states) {
  for (const raft::ReadState& state : states) {
    if (state.context != reads_made_) continue;
    std::deque<Read> reads = std::exchange(reads_asked_, {});
    for (Read& read : reads) std::move(read.done)(state.index);
  }
  AskReads();
}

void Group::WatchReads() {
  const int64_t now = executor_->MonotonicMicros();
  for (std::deque<Read>* reads : {&reads_asked_, &reads_waiting_}) {
    while (!reads->empty() && reads->front().deadline_micros <= now) {
      BarrierDone done = std::move(reads->front().done);
      reads->pop_front();
      std::move(done)(absl::UnavailableError(
          absl::StrCat("shard ", options_.shard.value(), ": no leader has answered a read within ",
                       options_.read_timeout_micros / 1'000'000, " s")));
    }
  }
  if (!reads_asked_.empty() && now - reads_asked_micros_ >= options_.read_retry_micros) AskAgain();
}

void Group::RefuseReads(const absl::Status& why) {
  for (std::deque<Read>* queue : {&reads_asked_, &reads_waiting_}) {
    std::deque<Read> reads = std::exchange(*queue, {});
    for (Read& read : reads) std::move(read.done)(why);
  }
}

}  // namespace holdfast
