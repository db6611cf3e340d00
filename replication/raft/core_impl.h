// What Core is made of. The methods are spread over files by duty:
//
//   step.cc         the term of a message, then who handles it
//   election.cc     roles, campaigns, votes, ticks
//   replication.cc  appends and their answers, heartbeats, commit
//   propose.cc      proposals and leadership transfer
//   read_index.cc   reads
//   membership.cc   configurations
//   snapshot.cc     sending and restoring snapshots
//   ready.cc        what the caller is to do, and what it has done
//   invariants.cc   CheckInvariants
//   state.cc        AppendState

#ifndef HOLDFAST_REPLICATION_RAFT_CORE_IMPL_H_
#define HOLDFAST_REPLICATION_RAFT_CORE_IMPL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutant.h"
#include "base/prng.h"
#include "base/types.h"
#include "replication/raft/core.h"
#include "replication/raft/raft_log.h"
#include "replication/raft/read_queue.h"
#include "replication/raft/tracker.h"
#include "replication/raft/types.h"

namespace holdfast::raft {

class Core::Impl {
 public:
  Impl(Options options, LogReader* log);
  Impl(const Impl& other, LogReader* log) : Impl(other) { log_.SetReader(log); }

  // --- What Core's methods of the same names do.

  void Tick();
  void Step(Message message);
  ProposeResult Propose(EntryType type, std::shared_ptr<const std::string> data, EntryId* where);
  ProposeResult ProposeConfigChange(const ConfigChange& change, EntryId* where);
  void ReadIndex(uint64_t context);
  void Campaign();
  void TransferLeadership(ReplicaId to);
  void GiveUpTransfer();
  void ForgetLeader();
  bool IsLeaderSilent() const;
  void StopLeading();
  void ReportUnreachable(ReplicaId id);
  void ReportSnapshot(ReplicaId id, SnapshotResult result);
  void LogFetched();
  bool HasReady() const;
  Ready TakeReady();
  void OnWritten(const WriteToken& write);
  void OnApplied(LogIndex applied);
  void Advance();
  Configuration ApplyConfigChange(const ConfigChange& change);
  Status GetStatus() const;
  void CheckInvariants() const;
  void AppendState(std::string* bytes) const;

  ReplicaId id() const { return options_.id; }
  ReplicaId leader() const { return leader_; }
  Role role() const { return role_; }
  ReplicaId transferee() const { return transferee_; }
  Term term() const { return term_; }
  const RaftLog& log() const { return log_; }
  const Configuration& configuration() const { return tracker_.configuration(); }
  bool committed_in_term() const;
  void set_randomized_election_ticks(uint32_t ticks) { randomized_election_ticks_ = ticks; }

 private:
  Impl(const Impl&) = default;

  enum class CampaignKind : uint8_t { kPreElection, kElection, kTransfer };
  enum class WhenEmpty : uint8_t { kSend, kDoNotSend };

  // --- step.cc
  // False: the message has been dealt with, or is of no use.
  bool StepTerm(const Message& message);
  void StepHigherTerm(const Message& message);
  void StepLowerTerm(const Message& message);
  void StepLeader(Message message);
  void StepCandidate(Message message);
  void StepFollower(Message message);
  // Puts the message to the others it may go with: those that need not wait for a write, or not.
  void Send(Message message);
  Message To(ReplicaId to, MessageType type) const;

  // --- election.cc
  void Reset(Term term);
  void BecomeFollower(Term term, ReplicaId leader);
  void BecomePreCandidate();
  void BecomeCandidate();
  void BecomeLeader();
  void Hup(CampaignKind kind);
  void CampaignAs(CampaignKind kind);
  bool IsPromotable() const;
  bool AwaitsConfigChange();
  void FindConfigChanges();
  bool HearsOnlyLeader() const;
  void HandleVoteRequest(const Message& message);
  void HandleVoteResponse(const Message& message);
  void TellCommit(Message* refusal) const;
  void LearnCommit(const Message& refusal);
  void CountVote(ReplicaId from, Peer::Vote vote);
  void ReleaseIdleMemory();
  void TickElection();
  void TickHeartbeat();

