// The engine of one node: its loops, shards, log writer, flusher and readers, started and stopped
// in the right order.
//
//   thread          count              what it does
//   loop/N          Options::loops     owns shards: proposes, applies, answers
//   log_writer      1                  writes and syncs the log of all shards
//   flusher         1                  makes applied state durable in the state store
//   reader/N        Options::readers   reads cold rows, payloads and the log
//
// Thread-safety: Start and Stop from one thread; router() is thread-safe after Start.
// Ownership: the stores outlive it.

#ifndef HOLDFAST_SERVER_ENGINE_NODE_ENGINE_H_
#define HOLDFAST_SERVER_ENGINE_NODE_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/types.h"
#include "replication/node/group_host.h"
#include "replication/node/log_writer.h"
#include "server/engine/admission.h"
#include "server/engine/engine.h"
#include "server/engine/flusher.h"
#include "server/engine/forward/forward_server.h"
#include "server/engine/holder_registry.h"
#include "server/engine/leader_table.h"
#include "server/engine/node_peers.h"
#include "server/engine/relay.h"
#include "server/engine/router.h"
#include "server/engine/shard.h"
#include "server/engine/snapshot/snapshot_pins.h"
#include "server/net/event_loop.h"
#include "storage/log_store.h"
#include "storage/state_store.h"

namespace holdfast {

class NodeEngine final : private Forwarder {
 public:
  struct Options {
    NodeId node;
    DiskId disk;
    uint64_t incarnation = 1;
    std::string cluster_id;
    uint32_t shards = 16;
    uint32_t loops = 1;    // [1, shards]
    uint32_t readers = 2;  // [1, 64]
    uint32_t payload_size_bytes_max = 0;
    uint64_t hot_jobs_max = 400'000;          // in memory and flushed, over all shards
    uint64_t unflushed_bytes_max = 48 << 20;  // beyond it nothing is proposed until a flush ends
    // kNothing: all jobs are in memory, whatever the two bounds above say, and end with the engine;
    // the log holds next to nothing. REQUIRES: no other nodes, stores that are empty.
    Backing backing = Backing::kStore;
    absl::Duration start_timeout = absl::Minutes(10);
    // The replicas that each shard was made with, ascending, the same on all of them. Empty: this
    // node was added later, and waits for what the others say.
    std::vector<ReplicaId> initial_voters;
    // See Group::Options: each shard goes on with what it has here, as its only voter.
    bool forced_alone = false;
    // Of Raft: a heartbeat every tick; a follower that hears none draws how long it waits, from
    // election_ticks to twice as many.
    int64_t tick_micros = 200'000;
    uint32_t election_ticks = 5;
    LogWriter::Options log;
    // What of it is kept for other nodes that are behind, to whole segments. Below
    // Flusher::Options::log_bytes, by some segments.
    uint64_t log_kept_bytes = 64 << 20;
    Flusher::Options flush;
    Admission::Limits admission;
    // Told when the disk is too full to store what was done (RESOURCE_EXHAUSTED; enqueues are
    // refused meanwhile), and when it no longer is (OK). May be empty. From any thread.
    std::function<void(const absl::Status&)> on_disk_full;
  };
  // The disk has failed or holds damaged data: the process should say why and end. Called at most
  // once, from any thread; must not call back into the engine.
  using OnFatal = std::function<void(const absl::Status&)>;

  NodeEngine(const Options& options, LogStore* log, StateStore* state, OnFatal on_fatal);
  // Stops at once if Stop was not called.
  ~NodeEngine() override;

  // Recovers every shard and waits until all take part in their groups; those that have no other
  // replicas accept commands then. `peers`: how to reach other nodes; nullptr: there are none.
  // Errors: DATA_LOSS, UNAVAILABLE, RESOURCE_EXHAUSTED of the stores; DEADLINE_EXCEEDED.
  absl::Status Start(NodePeers* peers = nullptr);

  // Calls `done` once, on one of the loops, when every replica here has applied all that was
  // committed before; with an error if one cannot learn how much that is.
  void CatchUp(std::function<void(const absl::Status&)> done);

  // Ends waiting reserves and lets no more wait; commands go on. Before the frontends stop.
  void Drain();

  // Blocks until nothing that the router took is without an answer, or until `deadline`.
  void AwaitAnswers(absl::Time deadline);

  // Other nodes are not reached any more: answers all that waits for what only they could tell, now
  // and from now on.
  void Abandon();

  // Answers what is left, flushes if asked to (a restart then replays nothing), ends all threads.
  // Nobody calls the router any more.
  void Stop(Flusher::LastFlush last);

  // --- What whoever connects the node to others needs; all from the constructor on.
  const Options& options() const { return options_; }
  LeaderTable* leaders() { return &leaders_; }
  size_t loop_count() const { return loops_.size(); }
  size_t LoopIndexOf(ShardId shard) const { return shard.value() % loops_.size(); }
  Executor* loop(size_t index) const { return loops_[index].get(); }
  Executor* ReaderOf(ShardId shard) const {
    return readers_[shard.value() % readers_.size()].get();
  }
  // Bound to the shard's loop.
  Group* group(ShardId shard) const { return groups_[shard.value()]->group(); }
  Shard* shard(ShardId shard) const { return shards_[shard.value()].get(); }
  // For what other nodes pass on.
  ForwardServer* forward_server(ShardId shard) const {
    return forward_servers_[shard.value()].get();
  }

  Router* router() { return router_.get(); }
  // Memory for what is not in the state store: with Backing::kNothing, for all there is. Roughly;
  // from any thread.
  uint64_t unflushed_bytes() const { return overlay_bytes_.load(std::memory_order_relaxed); }
  // The loop of shard 0, on which others may live as long as the engine runs.
  EventLoop* first_loop() { return loops_.front().get(); }

 private:
  Shard::Options ShardOptions(uint32_t shard) const;
  Group::Options GroupOptions(uint32_t shard) const;
  Shard::Parts ShardParts(uint32_t shard);
  Executor* LoopOf(uint32_t shard) const { return loop(LoopIndexOf(ShardId(shard))); }
  void MakeThreads();
  // With its group. In order of shards.
  void MakeShard(uint32_t shard);
  void OnView(uint32_t shard, const GroupView& view);
  void Started(uint32_t shard);
  void Forward(ReplicaId to, ShardId shard, std::shared_ptr<const std::string> request,
               Forwarder::Done done) override;
  absl::Status RecoverShards();
  void RecoverShard(uint32_t shard);
  void AnnounceLoss(uint32_t shard);
  void Fatal(const absl::Status& status);

  const Options options_;
  LogStore* const log_;
  StateStore* const state_;
  const OnFatal on_fatal_;

  NodePeers* peers_ = nullptr;  // set before the shards start
  LeaderTable leaders_;
  std::atomic<uint64_t> overlay_bytes_{0};
  std::atomic<Flusher*> running_flusher_{nullptr};
  HolderRegistry holders_;
  SnapshotPins pins_;
  std::unique_ptr<LogWriter> log_writer_;
  std::vector<std::unique_ptr<EventLoop>> readers_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::vector<std::unique_ptr<ForwardServer>> forward_servers_;
  std::vector<std::unique_ptr<GroupHost>> groups_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<Flusher> flusher_;  // nullptr with Backing::kNothing

  absl::Mutex mutex_;
  std::vector<bool> started_ ABSL_GUARDED_BY(mutex_);  // shards
  uint32_t starting_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_NODE_ENGINE_H_
