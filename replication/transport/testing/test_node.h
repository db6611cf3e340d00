// A node as far as its transport goes: a gRPC server on a free port of loopback, two loops, and a
// record of everything that the loops were told.
//
// Shard n is of loop n % 2. Thread-safety: thread-safe, but for what starts and stops.

#ifndef HOLDFAST_REPLICATION_TRANSPORT_TESTING_TEST_NODE_H_
#define HOLDFAST_REPLICATION_TRANSPORT_TESTING_TEST_NODE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "replication/transport/peer_transport.h"
#include "replication/transport/testing/thread_executor.h"

namespace grpc {
class Server;
}

namespace holdfast {

inline constexpr uint32_t kTestShards = 8;

// The options of a node of the tests' cluster; its disk is 1000 + its id.
TransportOptions TestOptions(uint64_t node);

class TestNode {
 public:
  // What it was told, in order.
  struct Told {
    std::vector<std::pair<NodeId, PeerEnvelope>> messages;
    std::vector<std::pair<ShardId, ReplicaId>> unreachable;
    std::vector<PeerChange> changes;  // as loop 0 was told
    std::vector<SnapshotPart> parts;
    std::vector<std::string> answers;
    std::vector<SnapshotStream> stream_events;  // as loop 0 was told
    std::deque<std::shared_ptr<void>> credits;  // of parts, if they are kept
    std::vector<ForwardReply> unanswered;       // requests that asked not to be answered
    size_t requests = 0;
    size_t wrong_loop = 0;  // calls on a loop that is not the shard's
  };

  // Listens, and stops with an empty set of peers. Requests are echoed, but for "keep", whose reply
  // is kept.
  // `instead`: is told everything in place of the record.
  explicit TestNode(TransportOptions options, PeerHandler* instead = nullptr);
  ~TestNode();

  PeerTransport* transport() { return transport_.get(); }
  ThreadExecutor* loop(size_t index) { return loops_[index].get(); }
  NodeId id() const { return options_.self.node; }
  ReplicaId replica() const { return options_.self.replica; }
  const std::string& address() const { return address_; }
  PeerPlace place() const { return {address_, options_.self.replica}; }
  // As a crash would look from outside: the connections break.
  void Crash();
  // From now on the credits of parts are kept.
  void KeepCredits();
  void DropCredits();

  // Blocks until the predicate holds of what it was told; false if that takes too long.
  bool Await(const std::function<bool(const Told&)>& predicate);
  // Looks at what it was told.
  template <class F>
  auto With(F&& function) {
    absl::MutexLock lock(&mutex_);
    return function(told_);
  }
  bool AwaitUp(NodeId peer, size_t times = 1) {
    return AwaitChange(peer, PeerChange::Kind::kUp, times);
  }
  bool AwaitChange(NodeId peer, PeerChange::Kind kind, size_t times = 1);
  bool AwaitMessages(size_t count);

 private:
  class Handler;
  void Listen();

  TransportOptions options_;
  absl::Mutex mutex_;
  Told told_ ABSL_GUARDED_BY(mutex_);
  bool keep_credits_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<Handler>> handlers_;
  std::vector<std::unique_ptr<ThreadExecutor>> loops_;
  std::unique_ptr<PeerTransport> transport_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

// Makes each of them a peer of each other one.
void Connect(const std::vector<TestNode*>& nodes);

// A heartbeat from one to the other, numbered by its commit index.
PeerEnvelope Heartbeat(const TestNode& from, const TestNode& to, ShardId shard, uint64_t number);
// An append with one entry of this many bytes, numbered by the entry's index.
PeerEnvelope Append(const TestNode& from, const TestNode& to, ShardId shard, uint64_t number,
                    size_t bytes);

}  // namespace holdfast

#endif  // HOLDFAST_REPLICATION_TRANSPORT_TESTING_TEST_NODE_H_
