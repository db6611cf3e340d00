// A Group's dealings with its peers: their messages, and what is known of the way to them.

#include <utility>

#include "base/check.h"
#include "replication/node/group.h"

namespace holdfast {
namespace {

using raft::Message;
using raft::MessageType;
using raft::ProposeResult;
using raft::Role;

// After the connection to the leader broke: the delay before the first election, which doubles for
// each further one, and how many there are.
constexpr uint64_t kHurriedMicrosMin = 10'000;
constexpr uint64_t kHurriedMicrosMax = 60'000;
constexpr uint32_t kHurriedElections = 5;
// Where the count begins if an election is under way, which is given the time to end well.
constexpr uint32_t kHurriedAfterVotes = 3;

// Whether a replica says so to another one: the rest is a core's own, or has a way of its own.
bool IsPeerMessage(MessageType type) {
  switch (type) {
    case MessageType::kAppend:
    case MessageType::kAppendResponse:
    case MessageType::kVote:
    case MessageType::kVoteResponse:
    case MessageType::kHeartbeat:
    case MessageType::kHeartbeatResponse:
    case MessageType::kTransferLeader:
    case MessageType::kTimeoutNow:
    case MessageType::kReadIndex:
    case MessageType::kReadIndexResponse:
    case MessageType::kPreVote:
    case MessageType::kPreVoteResponse:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Group::Step(PeerMessage message) {
  CHECK(executor_->IsCurrent());
  const Message& said = message.message;
  if (core_ == nullptr || dead_ || said.to != options_.self || said.from == options_.self) return;
  if (!IsPeerMessage(said.type)) return;
  // `from` of those that are passed on is not who sent them, and whose clock it is.
  const bool passed_on =
      said.type == MessageType::kTransferLeader || said.type == MessageType::kReadIndex;
  if (!passed_on) clocks_.Observe(said.from, message.wall_micros, executor_->MonotonicMicros());
  core_->Step(std::move(message.message));
  Process();
}

void Group::StepSnapshot(PeerMessage message, std::shared_ptr<StagedState> staged) {
  CHECK(executor_->IsCurrent());
  const Message& said = message.message;
  if (core_ == nullptr || dead_ || said.to != options_.self || said.from == options_.self) return;
  if (said.type != MessageType::kSnapshot || said.snapshot == nullptr) return;
  if (received_.has_value() || installing_) return;
  received_ = Received{*said.snapshot, std::move(staged)};
  core_->Step(std::move(message.message));
  Process();
  // What the core had no use for.
  received_.reset();
}

void Group::ReportUnreachable(ReplicaId peer) {
  CHECK(executor_->IsCurrent());
  if (core_ == nullptr) return;
  core_->ReportUnreachable(peer);
  Process();
}

void Group::ReportBroken(ReplicaId peer) {
  CHECK(executor_->IsCurrent());
  if (core_ == nullptr || dead_) return;
  core_->ReportUnreachable(peer);
  if (core_->leader() == peer) LoseLeader();
  Process();
}

void Group::LoseLeader() {
  core_->ForgetLeader();
  hurried_ = 0;
  HurryElection();
}

// A candidate that does not win, by votes that are split or an end in the middle, leaves all of
// them without a leader: the core's timeout is for a leader's silence, and longer than this needs.
void Group::AwaitLeader() {
  if (hurrying_ || IsAlone()) return;
  hurried_ = kHurriedAfterVotes;
  HurryElection();
}

// Those who lost the leader wait for different times, so that one of them asks first; whoever has
// not noticed yet does not answer, so it asks again, later each time. After that the usual timeout
// decides.
void Group::HurryElection() {
  if (hurrying_) return;
  hurrying_ = true;
  const auto delay = static_cast<int64_t>(
      random_.Between(kHurriedMicrosMin << hurried_, kHurriedMicrosMax << hurried_));
  executor_->RunAt(executor_->MonotonicMicros() + delay, [this] {
    hurrying_ = false;
    if (dead_ || core_ == nullptr || core_->leader() != ReplicaId()) return;
    // One that is past the asking has votes under way, which it waits for once.
    const bool voting = core_->role() == Role::kCandidate && core_->term() != hurried_term_;
    if (voting) {
      hurried_term_ = core_->term();
    } else {
      core_->Campaign();
    }
    Process();
    if (++hurried_ < kHurriedElections) HurryElection();
  });
}

void Group::ReportSnapshot(ReplicaId peer, raft::Core::SnapshotResult result) {
  CHECK(executor_->IsCurrent());
  if (core_ == nullptr) return;
  core_->ReportSnapshot(peer, result);
  Process();
}

ProposeResult Group::ProposeConfigChange(const raft::ConfigChange& change) {
  CHECK(executor_->IsCurrent());
  if (!leading_) return ProposeResult::kNotLeader;
  const ProposeResult result = core_->ProposeConfigChange(change);
  Process();
  return result;
}

void Group::TransferLeadership(ReplicaId to) {
  CHECK(executor_->IsCurrent());
  if (core_ == nullptr) return;
  core_->TransferLeadership(to);
  Process();
}

// Nothing is accepted while leadership is handed over, and who was asked may be busy, or on its way
// out: the core gives it an election timeout, which is long for who waits.
void Group::WatchTransfer() {
  if (std::exchange(transferee_, core_->transferee()) == core_->transferee()) return;
  ++transfers_;
  if (transferee_ == ReplicaId()) return;
  executor_->RunAt(executor_->MonotonicMicros() + options_.transfer_micros,
                   [this, transfer = transfers_] {
                     if (dead_ || core_ == nullptr || transfer != transfers_) return;
                     core_->GiveUpTransfer();
                     Process();
                   });
}

}  // namespace holdfast
