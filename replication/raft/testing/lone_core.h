// One core whose peers are played by the test: it says which message arrives and when which write
// becomes durable, and looks at what the core wants to send.
//
// Thread-safety: thread-compatible.

#ifndef HOLDFAST_REPLICATION_RAFT_TESTING_LONE_CORE_H_
#define HOLDFAST_REPLICATION_RAFT_TESTING_LONE_CORE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replication/raft/core.h"
#include "replication/raft/testing/core_cluster.h"

namespace holdfast::raft {

// Entries of the given terms from `first` on, each with the data "x".
std::vector<Entry> EntriesOf(uint64_t first, const std::vector<uint64_t>& terms);
Entry ConfigEntry(uint64_t term, uint64_t index, const ConfigChange& change);
ConfigChange OneStep(ConfigStep::Kind kind, uint64_t replica);
Configuration VotersOnly(const std::vector<uint64_t>& ids);

// Messages of peer `from` to replica 1.
Message AppendFrom(uint64_t from, uint64_t term, EntryId previous, std::vector<Entry> entries,
                   uint64_t commit);
Message AppendResponseFrom(uint64_t from, uint64_t term, uint64_t index);
Message RefusalFrom(uint64_t from, uint64_t term, uint64_t refused, EntryId hint);
Message VoteRequestFrom(uint64_t from, uint64_t term, EntryId last);
Message VoteResponseFrom(uint64_t from, uint64_t term);
Message MessageFrom(uint64_t from, uint64_t term, MessageType type);
inline EntryId At(uint64_t term, uint64_t index) { return {Term(term), LogIndex(index)}; }

class LoneCore {
 public:
  using Adjust = std::function<void(Core::Options*)>;

  // Replica 1 of `voters`, with `terms` as the terms of its stored log, the last of which is also
  // its term.
  explicit LoneCore(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& terms = {},
                    const Adjust& adjust = {});

  Core& core() { return *core_; }
  PlainLog& log() { return *log_; }
  Status status() { return core_->GetStatus(); }
  Progress progress(uint64_t id);

  // Takes a Ready whose write is under way from now on. What may be sent at once goes to sent().
  const Ready& Take();
  // The oldest write under way is durable: what waited for it is sent, or stepped.
  void Written();
  // Applies what has been taken and not applied.
  void Apply();
  // All of it, until nothing is left.
  void Settle();
  void Step(Message message);
  void Tick(int ticks);

  // Campaigns, without a pre-vote, and is voted for by all.
  void Lead();
  ProposeResult Propose(const std::string& data);
  // What the core has sent since the last call, in order.
  std::vector<Message> Sent();
  std::vector<Message> Sent(MessageType type);
  const std::vector<Entry>& applied() const { return applied_; }
  const std::vector<ReadState>& reads() const { return reads_; }

 private:
  std::unique_ptr<PlainLog> log_ = std::make_unique<PlainLog>();  // where the core finds it
  std::unique_ptr<Core> core_;
  std::vector<uint64_t> voters_;
  std::deque<Ready> writing_;
  std::deque<Entry> committed_;
  std::vector<Entry> applied_;
  std::vector<ReadState> reads_;
  std::vector<Message> sent_;
};

}  // namespace holdfast::raft

#endif  // HOLDFAST_REPLICATION_RAFT_TESTING_LONE_CORE_H_
