// One node's shards, router and state store on a simulated executor: everything of the engine but
// threads, with a log that the test scripts.
//
//   TestNode node({.shards = 4});
//   node.Start();
//   Answer<ExecuteResult> reserve = node.Reserve("mail", absl::Seconds(5));
//   node.Enqueue("mail", "hello");
//   EXPECT_EQ(node.Await(reserve).payloads.size(), 1);
//
// A crash leaves the state store's last completed flush and the log's entries; Start() begins
// the next incarnation on them.
//
// Thread-safety: thread-compatible. No call is made from within a task.

#ifndef HOLDFAST_SERVER_ENGINE_TESTING_TEST_NODE_H_
#define HOLDFAST_SERVER_ENGINE_TESTING_TEST_NODE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/testing/simulated_executor.h"
#include "server/engine/admission.h"
#include "server/engine/holder_registry.h"
#include "server/engine/relay.h"
#include "server/engine/router.h"
#include "server/engine/shard.h"
#include "server/engine/snapshot/snapshot_pins.h"
#include "server/engine/testing/scripted_log.h"
#include "storage/faulty/faulty_state_store.h"

namespace holdfast {

// What a callback will be called with, once: a second call CHECKs.
template <class Result>
class Answer {
 public:
  Answer() : result_(std::make_shared<std::optional<Result>>()) {}

  // The callback to hand over.
  auto Done() const {
    return [result = result_](Result value) {
      CHECK(!result->has_value());
      result->emplace(std::move(value));
    };
  }
  bool has_value() const { return result_->has_value(); }
  // REQUIRES: has_value().
  const Result& operator*() const {
    CHECK(has_value());
    return **result_;
  }
  const Result* operator->() const { return &**this; }

 private:
  std::shared_ptr<std::optional<Result>> result_;
};

class TestNode {
 public:
  struct Options {
    uint32_t shards = 1;
    Machine::Options machine = {};  // shard and shards are set by the node
    Proposer::Options proposer = {};
    size_t waiters_max = 1000;
    uint64_t overlay_bytes_max = 1 << 20;
    Admission::Limits admission = {};
    ScriptedLog::Commits commits = ScriptedLog::Commits::kAtOnce;
    std::optional<uint64_t> shuffle_seed = std::nullopt;
    ReplicaId self = ReplicaId(1);
    Forwarder* forwarder = nullptr;
  };

  explicit TestNode(const Options& options);
  ~TestNode();

  // Restores every shard, replays its log, and leads it. CHECKs that this goes well.
  void Start();
  // Restores and replays only; the first error of a shard, after which only Crash() may follow.
  absl::Status StartFollowing();
  // What is in memory is gone, and what was asked and not answered will not be.
  void Crash();

  EventQueue& events() { return events_; }
  SimulatedExecutor& loop() { return *loop_; }
  SimulatedExecutor& reader() { return *reader_; }
  FaultyStateDisk& disk() { return disk_; }
  Router& router() { return *router_; }
  HolderRegistry& holders() { return *holders_; }
  Shard& shard(uint32_t i = 0) { return *shards_[i]; }
  Relay& relay(uint32_t i = 0) { return *relays_[i]; }
  ScriptedLog& log(uint32_t i = 0) { return *logs_[i]; }
  uint64_t overlay_bytes() const { return overlay_bytes_; }
  // How often a shard has asked for a flush.
  int flushes_asked_for() const { return flushes_asked_for_; }
  // The failures that shards reported, in order.
  const std::vector<absl::Status>& fatal() const { return fatal_; }

  // Runs what is due, without time passing; then the answer must be there.
  template <class Result>
  const Result& Await(const Answer<Result>& answer) {
    events_.RunUntilIdle();
    return *answer;
  }
  // The job that an answered enqueue brought. CHECKs that it did.
  JobId Enqueued(const Answer<ExecuteResult>& enqueue);

  // --- What a frontend asks. None of these waits.
  Answer<ExecuteResult> Enqueue(const std::string& queue, std::string_view body,
                                const JobSpec& spec = {});
  Answer<ExecuteResult> Execute(CommandBody body, const RequestIdentity& request = {});
  // The request's `queues` is `queue` alone; `id` may be nullptr.
  Answer<ExecuteResult> Reserve(const std::string& queue, absl::Duration wait,
                                ReserveId* id = nullptr);
  Answer<ExecuteResult> Reserve(ReserveRequest request, ReserveId* id = nullptr);
  Answer<QueryResult> Ask(Query query);

  // --- The script of a shard's log, as a task of its loop.
  void OnLoop(const std::function<void()>& script) {
    loop_->Run([&script] { script(); });
  }
  void Commit(size_t count = SIZE_MAX, uint32_t shard = 0);

  // --- Flushing one shard, in the flusher's steps. Tasks run only in Flush().
  enum class Freezing : uint8_t {
    kNothing,  // the store has it all
    kFrozen,
    kWaits,  // for the end of an entry that is half applied; frozen() then
  };
  Freezing BeginFlush(uint32_t shard = 0);
  bool frozen() const { return frozen_.has_value(); }
  // Writes what is frozen and tells the shard. REQUIRES: frozen(). On an error the shard is not
  // told and it can be tried again.
  absl::Status EndFlush();
  // All of it, with what else is due; for every shard.
  void Flush();

  // The name of a queue that lives in that shard; others for other numbers.
  std::string QueueIn(uint32_t shard, int number = 0) const;

 private:
  struct FrozenShard {
    uint32_t shard;
    Shard::Frozen frozen;
  };
  void MakeShards();

  const Options options_;
  EventQueue events_;
  FaultyStateDisk disk_;
  std::vector<std::unique_ptr<ScriptedLog>> logs_;
  uint64_t incarnation_ = 0;
  std::vector<absl::Status> fatal_;
  int flushes_asked_for_ = 0;

  // Of one run.
  std::unique_ptr<StateStore> store_;
  std::atomic<uint64_t> overlay_bytes_{0};
  std::unique_ptr<HolderRegistry> holders_;
  SnapshotPins pins_{SnapshotPins::Options()};
  std::optional<FrozenShard> frozen_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::unique_ptr<Router> router_;
  // Last: what waits in them is dropped before what it points to.
  std::unique_ptr<SimulatedExecutor> loop_;
  std::unique_ptr<SimulatedExecutor> reader_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_TESTING_TEST_NODE_H_
