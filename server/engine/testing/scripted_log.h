// A ReplicatedLog of one replica that a test plays the cluster to: it says when entries are
// committed, who leads, what another leader put in the place of ours, and what fails.
//
//   Propose ─▶ [entries: committed | proposed] ◀─ Replace: another leader's
//                            │
//                        Commit(n) ─▶ StateMachine::OnCommitted
//
// The entries outlive the observer: a node that starts again is given them from where its state
// ends.
//
// Thread-safety: loop-bound, to the executor of the observer's shard; Attach and the questions
// from anywhere.

#ifndef HOLDFAST_SERVER_ENGINE_TESTING_SCRIPTED_LOG_H_
#define HOLDFAST_SERVER_ENGINE_TESTING_SCRIPTED_LOG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/types.h"
#include "replication/node/state_machine.h"
#include "replication/replicated_log.h"

namespace holdfast {

class ScriptedLog final : public ReplicatedLog {
 public:
  enum class Commits : uint8_t {
    kAtOnce,  // by a task of their own, as when the disk is fast and the node alone
    kByHand,  // when the test says Commit
  };

  explicit ScriptedLog(Commits commits) : commits_(commits) {}

  // A new run of the node: who is told from now on. Nobody leads; what was proposed and is not
  // committed stays. The executor has no task of an earlier run.
  void Attach(Executor* executor, StateMachine* observer);

  // --- The script.
  void SetCommits(Commits commits) { commits_ = commits; }
  // Begins the next term and says so: everything proposed before is committed first.
  void Lead();
  // Another replica may lead now. What was proposed stays proposed.
  void StopLeading(const absl::Status& why);
  // The next `count` entries are committed; gives how many there were.
  size_t Commit(size_t count = SIZE_MAX);
  // Another leader's entry in the place of all that is proposed; in a term of its own.
  void Replace(raft::EntryType type, std::string data);
  // The log goes on after a snapshot that ends at `position`, which the state machine has
  // installed.
  void ResetTo(LogPosition position);
  // From now on proposals, or barriers, are refused; OK ends that.
  void RefuseProposals(const absl::Status& why) { refusal_ = why; }
  void RefuseBarriers(const absl::Status& why) { barrier_refusal_ = why; }

  // --- Questions.
  bool leading() const { return leading_; }
  LogIndex last() const { return LogIndex(entries_.size()); }
  LogIndex committed() const { return committed_; }
  LogIndex compacted() const { return compacted_; }
  // How often Flushed() was called.
  size_t told_flushed() const { return told_flushed_; }
  // REQUIRES: 1 <= index <= last().
  const raft::Entry& entry(LogIndex index) const { return entries_[index.value() - 1]; }

  // --- ReplicatedLog.
  absl::Status Start(const AppliedState& applied) override;
  absl::StatusOr<LogPosition> Propose(std::shared_ptr<const std::string> data) override;
  void ReadBarrier(absl::AnyInvocable<void(absl::StatusOr<LogIndex>) &&> done) override;
  void Applied(LogIndex index) override;
  void Flushed(LogIndex index) override;
  int64_t WallMicros() const override { return executor_->WallMicros(); }

 private:
  void Append(raft::EntryType type, std::shared_ptr<const std::string> data);

  Commits commits_;
  Executor* executor_ = nullptr;
  StateMachine* observer_ = nullptr;
  Term term_;
  bool leading_ = false;
  absl::Status stopped_ = absl::UnavailableError("the log has not started");
  absl::Status refusal_;
  absl::Status barrier_refusal_;
  std::vector<raft::Entry> entries_;  // all of them, from index 1
  LogIndex committed_;
  LogIndex compacted_;
  size_t told_flushed_ = 0;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_TESTING_SCRIPTED_LOG_H_