  // --- replication.cc
  bool AppendOwn(Entry entry);
  void HandleAppend(Message message);
  void HandleHeartbeat(const Message& message);
  void HandleAppendResponse(Peer* peer, const Message& message);
  void HandleAppendRefused(Peer* peer, const Message& message);
  void HandleHeartbeatResponse(Peer* peer, const Message& message);
  bool MaybeSendAppend(Peer* peer, WhenEmpty when_empty);
  void BroadcastAppend(WhenEmpty when_empty);
  void BroadcastHeartbeat();
  bool MaybeCommit();

  // --- propose.cc
  ProposeResult ProposeAsLeader(Entry entry, EntryId* where);
  bool AdmitsChange(const Entry& entry) const;
  void HandleTransfer(Peer* peer);

  // --- read_index.cc
  void HandleReadIndex(ReplicaId from, uint64_t context);
  void AddRead(ReadQueue::Read read);
  void Answer(const ReadQueue::Read& read);
  void AnswerConfirmedReads();
  void ReleaseWaitingReads();

  // --- membership.cc
  void SwitchTo(const Configuration& configuration);
  void MaybeLeaveJoint();
  // What the present configuration would be after these entries.
  Configuration ConfigurationAfter(const std::vector<Entry>& entries) const;

  // --- snapshot.cc
  bool MaybeSendSnapshot(Peer* peer);
  void HandleSnapshot(const Message& message);
  bool Restore(const std::shared_ptr<const SnapshotDescriptor>& snapshot);
  void HandleSnapshotStatus(Peer* peer, SnapshotResult result);

  // --- ready.cc
  HardState hard_state() const { return {.term = term_, .vote = vote_, .commit = log_.commit()}; }
  SoftState soft_state() const { return {.leader = leader_, .role = role_}; }
  WriteToken TokenFor(const Ready& ready) const;
  void HurryVotes(Ready* ready) const;
  void KeepForAdvance(Ready* ready);

  // --- invariants.cc
  void CheckRole() const;

  bool Traced() const { return static_cast<bool>(options_.log); }
  // Calls with Traced() only format what somebody reads.
  template <class... Parts>
  void Trace(Options::LogLevel level, const Parts&... parts) const {
    if (!Traced()) return;
    std::string text;
    (AppendTo(&text, parts), ...);
    options_.log(level, text);
  }
  static void AppendTo(std::string* text, std::string_view part) { *text += part; }
  static void AppendTo(std::string* text, uint64_t part) { *text += std::to_string(part); }
  template <class Tag>
  static void AppendTo(std::string* text, StrongInt<Tag, uint64_t> part) {
    *text += std::to_string(part.value());
  }

  const Options options_;
  RaftLog log_;
  Tracker tracker_;
  Prng random_;

  Term term_;
  ReplicaId vote_;
  Role role_ = Role::kFollower;
  ReplicaId leader_;
  bool stopped_ = false;  // by StopLeading: takes no part any more

  uint32_t election_elapsed_ = 0;  // follower: since it heard of the leader
  uint32_t heartbeat_elapsed_ = 0;
  uint32_t randomized_election_ticks_ = 0;

  // --- Leader only.
  ReplicaId transferee_;
  LogIndex pending_config_;  // no configuration entry is beyond it
  uint64_t uncommitted_bytes_ = 0;
  ReadQueue reads_;

  // --- For the next Ready.
  std::vector<Message> messages_;
  std::vector<Message> messages_after_write_;
  std::vector<ReadState> read_states_;
  HardState last_hard_state_;
  SoftState last_soft_state_;
  size_t messages_expected_ = 0;
  bool finding_changes_ = false;  // configuration entries, in a log that is not at hand
  bool fetching_ = false;         // committed entries that the log does not have at hand
  size_t queued_heartbeats_ = 0;  // how many of the last messages_ are one broadcast of heartbeats

  // --- WriteMode::kTogether: what Advance() reports.
  std::vector<Message> steps_on_advance_;
  WriteToken write_on_advance_{};
  LogIndex applied_on_advance_;
  bool advance_pending_ = false;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_CORE_IMPL_H_
