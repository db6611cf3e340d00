// Some cores with logs in memory and a network that delivers everything at once, for unit tests:
// what a test does not want to happen it cuts.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_CORE_CLUSTER_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_CORE_CLUSTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "replication/raft/core.h"

namespace holdfast::raft {

// A log whose writes are durable at once.
class PlainLog final : public LogReader {
 public:
  LogIndex First() const override { return Next(before_.index); }
  LogIndex Last() const override { return LogIndex(before_.index.value() + entries_.size()); }
  LogRead TermAt(LogIndex index, Term* term) const override;
  LogRead Read(LogIndex begin, LogIndex end, uint64_t bytes_max,
               std::vector<Entry>* entries) const override;
  LogRead Snapshot(SnapshotDescriptor* snapshot) override;

  void Write(const Ready& ready);
  void Compact(LogIndex index, const Configuration& configuration);
  const Entry& At(LogIndex index) const { return entries_[index.value() - First().value()]; }

  HardState hard_state;
  bool not_yet = false;  // Read and Snapshot answer kNotYet

 private:
  EntryId before_;
  std::vector<Entry> entries_;
  SnapshotDescriptor snapshot_;
};

// One replica that does the duties of Ready at once.
struct TestReplica {
  PlainLog log;
  std::unique_ptr<Core> core;
  Core::Options options;
  std::vector<std::string> applied;  // data of the commands
  std::vector<ReadState> reads;
};

class CoreCluster {
 public:
  using Adjust = std::function<void(Core::Options*)>;

  // Replicas 1 to `voters`, then `learners` more, with ticks of 10 and 1.
  explicit CoreCluster(int voters, int learners = 0, const Adjust& adjust = {});

  // One that the configuration does not have yet.
  void Add(uint64_t id);
  // From what is durable, with nothing applied that was not.
  void Restart(uint64_t id);

  Core& core(uint64_t id) { return *replica(id).core; }
  TestReplica& replica(uint64_t id) { return *replicas_.at(id); }

  // Does everything that is ready and delivers every message, until nothing is left.
  void Settle();
  // Does what one replica has ready; its messages wait for Settle.
  void Work(uint64_t id);
  void Tick(uint64_t id, int ticks);
  // Until `id` leads.
  void Elect(uint64_t id);
  ProposeResult Propose(uint64_t id, const std::string& data);

  // Messages for which this is true are lost.
  std::function<bool(const Message&)> drop;
  void Cut(uint64_t id);  // all of a replica's
  void Heal() { drop = nullptr; }

  // Every message that was sent, delivered or not.
  std::vector<Message> sent;

 private:
  void Start(TestReplica* replica);
  void Handle(TestReplica* replica, const Ready& ready);
  void Route(Message message);

  Adjust adjust_;
  Configuration first_;
  std::map<uint64_t, std::unique_ptr<TestReplica>> replicas_;
  std::deque<Message> in_flight_;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_CORE_CLUSTER_H_
