// Which node leads each shard, as this node knows it.
//
// Written by the groups on their loops, read by whoever wants to send something to a leader.
//
// Thread-safety: Get from any thread; Set of a shard from one thread at a time; Observe before the
// first Set.

#ifndef HOLDFAST_SERVER_ENGINE_LEADER_TABLE_H_
#define HOLDFAST_SERVER_ENGINE_LEADER_TABLE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/types.h"

namespace holdfast {

class LeaderTable {
 public:
  struct Leader {
    Term term;
    NodeId node;  // 0: none that is known
    bool operator==(const Leader&) const = default;
  };
  // Called on the writer's thread, after Get gives the new value. Must not block.
  using Observer = std::function<void(ShardId, const Leader&)>;

  explicit LeaderTable(uint32_t shards) : shards_(shards), rows_(std::make_unique<Row[]>(shards)) {}

  uint32_t shards() const { return shards_; }

  NodeId NodeOf(ShardId shard) const {
    return NodeId(rows_[shard.value()].node.load(std::memory_order_acquire));
  }
  // The two are of one moment only if nobody writes meanwhile: the term is at least the node's.
  Leader Get(ShardId shard) const {
    const NodeId node = NodeOf(shard);
    return {Term(rows_[shard.value()].term.load(std::memory_order_acquire)), node};
  }

  void Set(ShardId shard, const Leader& leader) {
    Row& row = rows_[shard.value()];
    row.term.store(leader.term.value(), std::memory_order_release);
    row.node.store(leader.node.value(), std::memory_order_release);
    for (const Observer& observer : observers_) observer(shard, leader);
  }
  void Observe(Observer observer) { observers_.push_back(std::move(observer)); }

 private:
  struct Row {
    std::atomic<uint64_t> term{0};
    std::atomic<uint64_t> node{0};
  };
  const uint32_t shards_;
  const std::unique_ptr<Row[]> rows_;
  std::vector<Observer> observers_;
};

}  // namespace holdfast

#endif  // HOLDFAST_SERVER_ENGINE_LEADER_TABLE_H_
