#include "replication/raft/testing/core_cluster.h"

#include <utility>

#include "base/check.h"
#include "replication/raft/configuration.h"

namespace holdfast::raft {

LogRead PlainLog::TermAt(LogIndex index, Term* term) const {
  if (index < before_.index) return LogRead::kCompacted;
  if (index > Last()) return LogRead::kAbsent;
  *term = index == before_.index ? before_.term : At(index).term;
  return LogRead::kOk;
}

LogRead PlainLog::Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
                       std::vector<Entry>* entries) const {
  if (begin < First()) return LogRead::kCompacted;
  if (end > Next(Last())) return LogRead::kAbsent;
  if (not_yet) return LogRead::kNotYet;
  uint64_t bytes = 0;
  for (LogIndex i = begin; i < end; i = Next(i)) {
    bytes += At(i).size_bytes();
    if (i > begin && bytes > bytes_max) break;
    entries->push_back(At(i));
  }
  return LogRead::kOk;
}

LogRead PlainLog::Snapshot(SnapshotDescriptor* snapshot) {
  if (not_yet || snapshot_.empty()) return LogRead::kNotYet;
  *snapshot = snapshot_;
  return LogRead::kOk;
}

void PlainLog::Write(const Ready& ready) {
  if (ready.snapshot != nullptr) {
    before_ = {.term = ready.snapshot->term, .index = ready.snapshot->index};
    entries_.clear();
    snapshot_ = *ready.snapshot;
  }
  for (const Entry& entry : ready.entries) {
    CHECK_GE(entry.index, First());
    CHECK_LE(entry.index, Next(Last()));
    entries_.resize(entry.index.value() - First().value());
    entries_.push_back(entry);
  }
  if (ready.hard_state.has_value()) hard_state = *ready.hard_state;
}

void PlainLog::Compact(LogIndex index, const Configuration& configuration) {
  snapshot_ = {
      .index = index, .term = At(index).term, .configuration = configuration, .source = "here"};
  entries_.erase(entries_.begin(),
                 entries_.begin() + static_cast<int64_t>(index.value() - before_.index.value()));
  before_ = {.term = snapshot_.term, .index = index};
}

CoreCluster::CoreCluster(int voters, int learners, const Adjust& adjust) : adjust_(adjust) {
  for (int i = 1; i <= voters + learners; ++i) {
    (i <= voters ? first_.voters : first_.learners).push_back(ReplicaId(static_cast<uint64_t>(i)));
  }
  for (int i = 1; i <= voters + learners; ++i) Add(static_cast<uint64_t>(i));
}

void CoreCluster::Add(uint64_t id) {
  auto replica = std::make_unique<TestReplica>();
  replica->options.id = ReplicaId(id);
  replica->options.seed = 1;
  replica->options.configuration = first_;
  if (adjust_) adjust_(&replica->options);
  Start(replica.get());
  replicas_[id] = std::move(replica);
}

void CoreCluster::Start(TestReplica* replica) {
  replica->options.hard_state = replica->log.hard_state;
  replica->core = std::make_unique<Core>(replica->options, &replica->log);
}

void CoreCluster::Restart(uint64_t id) {
  TestReplica& restarted = replica(id);
  restarted.applied.clear();
  std::erase_if(in_flight_, [&](const Message& m) { return m.from == restarted.options.id; });
  Start(&restarted);
}

void CoreCluster::Route(Message message) {
  sent.push_back(message);
  if (drop && drop(message)) return;
  in_flight_.push_back(std::move(message));
}

void CoreCluster::Handle(TestReplica* replica, const Ready& ready) {
  const bool apart = replica->options.write_mode == Core::WriteMode::kApart;
  for (const Message& message : ready.messages) Route(message);
  replica->log.Write(ready);
  for (const Message& message : ready.messages_after_write) {
    if (message.to == replica->options.id) {
      replica->core->Step(message);
    } else {
      Route(message);
    }
  }
  if (apart) replica->core->OnWritten(ready.write);
  for (const ReadState& read : ready.read_states) replica->reads.push_back(read);
  for (const Entry& entry : ready.committed) {
    if (entry.type == EntryType::kConfiguration) {
      const auto change =
          DecodeConfigChange(entry.data == nullptr ? std::string_view() : *entry.data);
      CHECK(change.has_value());
      replica->core->ApplyConfigChange(*change);
    } else if (entry.type == EntryType::kCommands) {
      replica->applied.push_back(*entry.data);
    }
  }
  if (!apart) {
    replica->core->Advance();
  } else if (!ready.committed.empty()) {
    replica->core->OnApplied(ready.committed.back().index);
  }
  replica->core->CheckInvariants();
}

void CoreCluster::Work(uint64_t id) {
  TestReplica& worker = replica(id);
  while (worker.core->HasReady()) Handle(&worker, worker.core->TakeReady());
}

void CoreCluster::Settle() {
  for (bool moved = true; moved;) {
    moved = false;
    for (auto& [id, replica] : replicas_) Work(id);
    while (!in_flight_.empty()) {
      moved = true;
      const Message message = std::move(in_flight_.front());
      in_flight_.pop_front();
      const auto to = replicas_.find(message.to.value());
      if (to == replicas_.end()) continue;
      to->second->core->Step(message);
      to->second->core->CheckInvariants();
      Work(to->first);
    }
  }
}

void CoreCluster::Tick(uint64_t id, int ticks) {
  for (int i = 0; i < ticks; ++i) {
    core(id).Tick();
    core(id).CheckInvariants();
  }
}

void CoreCluster::Elect(uint64_t id) {
  for (auto& [other, replica] : replicas_) {
    if (other != id) replica->core->ForgetLeader();
  }
  core(id).Campaign();
  Settle();
  CHECK(core(id).role() == Role::kLeader);
}

ProposeResult CoreCluster::Propose(uint64_t id, const std::string& data) {
  return core(id).Propose(EntryType::kCommands, std::make_shared<const std::string>(data));
}

void CoreCluster::Cut(uint64_t id) {
  drop = [id](const Message& m) { return m.from == ReplicaId(id) || m.to == ReplicaId(id); };
}

}  // namespace holdfast::raft
