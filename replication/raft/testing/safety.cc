#include "replication/raft/testing/safety.h"

#include <string_view>
#include <utility>

#include "replication/raft/testing/describe.h"

namespace holdfast::raft {
namespace {

template <class T>
std::string Number(T value) {
  return std::to_string(value.value());
}

bool SameEntry(const Entry& a, const Entry& b) {
  const std::string_view a_data = a.data == nullptr ? std::string_view() : *a.data;
  const std::string_view b_data = b.data == nullptr ? std::string_view() : *b.data;
  return a.term == b.term && a.type == b.type && a_data == b_data;
}

}  // namespace

void Safety::Starts(ReplicaId replica, const MemoryLog& stored) {
  replicas_[replica] = {stored.applied().index, stored.hard_state()};
}

void Safety::Leads(ReplicaId replica, Term term) {
  const auto [at, added] = leaders_.emplace(term, replica);
  if (added || at->second == replica) return;
  violations_.push_back(Number(at->second) + " and " + Number(replica) + " lead in term " +
                        Number(term));
}

void Safety::Applies(ReplicaId replica, const Entry& entry) {
  LogIndex& applied = replicas_[replica].applied;
  if (entry.index != Next(applied)) {
    violations_.push_back(Number(replica) + " applies index " + Number(entry.index) + " after " +
                          Number(applied));
  }
  applied = entry.index;
  const auto [at, added] = applied_.emplace(entry.index, entry);
  if (added || SameEntry(at->second, entry)) return;
  violations_.push_back(Number(replica) + " applies " + DescribeEntry(entry) +
                        " where another applied " + DescribeEntry(at->second));
}

void Safety::Installs(ReplicaId replica, const SnapshotDescriptor& snapshot) {
  LogIndex& applied = replicas_[replica].applied;
  if (snapshot.index < applied) {
    violations_.push_back(Number(replica) + " installs a snapshot at " + Number(snapshot.index) +
                          " after it applied " + Number(applied));
  }
  applied = snapshot.index;
}

void Safety::Writes(ReplicaId replica, const HardState& state) {
  HardState& before = replicas_[replica].state;
  const bool second_vote =
      state.term == before.term && before.vote != ReplicaId() && state.vote != before.vote;
  if (state.term < before.term || state.commit < before.commit || second_vote) {
    violations_.push_back(Number(replica) + " writes hard state " + DescribeHardState(state) +
                          " after " + DescribeHardState(before));
  }
  before = state;
}

void Safety::Sends(const Message& message, const MemoryLog& stored) {
  const HardState& state = stored.hard_state();
  bool durable = true;
  if (message.type == MessageType::kVoteResponse && !message.reject) {
    durable = state.term > message.term || (state.term == message.term && state.vote == message.to);
  } else if (message.type == MessageType::kAppendResponse && !message.reject) {
    durable = stored.Last() >= message.index;
  }
  if (durable) return;
  violations_.push_back("sent before it is stored: " + DescribeMessage(message));
}

std::vector<std::string> Safety::TakeViolations() { return std::exchange(violations_, {}); }

}  // namespace holdfast::raft
