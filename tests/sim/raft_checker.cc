#include "tests/sim/raft_checker.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/ledger.h"

namespace holdfast::sim {
namespace {

std::string Text(raft::EntryId id) { return absl::StrCat(id.term.value(), "/", id.index.value()); }

std::string Who(ReplicaId replica) { return absl::StrCat("replica ", replica.value()); }

}  // namespace

RaftChecker::RaftChecker(raft::EntryId base, raft::Configuration configuration, const Disks* disks,
                         RunStats* stats)
    : base_(base), disks_(disks), stats_(stats) {
  configurations_[base.index] = std::move(configuration);
}

void RaftChecker::Fail(std::string_view rule, std::string what) {
  if (!violation_.has_value()) violation_ = Violation{std::string(rule), std::move(what)};
}

const RaftChecker::Committed* RaftChecker::CommittedAt(LogIndex index) const {
  if (index <= base_.index || index > committed()) return nullptr;
  return &committed_[index.value() - base_.index.value() - 1];
}

bool RaftChecker::NoteLeader(ReplicaId replica, Term term) {
  const auto [at, added] = leaders_.try_emplace(term, replica);
  if (added) {
    ++stats_->leader_changes;
  } else if (at->second != replica) {
    Fail("one leader a term",
         absl::StrCat(Who(at->second), " and ", Who(replica), " lead in term ", term.value()));
  }
  return added;
}

void RaftChecker::OnLeads(ReplicaId replica, Term term) { NoteLeader(replica, term); }

void RaftChecker::OnLeader(ReplicaId replica, Term term, const LogImage& log,
                           const raft::Configuration& configuration) {
  if (!NoteLeader(replica, term)) return;
  CheckElected(replica, term, configuration.voters);
  CheckElected(replica, term, configuration.voters_outgoing);
  // By log matching the last one that it must have stands for all.
  const auto later = std::partition_point(committed_.begin(), committed_.end(),
                                          [term](const Committed& one) { return one.when < term; });
  if (later == committed_.begin()) return;
  const LogIndex newest(base_.index.value() + static_cast<uint64_t>(later - committed_.begin()));
  const raft::EntryId must{std::prev(later)->term, newest};
  const bool in_snapshot = newest < log.base().index;
  if (!in_snapshot && log.TermAt(newest) != must.term) {
    Fail("leader completeness", absl::StrCat(Who(replica), " leads term ", term.value(),
                                             " without the committed entry ", Text(must)));
  }
}

void RaftChecker::CheckElected(ReplicaId replica, Term term, const std::vector<ReplicaId>& voters) {
  size_t count = 0;
  for (const ReplicaId voter : voters) {
    const raft::HardState state = disks_->HardStateOf(voter);
    const auto vote = votes_.find({term, voter});
    const bool durable = state.term > term || (state.term == term && state.vote == replica);
    const bool voted = voter == replica || (vote != votes_.end() && vote->second == replica);
    if (durable && voted) ++count;
  }
  if (voters.empty() || count * 2 > voters.size()) return;
  Fail("durable first",
       absl::StrCat(Who(replica), " leads term ", term.value(), " by durable votes of ", count,
                    " of ", voters.size(), " voters"));
}

void RaftChecker::CheckTold(const raft::Message& message, LogIndex index, Term term,
                            const LogImage& log) {
  const std::optional<Term> own = log.TermAt(index);
  if (!own.has_value() || *own == term) return;
  Fail("what it has", absl::StrCat(Who(message.from), " tells ", Who(message.to), " of entry ",
                                   Text({term, index}), "; it has ", Text({*own, index})));
}

void RaftChecker::OnSend(const raft::Message& message, const LogImage* log) {
  using raft::MessageType;
  if (message.type == MessageType::kVoteResponse && !message.reject) {
    OnVote(message.from, message.term, message.to);
    const raft::HardState state = disks_->HardStateOf(message.from);
    if (state.term < message.term || (state.term == message.term && state.vote != message.to)) {
      Fail("durable first", absl::StrCat(Who(message.from), " votes in term ", message.term.value(),
                                         " before that is durable"));
    }
  }
  if (log == nullptr) return;
  if (message.type == MessageType::kVote) {
    CheckTold(message, message.index, message.log_term, *log);
  } else if (message.type == MessageType::kAppend) {
    CheckTold(message, message.index, message.log_term, *log);
    for (const raft::Entry& entry : message.entries) {
      CheckTold(message, entry.index, entry.term, *log);
    }
  } else if (message.type == MessageType::kAppendResponse && !message.reject) {
    CheckStored(message, *log);
  }
}

void RaftChecker::CheckStored(const raft::Message& message, const LogImage& log) {
  const std::optional<Term> term = log.TermAt(message.index);
  if (!term.has_value() || message.index <= base_.index ||
      disks_->HasEntry(message.from, {*term, message.index})) {
    return;
  }
  Fail("durable first", absl::StrCat(Who(message.from), " acknowledges ",
                                     Text({*term, message.index}), " before it is durable"));
}

void RaftChecker::OnVote(ReplicaId voter, Term term, ReplicaId candidate) {
  const auto [at, added] = votes_.try_emplace({term, voter}, candidate);
  if (added || at->second == candidate) return;
  Fail("one vote a term", absl::StrCat(Who(voter), " votes for ", Who(at->second), " and for ",
                                       Who(candidate), " in term ", term.value()));
}

void RaftChecker::OnEntry(ReplicaId replica, const LogImage& log, LogIndex index) {
  const raft::Entry& entry = log.At(index);
  const std::optional<Term> previous = log.TermAt(Previous(index));
  const uint64_t hash = HashEntry(entry);
  const raft::EntryId id{entry.term, index};
  const auto [at, added] = known_.try_emplace(id, Known{hash, previous.value_or(Term())});
  if (previous.has_value() && *previous > entry.term) {
    Fail("log matching", absl::StrCat(Who(replica), " has ", Text(id), " after an entry of term ",
                                      previous->value()));
  }
  if (added) return;
  if (at->second.hash != hash || (previous.has_value() && at->second.previous != *previous)) {
    Fail("log matching", absl::StrCat(Who(replica), " has another entry ", Text(id),
                                      " or another before it than others have"));
  }
}

void RaftChecker::CheckDurable(ReplicaId replica, raft::EntryId entry,
                               const std::vector<ReplicaId>& voters) {
  size_t count = 0;
  for (const ReplicaId voter : voters) count += disks_->HasEntry(voter, entry) ? 1 : 0;
  if (voters.empty() || count * 2 > voters.size()) return;
  Fail("durable first",
       absl::StrCat(Who(replica), " commits ", Text(entry), ", which is on the disks of ", count,
                    " of ", voters.size(), " voters"));
}

void RaftChecker::OnCommit(ReplicaId replica, LogIndex from, const Commit& commit,
                           const LogImage& log) {
  const bool first = commit.index > committed();
  for (LogIndex index = Next(std::max(from, log.base().index)); index <= commit.index;
       index = Next(index)) {
    const raft::Entry& entry = log.At(index);
    const uint64_t hash = HashEntry(entry);
    const Committed* const known = CommittedAt(index);
    if (known == nullptr) {
      ++stats_->commits;
      committed_.push_back({entry.term, commit.term, hash, 0});
      CheckDurable(replica, {entry.term, index}, commit.configuration.voters);
      CheckDurable(replica, {entry.term, index}, commit.configuration.voters_outgoing);
    } else if (known->hash != hash) {
      Fail("state machine safety",
           absl::StrCat(Who(replica), " commits ", Text({entry.term, index}), "; committed is ",
                        Text({known->term, index})));
    }
  }
  if (first && commit.role == raft::Role::kLeader && log.TermAt(commit.index) != commit.term) {
    Fail("commit by own term",
         absl::StrCat(Who(replica), " commits up to ", commit.index.value(),
                      ", an entry of an earlier term than its ", commit.term.value()));
  }
}

void RaftChecker::CheckStateHash(ReplicaId replica, LogIndex index, uint64_t state_hash) {
  if (CommittedAt(index) == nullptr) return;
  uint64_t& known = committed_[index.value() - base_.index.value() - 1].state_hash;
  if (known == 0) known = state_hash;
  if (known != state_hash) {
    Fail("equal states",
         absl::StrCat(Who(replica), " has another state than others at ", index.value()));
  }
}

void RaftChecker::OnApplied(ReplicaId replica, const raft::Entry& entry, uint64_t state_hash) {
  const Committed* const known = CommittedAt(entry.index);
  if (known == nullptr || known->hash != HashEntry(entry)) {
    Fail("state machine safety",
         absl::StrCat(Who(replica), " applies ", Text({entry.term, entry.index}),
                      ", which is not what is committed there"));
    return;
  }
  CheckStateHash(replica, entry.index, state_hash);
}

void RaftChecker::OnConfiguration(ReplicaId replica, LogIndex index,
                                  const raft::Configuration& configuration) {
  const auto [at, added] = configurations_.try_emplace(index, configuration);
  if (added || at->second == configuration) return;
  Fail("equal configurations",
       absl::StrCat(Who(replica), " has another configuration at ", index.value(), " than others"));
}

void RaftChecker::OnSnapshot(ReplicaId replica, const raft::SnapshotDescriptor& snapshot,
                             uint64_t state_hash) {
  if (snapshot.index == base_.index) return;
  const Committed* const known = CommittedAt(snapshot.index);
  if (known == nullptr || known->term != snapshot.term) {
    Fail("state machine safety", absl::StrCat(Who(replica), " installs a snapshot at ",
                                              Text({snapshot.term, snapshot.index}),
                                              ", which is not what is committed there"));
    return;
  }
  const auto after = configurations_.upper_bound(snapshot.index);
  if (std::prev(after)->second != snapshot.configuration) {
    Fail("equal configurations",
         absl::StrCat(Who(replica), " installs a snapshot at ", snapshot.index.value(),
                      " with another configuration than others have"));
  }
  CheckStateHash(replica, snapshot.index, state_hash);
}

void RaftChecker::OnRead(ReplicaId replica, LogIndex asked, LogIndex index) {
  if (index < asked) {
    Fail("stale read", absl::StrCat(Who(replica), " answers a read as of ", index.value(),
                                    "; when it was asked, ", asked.value(), " was committed"));
  } else if (index > committed()) {
    Fail("stale read", absl::StrCat(Who(replica), " answers a read as of ", index.value(),
                                    ", which is not committed"));
  }
}

void RaftChecker::OnAcknowledged(LogIndex index, uint64_t entry_hash) {
  const Committed* const known = CommittedAt(index);
  if (known != nullptr && known->hash == entry_hash) return;
  Fail("acknowledged is committed",
       absl::StrCat("a client is told that ", index.value(), " holds its write; it does not"));
}

}  // namespace holdfast::sim
